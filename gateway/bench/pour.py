"""A scanner that does nothing but C-STORE tiny instances as fast as the receiver answers.

Its messages are bytes made once, in which only the UIDs change, so that a million instances need
neither files nor minutes of encoding. For filling a spool; never a measure of ingest by itself.
"""

from __future__ import annotations

import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import build_context

from gateway.dicom.part10 import IMPLEMENTATION_CLASS_UID
from gateway.errors import Unavailable

PER_STUDY = 500
ANSWER_SECONDS = 60.0
_CONTEXT = 1
_MARK = "2.25." + "7" * 38
"""Stands for the SOP Instance UID, and takes as many bytes as each."""
_STUDY = "2.25." + "8" * 38
_RUN = f"{secrets.randbelow(10**25):025d}"
"""So that no receiver has seen them before."""
_STATUS = struct.pack("<HHI", 0x0000, 0x0900, 2)  # PS3.7 §9.3.1.2


def pour(
    host: str, port: int, called: str, count: int, associations: int, told: Callable[[int], None]
) -> list[float]:
    """Send `count` instances over several associations.

    Args:
        host: of the receiver.
        port: likewise.
        called: its AE title.
        count: of instances, all different, `PER_STUDY` to a study.
        associations: at the same time.
        told: how many more were answered, for progress; called from several threads.

    Returns:
        Seconds after which each tenth of them was answered.

    Raises:
        Unavailable: the receiver did not answer one with success.
    """
    tally = _Tally(count, told)
    threads = [threading.Thread(target=_Scanner(host, port, called, tally).run) for _ in range(associations)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if tally.fault:
        raise Unavailable(f"C-STORE to {host}:{port} failed: {tally.fault}")
    return tally.tenths


class _Tally:
    """Numbers for all scanners together."""

    def __init__(self, count: int, told: Callable[[int], None]) -> None:
        self._count, self._told = count, told
        self._lock = threading.Lock()
        self._given = self._answered = 0
        self._started = time.perf_counter()
        self.tenths: list[float] = []
        self.fault = ""

    def next(self) -> int | None:
        """The number of an instance to send; None: enough."""
        with self._lock:
            if self._given == self._count or self.fault:
                return None
            self._given += 1
            return self._given - 1

    def answered(self) -> None:
        """One more is there."""
        with self._lock:
            self._answered += 1
            if self._answered * 10 >= (len(self.tenths) + 1) * self._count:
                self.tenths.append(time.perf_counter() - self._started)
        self._told(1)


class _Scanner:
    """One association."""

    def __init__(self, host: str, port: int, called: str, tally: _Tally) -> None:
        self._place, self._called, self._tally = (host, port), called, tally
        self._template = _message()

    def run(self) -> None:
        """Send until there is nothing left."""
        try:
            with socket.create_connection(self._place, ANSWER_SECONDS) as line:
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                line.sendall(_request(self._called))
                _expect_accepted(_pdu(line)[0])
                while (number := self._tally.next()) is not None:
                    line.sendall(self._numbered(number))
                    _expect_success(_pdu(line)[1])
                    self._tally.answered()
                line.sendall(struct.pack(">BxII", 0x05, 4, 0))  # A-RELEASE-RQ
                _pdu(line)
        except (OSError, Unavailable) as error:
            self._tally.fault = str(error)

    def _numbered(self, number: int) -> bytes:
        study, instance = _uid(8, number // PER_STUDY), _uid(7, number)
        return self._template.replace(_MARK.encode(), instance).replace(_STUDY.encode(), study)


def _uid(kind: int, number: int) -> bytes:
    """A UID of exactly the template's length."""
    return f"2.25.{kind}{_RUN}{number:012d}".encode()


def _request(called: str) -> bytes:
    asked = A_ASSOCIATE()
    asked.application_context_name = "1.2.840.10008.3.1.1.1"
    asked.calling_ae_title, asked.called_ae_title = "BENCH", called
    context = build_context(SecondaryCaptureImageStorage, ExplicitVRLittleEndian)
    context.context_id = _CONTEXT
    asked.presentation_context_definition_list = [context]
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = 16384
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    asked.user_information = [length, implementation]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(asked)
    return bytes(pdu.encode())


def _message() -> bytes:
    """C-STORE-RQ and a tiny dataset, each in one P-DATA-TF (PS3.7 §9.3.1.1, PS3.8 §9.3.5)."""
    command = Dataset()
    command.AffectedSOPClassUID = SecondaryCaptureImageStorage
    command.CommandField, command.MessageID, command.Priority = 0x0001, 1, 0
    command.CommandDataSetType = 0x0001
    command.AffectedSOPInstanceUID = _MARK
    encoded = _encoded(command, implicit=True)
    group_length = struct.pack("<HHII", 0x0000, 0x0000, 4, len(encoded))
    return _p_data(0x03, group_length + encoded) + _p_data(0x02, _encoded(_tiny(), implicit=False))


def _tiny() -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, _MARK
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = _STUDY, _STUDY
    dataset.Modality, dataset.ConversionType = "OT", "SYN"
    dataset.PatientName, dataset.PatientID = "Phantom^Pour", "POUR"
    dataset.StudyDate = dataset.StudyTime = dataset.AccessionNumber = dataset.StudyID = ""
    dataset.SeriesNumber = dataset.InstanceNumber = "1"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows = dataset.Columns = 16
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PixelData = bytes(range(256))
    return dataset


def _encoded(dataset: Dataset, *, implicit: bool) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, implicit
    write_dataset(buffer, dataset)
    return bytes(buffer.getvalue())


def _p_data(control: int, fragment: bytes) -> bytes:
    item = struct.pack(">IBB", len(fragment) + 2, _CONTEXT, control) + fragment
    return struct.pack(">BxI", 0x04, len(item)) + item


def _pdu(line: socket.socket) -> tuple[int, bytes]:
    kind, length = struct.unpack(">BxI", _exactly(line, 6))
    return kind, _exactly(line, length)


def _exactly(line: socket.socket, count: int) -> bytes:
    found = BytesIO()
    while found.tell() < count:
        data = line.recv(count - found.tell())
        if not data:
            raise Unavailable("the receiver closed the association")
        found.write(data)
    return found.getvalue()


def _expect_accepted(kind: int) -> None:
    if kind != 0x02:  # A-ASSOCIATE-AC, PS3.8 §9.3.3
        raise Unavailable("the association was not accepted")


def _expect_success(body: bytes) -> None:
    place = body.find(_STATUS)
    status = struct.unpack_from("<H", body, place + len(_STATUS))[0] if place >= 0 else None
    if status != 0:
        raise Unavailable(f"C-STORE answered {'without a status' if status is None else f'0x{status:04X}'}")
