"""The way of a study as a list of moments, from evidence that was found good. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.envelope.inner import InnerManifest
from gateway.envelope.receipt import OpenedReceipt
from gateway.envelope.unseal import OpenedHeader

STORED = "parcel-stored"
PURGED = "edge-purged"
_WORDS: Mapping[str, str] = {
    "received": "{count} images received from {sender}, the last at {until}",
    "sealed": "sealed and signed by {edge} in {parcels} parcels, numbers {numbers}, the last at {until}",
    "stored": "verified, stored and receipted by hub {hub}: {count} images, the last at {until}",
    "study-complete": "the study counted as complete",
    "study-reopened": "more images came",
    "case-created": "a case was made for reading",
    "case-offer": "given to a reader",
    "case-open": "opened by a reader",
    "case-return": "returned by the reader",
    "case-escalate": "escalated",
    "report-signed": "report signed, version {version}",
    "report-fetched": "report fetched by the hospital's edge",
    "report-verified": "report verified at the hospital",
    "report-delivered": "report delivered at the hospital",
    "report-acknowledged": "delivery acknowledged by the hospital",
    "report-refused": "report refused at the hospital",
    "edge-purged": "the hospital's edge removed its copy of {parcels} parcels, the last at {until}",
    "witnessed": "{edge} witnessed the log, then of {entries} entries",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened.

    Attributes:
        at: RFC 3339, by the clock of whoever says so.
        event: a key that does not change with the language.
        facts: what to put into the sentence.
        entry: the position in the custody log that proves it; None: a signed statement proves it.
    """

    at: str
    event: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    entry: int | None = None

    @property
    def words(self) -> str:
        """A sentence in English."""
        known = _WORDS.get(self.event)
        return known.format(**self.facts) if known else self.event.replace("-", " ")

    def record(self) -> dict[str, Any]:
        """For a script or a page."""
        return {
            "at": self.at,
            "event": self.event,
            "facts": dict(self.facts),
            "entry": self.entry,
            "words": self.words,
        }


def of_parcels(
    parcels: Iterable[tuple[OpenedHeader, InnerManifest, OpenedReceipt]], wanted: frozenset[str]
) -> list[Moment]:
    """What headers, manifests and receipts say of the instances named in `wanted` (their SHA-256)."""
    came: defaultdict[str, list[str]] = defaultdict(list)
    sealed: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    stored: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    for header, manifest, receipt in parcels:
        held = [entry for entry in manifest.instances if entry.sha256 in wanted]
        for entry in held:
            came[entry.calling_ae].append(entry.received_at)
        sealed[header.identity.name].append((header.header.created_at, header.header.sequence))
        stored[receipt.identity.name].append((receipt.receipt.received_at, len(held)))
    return [
        *(
            Moment(min(times), "received", {"sender": sender, "count": len(times), "until": max(times)})
            for sender, times in came.items()
        ),
        *(
            Moment(
                min(signed)[0],
                "sealed",
                {
                    "edge": edge,
                    "parcels": len(signed),
                    "numbers": _ranges(number for _, number in signed),
                    "until": max(signed)[0],
                },
            )
            for edge, signed in sealed.items()
        ),
        *(
            Moment(
                min(kept)[0],
                "stored",
                {"hub": hub, "count": sum(count for _, count in kept), "until": max(kept)[0]},
            )
            for hub, kept in stored.items()
        ),
    ]


def of_log(entries: Iterable[Mapping[str, Any]]) -> list[Moment]:
    """What the custody log says; that parcels were stored is told by `of_parcels`."""
    told = [entry for entry in entries if entry["event"] != STORED]
    gone = [entry for entry in told if entry["event"] == PURGED]
    moments = [
        Moment(
            entry["at"], entry["event"], {"version": entry["detail"].get("version", "")}, entry["position"]
        )
        for entry in told
        if entry["event"] != PURGED
    ]
    if gone:
        facts = {"parcels": len(gone), "until": max(entry["at"] for entry in gone)}
        moments.append(Moment(min(entry["at"] for entry in gone), PURGED, facts, gone[0]["position"]))
    return moments


def _ranges(numbers: Iterable[int]) -> str:
    """``3-7, 9``."""
    ranges: list[list[int]] = []
    for number in sorted(set(numbers)):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)
