"""One association, one instance at a time: take it in while it comes, judge it, keep it, answer."""

from __future__ import annotations

import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from edge.ingest.admission import Admitted, Status, Verdict, judge, status_of, urgency
from edge.ingest.policy import Ending
from edge.spool.intake import Intake, Receiving
from edge.spool.view import StudyFacts
from edge.verdict import WANTED
from gateway.clock import Clock, rfc3339
from gateway.dicom.alike import Alike
from gateway.envelope.inner import InstanceFacts
from gateway.errors import GatewayError
from gateway.log import logger
from gateway.model import Priority

LATELY_SECONDS = 0.5

Given = TypeVar("Given")
Found = TypeVar("Found")

log = logger("edge.ingest")


@dataclass(slots=True)
class Visit:
    """What one association did, for its notice at the end."""

    sender: Admitted
    called: str
    address: str
    reads: Alike
    ident: str = field(default_factory=lambda: secrets.token_hex(16))
    studies: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    priority: Priority = Priority.STAT  # the least urgent of what came; the notice goes after all
    answered: dict[Status, int] = field(default_factory=lambda: defaultdict(int))
    kept_aside: set[str] = field(default_factory=set)


class Reception:
    """What becomes of associations and instances.

    Args:
        intake: takes them into the spool.
        clock: the time.
    """

    def __init__(self, intake: Intake, clock: Clock) -> None:
        self._intake, self._clock = intake, clock
        self.draining = False
        self._last = 0.0
        self._lock, self._visits = threading.Lock(), 0

    @property
    def busy(self) -> bool:
        """Whether an instance came lately."""
        return time.monotonic() - self._last < LATELY_SECONDS

    def visit(self, sender: Admitted, called: str, address: str) -> Visit:
        """An association begins."""
        with suppress(GatewayError):  # its first instance will say so
            self._intake.keeps.expect()
        with self._lock:
            self._visits += 1
        return Visit(sender, called, address, Alike(WANTED, sender.charset))

    def alone(self) -> bool:
        """Whether at most one association is served."""
        return self._visits <= 1

    def begin(self, visit: Visit, command: tuple[str, str], syntax: str) -> Incoming:
        """C-STORE: an instance begins to come in."""
        self._last = time.monotonic()
        receiving = None
        refused = Status.OUT_OF_RESOURCES if self.draining else None
        if refused is None:
            try:
                self._intake.register.check_lately()
                receiving = self._intake.begin()
            except GatewayError as error:
                refused = self.refuse(visit, command, error)
        return Incoming(self, visit, command, syntax, receiving, refused)

    def refuse(self, visit: Visit, command: tuple[str, str], error: GatewayError) -> Status:
        """An instance cannot be kept: the status that says so."""
        log.warning("not kept", association=visit.ident, instance=command[1], reason=str(error))
        return status_of(error)

    def judge(self, visit: Visit, command: tuple[str, str], syntax: str, receiving: Receiving) -> Status:
        """An instance is whole: judge it by its header and keep it.

        Raises:
            GatewayError: it cannot be kept.
        """
        found, flaw = visit.reads.read(receiving.head, receiving.length, receiving.read, syntax)
        study, series = found.get("StudyInstanceUID", ""), found.get("SeriesInstanceUID", "")
        own = (found.get("SOPClassUID", ""), found.get("SOPInstanceUID", ""))
        verdict = judge(command, own, study, series, flaw)
        if not verdict.keep or (verdict.status is Status.NOT_UNDERSTOOD and _seen(visit, receiving.digest)):
            log.warning("refused", association=visit.ident, instance=command[1], reason=verdict.flaw)
            receiving.abandon()
            return verdict.status
        facts = InstanceFacts(
            sop_class_uid=command[0],
            sop_instance_uid=command[1],
            study_uid=study,
            series_uid=series,
            transfer_syntax_uid=syntax,
            received_at=rfc3339(self._clock.now()),
            calling_ae=visit.sender.ae_title,
        )
        priority = urgency(visit.sender.priority, found.get("RequestedProcedurePriority", ""))
        receiving.keep(
            facts,
            priority=priority,
            remarks=_remarks(verdict, visit),
            study=StudyFacts.of(found),
            visit=visit.ident,
        )
        self._tell(receiving)
        visit.priority = max(visit.priority, priority)
        if study:
            visit.studies[study].add(command[1])
        return verdict.status

    def _tell(self, receiving: Receiving) -> None:
        """Before the answer, since a process that dies after it can tell nobody; it takes 0.01 ms."""
        try:
            receiving.tell()
        except GatewayError as error:  # the edge's process is gone, and finds it at its next start
            log.warning("not told", parcel=receiving.parcel, reason=str(error))

    def ended(self, visit: Visit, *, released: bool) -> Ending | None:
        """The association is over: what the hub is told to expect, so that the study can settle."""
        with self._lock:
            self._visits -= 1
        log.info(
            "association closed",
            association=visit.ident,
            calling_ae=visit.sender.ae_title,
            address=visit.address,
            released=released,
            answers={f"0x{status:04X}": count for status, count in visit.answered.items()},
        )
        if not visit.studies:
            return None
        body = {
            "association": visit.ident,
            "calling_ae": visit.sender.ae_title,
            "called_ae": visit.called,
            "ended": "released" if released else "aborted",
            "studies": {study: len(instances) for study, instances in visit.studies.items()},
        }
        return Ending(body, visit.priority)

    def ready(self) -> None:
        """What the next instance will need at once."""
        self._intake.ready()


class Incoming:
    """One C-STORE on its way in (`dimse.Sink`, `dimse.Landing`). Errors become its status."""

    def __init__(
        self,
        reception: Reception,
        visit: Visit,
        command: tuple[str, str],
        syntax: str,
        receiving: Receiving | None,
        refused: Status | None,
    ) -> None:
        self._reception, self._visit, self._command, self._syntax = reception, visit, command, syntax
        self._receiving, self._refused = receiving, refused

    def write(self, data: memoryview) -> None:
        """The next bytes."""
        if self._receiving is not None:
            self._or_refuse(self._receiving.write, data)

    def places(self, size: int) -> list[memoryview]:
        """Where the next bytes may be put; nowhere once it is refused."""
        if self._receiving is None:
            return []
        return self._or_refuse(self._receiving.places, size) or []

    def came(self, count: int) -> None:
        """So many have been."""
        if self._receiving is not None:
            self._or_refuse(self._receiving.came, count)

    def finish(self) -> Status:
        """It is whole: the status to answer, once it is durable."""
        status = self._refused or Status.SUCCESS
        if self._receiving is not None:
            try:
                status = self._reception.judge(self._visit, self._command, self._syntax, self._receiving)
            except GatewayError as error:
                status = self._refuse(error)
        self._visit.answered[status] += 1
        return status

    def answered(self) -> None:
        """While the sender reads our answer and finds its next file: what need not keep it waiting."""
        self._reception.ready()

    def abandon(self) -> None:
        """It will never be whole."""
        if self._receiving is not None:
            self._receiving.abandon()

    def _or_refuse(self, step: Callable[[Given], Found], given: Given) -> Found | None:
        try:
            return step(given)
        except GatewayError as error:
            self._refuse(error)
            return None

    def _refuse(self, error: GatewayError) -> Status:
        self.abandon()
        self._receiving = None
        self._refused = self._reception.refuse(self._visit, self._command, error)
        return self._refused


def _remarks(verdict: Verdict, visit: Visit) -> dict[str, str]:
    return {**visit.sender.remarks, **({"flaw": verdict.flaw[:1000]} if verdict.flaw else {})}


def _seen(visit: Visit, digest: str) -> bool:
    """Whether these bytes were kept aside in this association already: some senders try again at once."""
    again = digest in visit.kept_aside
    visit.kept_aside.add(digest)
    return again
