"""A scanner of one multi-frame instance of any size: made while it is sent, never held, on no disk."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO

import numpy as np
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    generate_uid,
)
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import build_context

from gateway.dicom.part10 import IMPLEMENTATION_CLASS_UID

SIDE = 512
FRAME = SIDE * SIDE * 2
PDU = 131072
"""The edge's own limit (PS3.8 D.1); a sender that announces none takes it."""

CONTEXT = 1
PATIENCE = 300.0


@dataclass(frozen=True)
class Sent:
    """What went over the line."""

    status: int
    study: str
    instance: str
    size: int
    sha256: str


def send(host: str, port: int, called: str, size: int) -> Sent:
    """One C-STORE of at least `size` bytes of pixels."""
    frames = max(1, -(-size // FRAME))
    study, instance = str(generate_uid(None)), str(generate_uid(None))
    with socket.create_connection((host, port), PATIENCE) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.sendall(_request(called))
        kind, _ = _pdu(line)
        assert kind == 0x02, f"PDU {kind:#04x} instead of A-ASSOCIATE-AC"
        line.sendall(_p_data(0x03, _command(instance)))
        out = _DataSet(line)
        out.write(_header(study, instance, frames))
        out.write(struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, frames * FRAME))
        image = _image()
        for number in range(frames):
            out.write(np.roll(image, number * 7).tobytes())
        out.end()
        status = _status(_pdu(line)[1])
        line.sendall(struct.pack(">BxII", 0x05, 4, 0))  # A-RELEASE-RQ
        _pdu(line)
    return Sent(status, study, instance, out.size, out.digest.hexdigest())


class _DataSet:
    """Cuts what is written into P-DATA-TF PDUs."""

    def __init__(self, line: socket.socket) -> None:
        self._line, self._waiting = line, bytearray()
        self.digest, self.size = sha256(), 0

    def write(self, data: bytes) -> None:
        self.digest.update(data)
        self.size += len(data)
        self._waiting += data
        most = PDU - 6
        while len(self._waiting) > most:
            self._line.sendall(_p_data(0x00, bytes(self._waiting[:most])))
            del self._waiting[:most]

    def end(self) -> None:
        self._line.sendall(_p_data(0x02, bytes(self._waiting)))


def _image() -> np.ndarray:
    """A disc with noise, as a detector would give it: compressible, and not by much."""
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    noise = np.random.default_rng(1).normal(0, 12, (SIDE, SIDE))
    return np.where(x * x + y * y < 0.8, 1000 + 300 * x + noise, 20 + noise / 4).clip(0, 4095).astype("<u2")


def _header(study: str, instance: str, frames: int) -> bytes:
    dataset = Dataset()
    dataset.SOPClassUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    dataset.SOPInstanceUID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = (
        instance,
        study,
        study + ".1",
    )
    dataset.Modality, dataset.ConversionType, dataset.PatientName = "XA", "WSD", "Phantom^Endless"
    dataset.PatientID = "ENDLESS"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = frames, SIDE, SIDE
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    return _encoded(dataset, implicit=False)


def _command(instance: str) -> bytes:
    command = Dataset()
    command.AffectedSOPClassUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    command.CommandField, command.MessageID, command.Priority = 0x0001, 1, 0
    command.CommandDataSetType = 0x0001
    command.AffectedSOPInstanceUID = UID(instance)
    encoded = _encoded(command, implicit=True)
    return struct.pack("<HHII", 0x0000, 0x0000, 4, len(encoded)) + encoded


def _request(called: str) -> bytes:
    asked = A_ASSOCIATE()
    asked.application_context_name = "1.2.840.10008.3.1.1.1"
    asked.calling_ae_title, asked.called_ae_title = "ENDLESS", called
    context = build_context(MultiFrameGrayscaleWordSecondaryCaptureImageStorage, ExplicitVRLittleEndian)
    context.context_id = CONTEXT
    asked.presentation_context_definition_list = [context]
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = 16384
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    asked.user_information = [length, implementation]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(asked)
    return bytes(pdu.encode())


def _encoded(dataset: Dataset, *, implicit: bool) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, implicit
    write_dataset(buffer, dataset)
    return bytes(buffer.getvalue())


def _p_data(control: int, fragment: bytes) -> bytes:
    item = struct.pack(">IBB", len(fragment) + 2, CONTEXT, control) + fragment
    return struct.pack(">BxI", 0x04, len(item)) + item


def _pdu(line: socket.socket) -> tuple[int, bytes]:
    kind, length = struct.unpack(">BxI", _exactly(line, 6))
    return kind, _exactly(line, length)


def _exactly(line: socket.socket, count: int) -> bytes:
    found = BytesIO()
    while found.tell() < count:
        data = line.recv(count - found.tell())
        assert data, "the receiver closed the association"
        found.write(data)
    return found.getvalue()


def _status(body: bytes) -> int:
    mark = struct.pack("<HHI", 0x0000, 0x0900, 2)  # PS3.7 §9.3.1.2
    return int(struct.unpack_from("<H", body, body.index(mark) + len(mark))[0])
