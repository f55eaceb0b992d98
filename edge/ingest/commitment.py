"""Storage commitment, Push Model (PS3.4 Annex J): what was asked, and what is to be reported. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum

from pydicom.dataset import Dataset

COMMITMENT = "1.2.840.10008.1.20.1"
"""Storage Commitment Push Model SOP Class."""

WELL_KNOWN = "1.2.840.10008.1.20.1.1"
"""Its one SOP Instance, PS3.4 J.3.5."""

REQUEST = 1
"""Action Type ID, PS3.4 J.3.2.1."""

ALL_HERE, FAILURES_EXIST = 1, 2
"""Event Type IDs, PS3.4 J.3.3.1."""

MOST = 25_000
"""Instances of one request: their UIDs at their longest fill `dimse.DATASET_LIMIT`."""


class Status(IntEnum):
    """Of the N-ACTION response, PS3.7 Annex C."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110  # cannot be read
    NO_SUCH_INSTANCE = 0x0112  # not the well-known one
    INVALID_ARGUMENT = 0x0115  # no Transaction UID, or no instances
    NO_SUCH_CLASS = 0x0118
    NO_SUCH_ACTION = 0x0123
    UNRECOGNIZED = 0x0211
    OUT_OF_RESOURCES = 0x0213  # the request cannot be made durable, or names too many instances


class Reason(IntEnum):
    """Failure Reason (0008,1197), PS3.3 C.14.1.1."""

    PROCESSING_FAILURE = 0x0110  # here, and not at the hub within the deadline
    NO_SUCH_INSTANCE = 0x0112  # it never came
    CLASS_CONFLICT = 0x0119  # it came, as another SOP class


class Standing(Enum):
    """How it is with one instance."""

    UNKNOWN = "unknown"
    OTHER_CLASS = "other class"
    HERE = "here"  # durable on this edge
    COMMITTED = "committed"


@dataclass(frozen=True, slots=True)
class Transaction:
    """One request.

    Attributes:
        uid: Transaction UID.
        calling: AE title of who asked.
        asked_at: seconds since 1970.
        instances: SOP class and instance UIDs.
    """

    uid: str
    calling: str
    asked_at: float
    instances: tuple[tuple[str, str], ...]

    def to_bytes(self) -> bytes:
        """JSON."""
        return json.dumps([self.uid, self.calling, self.asked_at, self.instances]).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Transaction:
        """What `to_bytes` wrote."""
        uid, calling, asked_at, instances = json.loads(data)
        return cls(uid, calling, asked_at, tuple((one, other) for one, other in instances))


def asked(data: Dataset, calling: str, now: float) -> Transaction | Status:
    """What an N-ACTION asks for. Reading it may raise whatever pydicom raises."""
    uid = str(data.get("TransactionUID") or "").strip(" \0")
    items = list(data.get("ReferencedSOPSequence") or [])
    instances = [
        (
            str(one.get("ReferencedSOPClassUID") or "").strip(" \0"),
            str(one.get("ReferencedSOPInstanceUID") or "").strip(" \0"),
        )
        for one in items
    ]
    if not uid or len(uid) > 64 or not instances or not all(all(pair) for pair in instances):
        return Status.INVALID_ARGUMENT
    if len(instances) > MOST:
        return Status.OUT_OF_RESOURCES
    return Transaction(uid, calling, now, tuple(dict.fromkeys(instances)))


def decide(
    transaction: Transaction,
    standing: Callable[[str, str], Standing],
    now: float,
    wait: float,
    deadline: float,
) -> dict[tuple[str, str], Reason | None] | None:
    """What can be said now.

    Args:
        transaction: what was asked.
        standing: how it is with an instance.
        now: seconds since 1970.
        wait: seconds for what never came.
        deadline: seconds for what is here and not committed.

    Returns:
        For each instance None (committed) or why not; None: it is too early to say.
    """
    age = now - transaction.asked_at
    said: dict[tuple[str, str], Reason | None] = {}
    for pair in transaction.instances:
        found = standing(*pair)
        if found is Standing.COMMITTED:
            said[pair] = None
        elif found is Standing.HERE:
            if age < deadline:
                return None
            said[pair] = Reason.PROCESSING_FAILURE
        else:
            if age < wait:
                return None
            unknown = found is Standing.UNKNOWN
            said[pair] = Reason.NO_SUCH_INSTANCE if unknown else Reason.CLASS_CONFLICT
    return said


def report(transaction: Transaction, said: dict[tuple[str, str], Reason | None]) -> tuple[int, Dataset]:
    """Event Type ID and Event Information of the N-EVENT-REPORT, PS3.4 Table J.3-2."""
    information = Dataset()
    information.TransactionUID = transaction.uid
    good = [_reference(pair) for pair, reason in said.items() if reason is None]
    bad = [_reference(pair, reason) for pair, reason in said.items() if reason is not None]
    if good:
        information.ReferencedSOPSequence = good
    if bad:
        information.FailedSOPSequence = bad
    return (FAILURES_EXIST if bad else ALL_HERE), information


def _reference(pair: Sequence[str], reason: Reason | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = pair
    if reason is not None:
        item.FailureReason = int(reason)
    return item
