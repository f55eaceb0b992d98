"""The bytes of a sender that speaks DIMSE by itself: one presentation context, explicit VR little endian."""

from __future__ import annotations

import socket
import struct
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import build_context

from gateway.dicom.part10 import IMPLEMENTATION_CLASS_UID
from gateway.errors import Unavailable

CONTEXT = 1
COMMAND_WHOLE, PIECE, LAST = 0x03, 0x00, 0x02
"""Message control headers, PS3.8 E.2."""
RELEASE_RQ = struct.pack(">BxII", 0x05, 4, 0)
"""A-RELEASE-RQ, PS3.8 §9.3.6."""
_STATUS = struct.pack("<HHI", 0x0000, 0x0900, 2)  # PS3.7 §9.3.1.2


def associate_rq(calling: str, called: str, sop_class: UID) -> bytes:
    """A-ASSOCIATE-RQ, PS3.8 §9.3.2."""
    asked = A_ASSOCIATE()
    asked.application_context_name = "1.2.840.10008.3.1.1.1"
    asked.calling_ae_title, asked.called_ae_title = calling, called
    context = build_context(sop_class, ExplicitVRLittleEndian)
    context.context_id = CONTEXT
    asked.presentation_context_definition_list = [context]
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = 16384
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    asked.user_information = [length, implementation]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(asked)
    return bytes(pdu.encode())


def c_store_rq(sop_class: UID, instance: str) -> bytes:
    """The command set of C-STORE-RQ, PS3.7 §9.3.1.1, in one P-DATA-TF."""
    command = Dataset()
    command.AffectedSOPClassUID = sop_class
    command.CommandField, command.MessageID, command.Priority = 0x0001, 1, 0
    command.CommandDataSetType = 0x0001
    command.AffectedSOPInstanceUID = UID(instance)
    encoded = _written(command, implicit=True)
    return p_data(COMMAND_WHOLE, struct.pack("<HHII", 0x0000, 0x0000, 4, len(encoded)) + encoded)


def encoded(dataset: Dataset) -> bytes:
    """A dataset in the syntax that is asked for."""
    return _written(dataset, implicit=False)


def p_data(control: int, fragment: bytes) -> bytes:
    """One P-DATA-TF with one presentation data value, PS3.8 §9.3.5."""
    item = struct.pack(">IBB", len(fragment) + 2, CONTEXT, control) + fragment
    return struct.pack(">BxI", 0x04, len(item)) + item


def next_pdu(line: socket.socket) -> tuple[int, bytes]:
    """Type and content of what the receiver says next. Raises Unavailable: it closed the association."""
    kind, length = struct.unpack(">BxI", _exactly(line, 6))
    return kind, _exactly(line, length)


def expect_accepted(kind: int) -> None:
    """Raises Unavailable if a PDU is no A-ASSOCIATE-AC, PS3.8 §9.3.3."""
    if kind != 0x02:
        raise Unavailable("the association was not accepted")


def status_of(body: bytes) -> int | None:
    """The status in a response's P-DATA-TF; None if there is none."""
    place = body.find(_STATUS)
    return int(struct.unpack_from("<H", body, place + len(_STATUS))[0]) if place >= 0 else None


def _written(dataset: Dataset, *, implicit: bool) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, implicit
    write_dataset(buffer, dataset)
    return bytes(buffer.getvalue())


def _exactly(line: socket.socket, count: int) -> bytes:
    found = BytesIO()
    while found.tell() < count:
        data = line.recv(count - found.tell())
        if not data:
            raise Unavailable("the receiver closed the association")
        found.write(data)
    return found.getvalue()
