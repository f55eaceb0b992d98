"""One sender's visit by any way but an association: read, judge, keep, and tell the hub at the end."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from edge.spool.spool import Spool
from edge.spool.view import StudyFacts
from edge.verdict import WANTED, Status, Verdict, judge, status_of, urgency
from gateway.clock import Clock, rfc3339
from gateway.dicom.attributes import read_attributes
from gateway.envelope.inner import InstanceFacts, Notice
from gateway.errors import GatewayError, StorageFull
from gateway.log import logger
from gateway.model import Priority

MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
"""Media Storage Directory Storage: the table of contents of a medium (PS3.10 §8.6), no instance."""

log = logger("edge.acquire")


@dataclass(frozen=True, slots=True)
class Source:
    """Who brings instances, and what is usually meant where they do not say.

    Attributes:
        name: of the sender, in place of an AE title.
        way: ``stow``, ``folder``, ``medium``, ``upload``.
        priority: of what it brings, at least.
        remarks: for the hub beside each instance: ``charset``, ``time_zone``, ``institution``.
    """

    name: str
    way: str
    priority: Priority = Priority.ROUTINE
    remarks: Mapping[str, str] | None = None

    @property
    def charset(self) -> str | None:
        """Assumed where a dataset declares none."""
        return (self.remarks or {}).get("charset")


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one dataset.

    Attributes:
        status: as C-STORE would answer (`edge.verdict`).
        words: why, if it is no plain success.
    """

    status: Status
    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    words: str = ""

    @property
    def kept(self) -> bool:
        """Whether it is durable here."""
        return self.status in (Status.SUCCESS, Status.FLAWED)


class Visit:
    """Takes datasets from one source. Blocks; one thread at a time.

    Args:
        spool: where they are kept.
        clock: the time.
        source: who brings them.
    """

    def __init__(self, spool: Spool, clock: Clock, source: Source) -> None:
        self.ident = secrets.token_hex(16)
        self._spool, self._clock, self._source = spool, clock, source
        self._studies: dict[str, set[str]] = defaultdict(set)
        self._digests: dict[str, bytes] = {}
        self._sources: dict[str, str] = {}
        self._priority = Priority.STAT
        log.info("visit", association=self.ident, way=source.way, sender=source.name)

    def take(
        self,
        data: bytes | bytearray | memoryview,
        syntax: str,
        told: tuple[str, str] = ("", ""),
        *,
        study: str = "",
        origin: str = "",
        opening: bytes = b"",
    ) -> Taken:
        """Keep one dataset, or say why not. What comes twice unchanged is kept once.

        Args:
            data: the dataset bytes as they are; not a Part 10 file.
            syntax: their transfer syntax.
            told: SOP class and instance UID as the file header says; empty: it says nothing.
            study: the only study allowed; empty: any.
            origin: SHA-256 of the file the dataset was made of, if it was made here.
            opening: the 128 bytes before it in its file (PS3.10 §7.1), if they are not zero.
        """
        try:
            return self._take(memoryview(data), syntax, told, study, origin, opening)
        except GatewayError as error:
            log.warning("not kept", association=self.ident, instance=told[1], reason=str(error))
            return Taken(status_of(error), *told, "", str(error))

    def _take(
        self,
        data: memoryview,
        syntax: str,
        told: tuple[str, str],
        wanted_study: str,
        origin: str,
        opening: bytes,
    ) -> Taken:
        self._spool.check_room(len(data))
        found, flaw = read_attributes(data, syntax, default_charset=self._source.charset, wanted=WANTED)
        own = (found.get("SOPClassUID", ""), found.get("SOPInstanceUID", ""))
        study, series = found.get("StudyInstanceUID", ""), found.get("SeriesInstanceUID", "")
        known = (own[0] or told[0], own[1] or told[1])
        verdict = self._judge(told, own, study, series, flaw)
        if verdict.keep and wanted_study and study != wanted_study:
            verdict = Verdict(
                Status.MISMATCH, keep=False, flaw="it is of another study than the request says"
            )
        digest = sha256(data).digest()
        if verdict.keep and known[1] and self._digests.get(known[1], digest) != digest:
            text = "a different instance of the same UID came before it"
            verdict = Verdict(Status.DUPLICATE, keep=False, flaw=text)
        words = verdict.flaw
        if verdict.status is Status.NOT_UNDERSTOOD and not own[1]:
            words = "no SOP Instance UID can be read" + (f" ({flaw})" if flaw else "")
        taken = Taken(verdict.status, *known, study, words)
        if verdict.status is Status.NOT_UNDERSTOOD or not verdict.keep:
            log.warning("refused", association=self.ident, instance=known[1], reason=verdict.flaw)
            return taken
        if known[1] in self._digests:
            return taken
        self._keep(data, syntax, known, found, verdict, opening)
        self._digests[known[1]] = digest
        if origin:
            self._sources[known[1]] = origin
        return taken

    def _judge(
        self, told: tuple[str, str], own: tuple[str, str], study: str, series: str, flaw: str
    ) -> Verdict:
        if MEDIA_DIRECTORY in (told[0], own[0]):
            return Verdict(Status.NOT_UNDERSTOOD, keep=False, flaw="a DICOMDIR is no instance")
        return judge((told[0] or own[0], told[1] or own[1]), own, study, series, flaw)

    def _keep(
        self,
        data: memoryview,
        syntax: str,
        known: tuple[str, str],
        found: Mapping[str, str],
        verdict: Verdict,
        opening: bytes,
    ) -> None:
        study, series = found.get("StudyInstanceUID", ""), found.get("SeriesInstanceUID", "")
        facts = InstanceFacts(
            sop_class_uid=known[0],
            sop_instance_uid=known[1],
            study_uid=study,
            series_uid=series,
            transfer_syntax_uid=syntax,
            received_at=rfc3339(self._clock.now()),
            calling_ae=self._source.name,
        )
        priority = urgency(self._source.priority, found.get("RequestedProcedurePriority", ""))
        remarks = dict(self._source.remarks or {})
        if verdict.flaw:
            remarks["flaw"] = verdict.flaw[:1000]
        if opening:
            remarks["preamble"] = opening.hex()
        self._spool.receive(
            facts, data, priority=priority, remarks=remarks, study=StudyFacts.of(found), visit=self.ident
        )
        self._priority = max(self._priority, priority)
        if study:
            self._studies[study].add(known[1])

    def close(self, ended: str = "released") -> None:
        """Tell the hub what to expect, so that the studies can settle. Nothing kept: nothing to tell.

        Args:
            ended: ``released`` or ``aborted``.
        """
        if not self._studies:
            return
        body: dict[str, object] = {
            "association": self.ident,
            "calling_ae": self._source.name,
            "called_ae": self._source.way,
            "ended": ended,
            "studies": {study: len(instances) for study, instances in self._studies.items()},
        }
        if self._sources:
            body["made_of"] = dict(self._sources)
        try:
            self._spool.notify(Notice("association-closed", body), priority=self._priority)
        except StorageFull as error:  # the hub settles the study by quiet time instead
            log.warning("no notice", association=self.ident, reason=str(error))
        self._studies.clear()
        self._sources.clear()
