"""Storage commitment SCP: writes down what is asked, and reports when the hub has signed, for ever.

A request lies in ``data/services/commitment/<mark>`` from before its N-ACTION is answered until the
sender has answered our N-EVENT-REPORT. It is sealed under a key that is not on this disk (`vault`).
The report goes over the association on which it was asked while that is open, else over a new one to
the sender's ``report_host`` and ``report_port``.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom.dimse_primitives import N_ACTION, N_EVENT_REPORT

from edge.config import Committed, Ingest
from edge.ingest import commitment, reporting
from edge.ingest.commitment import COMMITMENT, Reason, Standing, Status, Transaction
from edge.ingest.ledger import Ledger
from edge.ingest.services import UNREADABLE, Channel, Request, dataset_of, responding
from edge.ingest.vault import Vault
from gateway import durable
from gateway.clock import Clock
from gateway.errors import ResourceError, Unavailable
from gateway.log import logger

LOOK_SECONDS = 0.5
CHANNEL_SECONDS = 10.0
"""How long the sender may take to answer over its own association."""

RETRY_FIRST, RETRY_CAP = 2.0, 300.0
SENDERS = 8
"""Reported to at the same time: one that is away keeps few others waiting."""

MOST_OPEN = 10_000
"""Requests that may wait at once; beyond, N-ACTION is answered 0x0213."""

EARLY = (
    "storage commitment is given as soon as an image is on this machine (ingest.commitment: spool): "
    "a modality may then delete it before the hub has it"
)
KIND = "commitment"
log = logger("edge.ingest")

Deliver = Callable[[reporting.Address, int, Dataset], None]


@dataclass(slots=True)
class _Open:
    """One request that is not ended."""

    path: Path
    transaction: Transaction
    channel: Channel | None = None
    said: dict[tuple[str, str], Reason | None] | None = None
    tries: int = 0
    next_try: float = 0.0
    fault: str = ""


class Commitments:
    """The handler of the SOP class, and the service that reports.

    Args:
        config: when it is given, and where senders hear of it.
        vault: seals requests.
        ledger: what came, and what the hub has signed for.
        clock: the time.
        deliver: reports over a new association; raises Unavailable.
    """

    def __init__(
        self,
        config: Ingest,
        vault: Vault,
        ledger: Ledger,
        clock: Clock,
        deliver: Deliver | None = None,
    ) -> None:
        self._config, self._vault, self._ledger, self._clock = config, vault, ledger, clock
        self._deliver: Deliver = deliver or partial(reporting.deliver, config)
        self._folder = vault.folder / KIND
        self._lock = threading.Lock()
        durable.make_folder(self._folder)
        durable.sweep(self._folder)
        self._open: dict[Path, _Open] = {}
        self._load()

    @property
    def troubles(self) -> list[str]:
        """For the page: who cannot be told, and that commitment is given early."""
        with self._lock:
            faults = {f"{one.transaction.calling}: {one.fault}" for one in self._open.values() if one.fault}
        told = [f"storage commitment cannot be reported to {fault}" for fault in sorted(faults)]
        return [EARLY, *told] if self._config.commitment is Committed.SPOOL else told

    def handle(self, request: Request) -> Any:
        """Answer an N-ACTION."""
        primitive = request.primitive
        if not isinstance(primitive, N_ACTION):
            return responding(primitive, Status.UNRECOGNIZED)
        status = self._take(request)
        return responding(primitive, status, sop_class=COMMITMENT, instance=commitment.WELL_KNOWN)

    async def run(self) -> None:
        """Report for ever. A service: ends only by cancellation."""
        while True:
            await asyncio.to_thread(self.round)
            await asyncio.sleep(LOOK_SECONDS)

    def round(self) -> int:
        """Decide and report what can be now. Blocks. How many requests have ended."""
        by_sender: dict[str, list[_Open]] = {}
        with self._lock:
            for one in self._open.values():
                by_sender.setdefault(one.transaction.calling, []).append(one)
        with ThreadPoolExecutor(SENDERS, "commitment") as pool:
            return sum(pool.map(self._advance_all, by_sender.values()))

    def _advance_all(self, waiting: list[_Open]) -> int:
        """Those of one sender: once it cannot be reached, the others wait, too."""
        ended = 0
        for one in waiting:
            try:
                ended += self._advance(one)
            except Unavailable as error:
                self._put_off(one, error)
                break
        return ended

    def standing(self, sop_class: str, instance: str) -> Standing:
        """How it is with one instance, by the configured choice."""
        found = self._ledger.find(instance)
        if not found:
            return Standing.UNKNOWN
        same = [signed for mark, signed in found if self._ledger.is_class(mark, sop_class)]
        if not same:
            return Standing.OTHER_CLASS
        # Several datasets under one UID: all must be safe, since the sender may mean any of them.
        safe = all(same) or self._config.commitment is Committed.SPOOL
        return Standing.COMMITTED if safe else Standing.HERE

    def _take(self, request: Request) -> Status:
        primitive, now = request.primitive, self._clock.now().timestamp()
        if str(primitive.RequestedSOPClassUID) != COMMITMENT:
            return Status.NO_SUCH_CLASS
        if str(primitive.RequestedSOPInstanceUID) != commitment.WELL_KNOWN:
            return Status.NO_SUCH_INSTANCE
        if primitive.ActionTypeID != commitment.REQUEST:
            return Status.NO_SUCH_ACTION
        try:
            found = commitment.asked(dataset_of(request), request.sender.ae_title, now)
        except UNREADABLE as error:
            log.warning("commitment not read", reason=type(error).__name__)
            return Status.PROCESSING_FAILURE
        return found if isinstance(found, Status) else self._record(found, request.channel)

    def _record(self, transaction: Transaction, channel: Channel) -> Status:
        """Durably, before it is answered. Asked again, it is the same request."""
        path = self._folder / self._vault.mark(KIND, transaction.calling, transaction.uid).hex()
        with self._lock:
            if path not in self._open and len(self._open) >= MOST_OPEN:
                return Status.OUT_OF_RESOURCES
            try:
                durable.replace(path, self._vault.carried(KIND).seal(transaction.to_bytes()))
            except (ResourceError, OSError) as error:
                log.warning("commitment not kept", reason=str(error))
                return Status.OUT_OF_RESOURCES
            self._open[path] = _Open(path, transaction, channel)
        log.info(
            "commitment asked for",
            calling_ae=transaction.calling,
            transaction=transaction.uid,
            instances=len(transaction.instances),
        )
        return Status.SUCCESS

    def _load(self) -> None:
        unreadable = 0
        for path in self._folder.iterdir():
            data = self._vault.carried(KIND).opened(path.read_bytes())
            if data is None:
                unreadable += 1
                path.rename(path.with_suffix(".unreadable"))
                continue
            self._open[path] = _Open(path, Transaction.from_bytes(data))
        if unreadable:
            log.warning(
                "commitments cannot be opened",
                count=unreadable,
                meaning="their key went with the power; the modalities must ask again",
            )

    def _advance(self, one: _Open) -> bool:
        """Whether it has ended. Raises Unavailable."""
        now, config = self._clock.now().timestamp(), self._config
        if now < one.next_try:
            return False
        one.said = commitment.decide(
            one.transaction, self.standing, now, config.commitment_wait, config.commitment_deadline
        )
        if one.said is None:
            return False
        self._report(one)
        return self._end(one)

    def _put_off(self, one: _Open, error: Unavailable) -> None:
        """Until the next try, when what is true then is reported."""
        pause = min(RETRY_CAP, RETRY_FIRST * 2 ** min(one.tries, 10))
        one.fault, one.tries = str(error), one.tries + 1
        one.next_try = self._clock.now().timestamp() + pause
        log.warning("commitment not reported", calling_ae=one.transaction.calling, reason=str(error))

    def _report(self, one: _Open) -> None:
        """Raises Unavailable."""
        event, information = commitment.report(one.transaction, one.said or {})
        if one.channel is not None:
            primitive = _primitive(event, information, one.channel.syntax)
            if one.channel.report(primitive, CHANNEL_SECONDS) == 0:
                self._told(one, "the same association")
                return
        address = self._address(one.transaction)
        self._deliver(address, event, information)
        self._told(one, f"{address.host}:{address.port}")

    def _told(self, one: _Open, way: str) -> None:
        failed = sum(reason is not None for reason in (one.said or {}).values())
        log.info(
            "commitment reported",
            calling_ae=one.transaction.calling,
            transaction=one.transaction.uid,
            failed=failed,
            way=way,
        )

    def _end(self, one: _Open) -> bool:
        with self._lock:
            if self._open.get(one.path) is not one:
                return False  # it was asked again meanwhile
            durable.remove(one.path)
            del self._open[one.path]
        return True

    def _address(self, transaction: Transaction) -> reporting.Address:
        for sender in self._config.senders:
            if sender.ae_title.strip() == transaction.calling and sender.report_host is not None:
                return reporting.Address(transaction.calling, sender.report_host, sender.report_port or 104)
        raise Unavailable("it has closed its association, and ingest.senders has no report_host for it")


def _primitive(event: int, information: Dataset, syntax: str) -> N_EVENT_REPORT:
    primitive = N_EVENT_REPORT()
    primitive.AffectedSOPClassUID = COMMITMENT
    primitive.AffectedSOPInstanceUID = commitment.WELL_KNOWN
    primitive.EventTypeID = event
    primitive.EventInformation = reporting.encoded(information, syntax)
    return primitive
