"""One association, one instance at a time: read what it is, judge it, keep it, answer."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from edge.ingest.admission import Admitted, Doorkeeper, Rejection, Status, Verdict, judge, status_of, urgency
from edge.ingest.guard import StoreAssociation
from edge.spool.spool import Spool
from edge.spool.view import StudyFacts
from gateway.clock import Clock, rfc3339
from gateway.dicom import tags
from gateway.dicom.header import read_attributes
from gateway.envelope.inner import InstanceFacts, Notice
from gateway.errors import GatewayError, StorageFull
from gateway.log import logger
from gateway.model import Priority

REJECTED_PERMANENT, BY_SERVICE_USER = 1, 1  # PS3.8 Table 9-21
log = logger("edge.ingest")

_WANTED = frozenset(
    tags.BY_KEYWORD[word].tag
    for word in (
        "SOPClassUID",
        "SOPInstanceUID",
        "SpecificCharacterSet",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "InstanceNumber",
        "Modality",
        "PatientName",
        "PatientID",
        "AccessionNumber",
        "StudyDescription",
        "RequestedProcedurePriority",
    )
)


@dataclass(slots=True)
class Visit:
    """What one association did, for its notice at the end."""

    sender: Admitted
    called: str
    address: str
    ident: str = field(default_factory=lambda: secrets.token_hex(16))
    studies: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    priority: Priority = Priority.STAT  # the least urgent of what came; the notice goes after all
    answered: dict[Status, int] = field(default_factory=lambda: defaultdict(int))
    kept_aside: set[bytes] = field(default_factory=set)


class Reception:
    """The handlers of the listener.

    Args:
        spool: where instances are kept.
        doorkeeper: who may send.
        clock: the time.
        closed: told when an association that sent something has ended, with its notice's body.
    """

    def __init__(
        self, spool: Spool, doorkeeper: Doorkeeper, clock: Clock, closed: Callable[[dict[str, Any]], object]
    ) -> None:
        self._spool, self._doorkeeper, self._clock, self._closed = spool, doorkeeper, clock, closed
        self.draining = False

    def requested(self, event: Any) -> bool:
        """A-ASSOCIATE-RQ: admit the caller or reject it with its reason. Returns whether it was admitted."""
        association: StoreAssociation = event.assoc
        primitive = association.requestor.primitive
        address = association.requestor.address_info.address
        calling, called = str(primitive.calling_ae_title), str(primitive.called_ae_title)
        answer = self._doorkeeper.admit(calling, called, address)
        if isinstance(answer, Rejection):
            log.warning("rejected", calling_ae=calling, called_ae=called, address=address, reason=answer.name)
            association.acse.send_reject(REJECTED_PERMANENT, BY_SERVICE_USER, int(answer))
            association.kill()
            return False
        association.facts = Visit(answer, called.strip(), address)
        return True

    def echo(self, event: Any) -> int:
        """C-ECHO: success, if only because the caller was admitted."""
        return int(Status.SUCCESS)

    def store(self, event: Any) -> int:
        """C-STORE: the status to answer (`admission`)."""
        visit: Visit = event.assoc.facts
        if self.draining:
            return int(self._count(visit, Status.OUT_OF_RESOURCES))
        request = event.request
        data = request.DataSet.getbuffer() if request.DataSet is not None else memoryview(b"")
        command = (str(request.AffectedSOPClassUID or ""), str(request.AffectedSOPInstanceUID or ""))
        try:
            status = self._store(visit, command, str(event.context.transfer_syntax), data)
        except GatewayError as error:
            status = status_of(error)
            log.warning("not kept", association=visit.ident, instance=command[1], reason=str(error))
        finally:
            data.release()
        return int(self._count(visit, status))

    def _store(self, visit: Visit, command: tuple[str, str], syntax: str, data: memoryview) -> Status:
        self._spool.check_room(len(data))
        found, flaw = read_attributes(data, syntax, default_charset=visit.sender.charset, wanted=_WANTED)
        study, series = found.get("StudyInstanceUID", ""), found.get("SeriesInstanceUID", "")
        own = (found.get("SOPClassUID", ""), found.get("SOPInstanceUID", ""))
        verdict = judge(command, own, study, series, flaw)
        if not verdict.keep or (verdict.status is Status.NOT_UNDERSTOOD and _seen(visit, data)):
            log.warning("refused", association=visit.ident, instance=command[1], reason=verdict.flaw)
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
        item = self._spool.receive(
            facts, data, priority=priority, remarks=_remarks(verdict, visit), study=_for_the_page(found)
        )
        visit.priority = max(visit.priority, priority)
        if study:
            visit.studies[study].add(command[1])
        log.info(
            "received",
            association=visit.ident,
            calling_ae=visit.sender.ae_title,
            instance=command[1],
            syntax=syntax,
            size=len(data),
            parcel=item.parcel_id,
            status=f"0x{verdict.status:04X}",
            flaw=verdict.flaw,
        )
        return verdict.status

    def ended(self, association: StoreAssociation) -> None:
        """The association is over: tell the hub what to expect, so that the study can settle."""
        visit = association.facts
        if not isinstance(visit, Visit):
            return
        log.info(
            "association closed",
            association=visit.ident,
            calling_ae=visit.sender.ae_title,
            address=visit.address,
            released=bool(association.is_released),
            answers={f"0x{status:04X}": count for status, count in visit.answered.items()},
        )
        if not visit.studies:
            return
        body = {
            "association": visit.ident,
            "calling_ae": visit.sender.ae_title,
            "called_ae": visit.called,
            "ended": "released" if association.is_released else "aborted",
            "studies": {study: len(instances) for study, instances in visit.studies.items()},
        }
        try:
            self._spool.notify(Notice("association-closed", body), priority=visit.priority)
        except StorageFull as error:  # the hub settles the study by quiet time instead
            log.warning("no notice", association=visit.ident, reason=str(error))
        self._closed(body)

    def _count(self, visit: Visit, status: Status) -> Status:
        visit.answered[status] += 1
        return status


def _remarks(verdict: Verdict, visit: Visit) -> dict[str, str]:
    return {**visit.sender.remarks, **({"flaw": verdict.flaw[:1000]} if verdict.flaw else {})}


def _for_the_page(found: dict[str, str]) -> StudyFacts:
    return StudyFacts(
        study_uid=found.get("StudyInstanceUID", ""),
        patient_name=found.get("PatientName", "")[:64],
        patient_id=found.get("PatientID", "")[:64],
        accession=found.get("AccessionNumber", "")[:16],
        description=found.get("StudyDescription", "")[:64],
        modality=found.get("Modality", "")[:16],
        series_uid=found.get("SeriesInstanceUID", ""),
        instance_number=found.get("InstanceNumber", "")[:12],
    )


def _seen(visit: Visit, data: memoryview) -> bool:
    """Whether these bytes were kept aside in this association already: some senders try again at once."""
    digest = sha256(data).digest()
    again = digest in visit.kept_aside
    visit.kept_aside.add(digest)
    return again
