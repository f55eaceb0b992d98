"""A scanner of one multi-frame instance of any size: made while it is sent, never held, on no disk."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import MultiFrameGrayscaleWordSecondaryCaptureImageStorage, generate_uid

from gateway.bench import dimse

SIDE = 512
FRAME = SIDE * SIDE * 2
PDU = 131072
"""The edge's own limit (PS3.8 D.1); a sender that announces none takes it."""

CLASS = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
PATIENCE = 300.0


@dataclass(frozen=True)
class Sent:
    """What went over the line."""

    status: int | None
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
        line.sendall(dimse.associate_rq("ENDLESS", called, CLASS))
        dimse.expect_accepted(dimse.next_pdu(line)[0])
        line.sendall(dimse.c_store_rq(CLASS, instance))
        out = _DataSet(line)
        out.write(_header(study, instance, frames))
        out.write(struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, frames * FRAME))
        image = _image()
        for number in range(frames):
            out.write(np.roll(image, number * 7).tobytes())
        out.end()
        status = dimse.status_of(dimse.next_pdu(line)[1])
        line.sendall(dimse.RELEASE_RQ)
        dimse.next_pdu(line)
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
            self._line.sendall(dimse.p_data(dimse.PIECE, bytes(self._waiting[:most])))
            del self._waiting[:most]

    def end(self) -> None:
        self._line.sendall(dimse.p_data(dimse.LAST, bytes(self._waiting)))


def _image() -> np.ndarray:
    """A disc with noise, as a detector would give it: compressible, and not by much."""
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    noise = np.random.default_rng(1).normal(0, 12, (SIDE, SIDE))
    return np.where(x * x + y * y < 0.8, 1000 + 300 * x + noise, 20 + noise / 4).clip(0, 4095).astype("<u2")


def _header(study: str, instance: str, frames: int) -> bytes:
    dataset = Dataset()
    dataset.SOPClassUID = CLASS
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
    return dimse.encoded(dataset)
