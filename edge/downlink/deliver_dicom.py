"""A PACS, by C-STORE (PS3.4 Annex B): the structured report and the PDF in its DICOM envelope."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association

from edge.config import NodeTls
from edge.dicom_node import Node, associate
from edge.downlink.verify import TRANSFER_SYNTAX, DicomObject, Verified
from gateway import cpu
from gateway.dicom.part10 import wrap
from gateway.errors import Refused, Unavailable, UsageError

CONNECT_SECONDS = 15
ANSWER_SECONDS = 60
SOP_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.88.11": "Basic Text SR",
    "1.2.840.10008.5.1.4.1.1.104.1": "Encapsulated PDF",
}
SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


class DicomDelivery:
    """Sends to one PACS.

    Args:
        name: of the destination.
        host: of the PACS.
        port: of the PACS.
        called: its AE title.
        calling: ours.
        tls: to it; None: without.

    Raises:
        UsageError: an AE title is none.
    """

    kind = "dicom"

    def __init__(
        self, name: str, host: str, port: int, called: str, calling: str, tls: NodeTls | None = None
    ) -> None:
        for title in (called, calling):
            if (
                not title.isascii()
                or not title.isprintable()
                or not 1 <= len(title.strip()) <= 16
                or "\\" in title
            ):
                raise UsageError(f"an AE title has 1 to 16 ASCII characters (PS3.5 §6.2), unlike {title!r}")
        self.name, self._called, self._calling = name, called, calling
        self._node = Node(host, port, called, tls)

    async def deliver(self, verified: Verified) -> str:
        """Send both objects over one association.

        A PACS that takes one of the two kinds alone has the report; which one it took is told.

        Raises:
            Unavailable: no association, a broken one, or out of resources (0xA7xx).
            Refused: it takes neither kind, or refuses an object.
        """
        return await cpu.run(self._send, verified)

    def takes(self) -> tuple[str, ...]:
        """What it would take, asked by negotiating an association in which nothing is sent. Blocks.

        Raises:
            Unavailable: there is no association.
        """
        entity = self._entity(SOP_CLASSES)
        association = associate(entity, self._node)
        taken = {str(context.abstract_syntax) for context in association.accepted_contexts}
        association.release()
        return tuple(kind for sop_class, kind in SOP_CLASSES.items() if sop_class in taken)

    def _entity(self, sop_classes: Iterable[str]) -> AE:
        entity = AE(self._calling)
        entity.connection_timeout = CONNECT_SECONDS
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = ANSWER_SECONDS
        for sop_class in sop_classes:
            entity.add_requested_context(sop_class, list(SYNTAXES))
        return entity

    def _send(self, verified: Verified) -> str:
        objects = (verified.structured, verified.enveloped)
        entity = self._entity(made.sop_class_uid for made in objects)
        association = associate(entity, self._node)
        try:
            told = [self._store(association, made) for made in objects]
        finally:
            if association.is_established:
                association.release()
        if not any(taken for _, taken in told):
            raise Refused(f"{self._called} accepts neither a structured report nor a PDF")
        return "; ".join(words for words, _ in told)

    def _store(self, association: Association, made: DicomObject) -> tuple[str, bool]:
        kind = SOP_CLASSES.get(made.sop_class_uid, made.sop_class_uid)
        taken = {str(context.abstract_syntax) for context in association.accepted_contexts}
        if made.sop_class_uid not in taken:
            return f"{kind} is not accepted", False
        try:
            answer: Any = association.send_c_store(_dataset(made))
        except (ValueError, RuntimeError) as error:
            raise Unavailable(f"{self._called} closed the association: {error}") from error
        status = answer.get("Status") if answer is not None else None
        if status is None:
            raise Unavailable(f"{self._called} gave no answer to C-STORE")
        if status == 0x0000 or status & 0xF000 == 0xB000:  # PS3.4 Table B.2-1: 0xBxxx is a warning, stored
            return f"{kind} stored (0x{status:04X})", True
        comment = str(answer.get("ErrorComment", "")).strip()
        words = f"{self._called} answered 0x{status:04X} to the {kind}{': ' if comment else ''}{comment[:64]}"
        if status & 0xFF00 == 0xA700:
            raise Unavailable(words)
        raise Refused(words)


def _dataset(made: DicomObject) -> Dataset:
    header = wrap(made.sop_class_uid, made.sop_instance_uid, TRANSFER_SYNTAX)
    return dcmread(io.BytesIO(header + made.dataset))
