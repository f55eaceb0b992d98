"""Takes MPPS requests: keeps each step for its N-SET, and tells the hub, before it answers.

A step lies in ``data/services/mpps/<mark>``, sealed under its own SOP Instance UID (`vault`): the
modality's N-SET presents that UID, after a power cut too, and nobody else can read it.
"""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any

from pynetdicom.dimse_primitives import N_CREATE, N_SET

from edge.ingest.mpps import MPPS, Outcome, Status, Step, change, create
from edge.ingest.services import UNREADABLE, Request, dataset_of, responding
from edge.ingest.vault import Vault
from edge.spool.spool import Spool
from gateway import durable
from gateway.envelope.inner import Notice
from gateway.errors import Malformed, ResourceError
from gateway.log import logger
from gateway.model import uid as checked_uid

KEEP_SECONDS = 30 * 86400.0
"""A step that nothing was said of for so long is forgotten."""

log = logger("edge.ingest")


class ProcedureSteps:
    """The handler of the SOP class.

    Args:
        spool: takes the notices.
        vault: seals what is kept.
    """

    def __init__(self, spool: Spool, vault: Vault) -> None:
        self._spool, self._vault = spool, vault
        self._folder = vault.folder / "mpps"
        self._lock = threading.Lock()
        durable.make_folder(self._folder)
        durable.sweep(self._folder)
        self._forget()

    def handle(self, request: Request) -> Any:
        """Answer an N-CREATE or N-SET."""
        primitive = request.primitive
        if isinstance(primitive, N_CREATE):
            sop_class, instance = primitive.AffectedSOPClassUID, primitive.AffectedSOPInstanceUID
            uid = str(instance or f"2.25.{uuid.uuid4().int}")
        elif isinstance(primitive, N_SET):
            sop_class, uid = primitive.RequestedSOPClassUID, str(primitive.RequestedSOPInstanceUID or "")
        else:
            return responding(primitive, Status.UNRECOGNIZED)
        outcome = self._outcome(request, str(sop_class), uid)
        log.info(
            "procedure step",
            calling_ae=request.sender.ae_title,
            step=uid,
            state=outcome.step.state.value if outcome.step else "",
            status=f"0x{outcome.status:04X}",
        )
        answer = responding(primitive, outcome.status, sop_class=MPPS, instance=uid)
        if outcome.error is not None:
            answer.ErrorID = outcome.error
        return answer

    def _outcome(self, request: Request, sop_class: str, uid: str) -> Outcome:
        if sop_class != MPPS:
            return Outcome(Status.NO_SUCH_CLASS)
        judged = create if isinstance(request.primitive, N_CREATE) else change
        try:
            checked_uid(uid)
        except Malformed:
            return Outcome(Status.INVALID_INSTANCE)
        with self._lock:
            try:
                data = dataset_of(request)
                outcome = judged(self._known(uid), data)
            except UNREADABLE as error:
                log.warning("procedure step not read", step=uid, reason=type(error).__name__)
                return Outcome(Status.PROCESSING_FAILURE)
            if outcome.step is None:
                return outcome
            try:
                self._keep(uid, outcome.step, request)
            except (ResourceError, OSError) as error:
                log.warning("procedure step not kept", step=uid, reason=str(error))
                return Outcome(Status.OUT_OF_RESOURCES)
        return outcome

    def _keep(self, uid: str, step: Step, request: Request) -> None:
        """Tell the hub first: told twice is told once, and a step that is kept is not created again."""
        for body in step.bodies(uid):
            told = {**body, "station": body["station"] or request.sender.ae_title}
            self._spool.notify(Notice("mpps", told), priority=request.sender.priority)
        sealed = self._vault.for_name("mpps", uid).seal(step.to_bytes())
        durable.replace(self._folder / self._vault.mark("mpps", uid).hex(), sealed)

    def _known(self, uid: str) -> Step:
        path = self._folder / self._vault.mark("mpps", uid).hex()
        if not path.exists():
            return Step()
        found = self._vault.for_name("mpps", uid).opened(path.read_bytes())
        return Step() if found is None else Step.from_bytes(found)

    def _forget(self) -> None:
        for path in self._folder.iterdir():
            if time.time() - path.stat().st_mtime > KEEP_SECONDS:
                path.unlink()
