"""A scanner that does nothing but C-STORE tiny instances as fast as the receiver answers.

Its messages are bytes made once, in which only the UIDs change, so that a million instances need
neither files nor minutes of encoding. For filling a spool; never a measure of ingest by itself.
"""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Callable

from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from gateway.bench import dimse
from gateway.errors import Unavailable

PER_STUDY = 500
ANSWER_SECONDS = 60.0
_MARK = "2.25." + "7" * 38
"""Stands for the SOP Instance UID, and takes as many bytes as each."""
_STUDY = "2.25." + "8" * 38
_RUN = f"{secrets.randbelow(10**25):025d}"
"""So that no receiver has seen them before."""


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
                line.sendall(dimse.associate_rq("BENCH", self._called, SecondaryCaptureImageStorage))
                dimse.expect_accepted(dimse.next_pdu(line)[0])
                while (number := self._tally.next()) is not None:
                    line.sendall(self._numbered(number))
                    _expect_success(dimse.next_pdu(line)[1])
                    self._tally.answered()
                line.sendall(dimse.RELEASE_RQ)
                dimse.next_pdu(line)
        except (OSError, Unavailable) as error:
            self._tally.fault = str(error)

    def _numbered(self, number: int) -> bytes:
        study, instance = _uid(8, number // PER_STUDY), _uid(7, number)
        return self._template.replace(_MARK.encode(), instance).replace(_STUDY.encode(), study)


def _uid(kind: int, number: int) -> bytes:
    """A UID of exactly the template's length."""
    return f"2.25.{kind}{_RUN}{number:012d}".encode()


def _message() -> bytes:
    """A whole C-STORE request of a tiny dataset."""
    command = dimse.c_store_rq(SecondaryCaptureImageStorage, _MARK)
    return command + dimse.p_data(dimse.LAST, dimse.encoded(_tiny()))


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


def _expect_success(body: bytes) -> None:
    status = dimse.status_of(body)
    if status != 0:
        raise Unavailable(f"C-STORE answered {'without a status' if status is None else f'0x{status:04X}'}")
