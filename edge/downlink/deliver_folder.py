"""A folder of the hospital: ``<site>/<YYYYMMDD>/<accession>_<report id>.pdf``, the two DICOM files beside it.

The PDF comes last: whoever sees it finds the others too. A file is never overwritten; one that is
there already with the same bytes is the same delivery, cut off by a crash.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from edge.downlink.verify import TRANSFER_SYNTAX, DicomObject, Verified
from gateway import cpu, durable
from gateway.dicom.part10 import wrap
from gateway.errors import Refused, Unavailable

_ODD = re.compile("[^A-Za-z0-9_-]+")
MAX_STEM = 64


class FolderDelivery:
    """Writes into one folder."""

    kind = "folder"

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self._folder = name, folder

    async def deliver(self, verified: Verified) -> str:
        """Write the files, durably.

        Raises:
            Unavailable: the folder cannot be written (an unmounted share).
            Refused: another file has the name.
            StorageFull: no room.
        """
        try:
            return await cpu.run(self._write, verified)
        except OSError as error:
            raise Unavailable(f"{self._folder} cannot be written: {error.strerror or error}") from error

    def _write(self, verified: Verified) -> str:
        report = verified.report
        day = self._folder / report.site / verified.signed_at.strftime("%Y%m%d")
        durable.make_folder(day, mode=0o755)
        durable.sweep(day)
        stem = f"{safe(report.study.accession) or safe(report.study.study_uid)}_{report.report_id}"
        for ending, data in (
            (".sr.dcm", _file(verified.structured)),
            (".pdf.dcm", _file(verified.enveloped)),
            (".pdf", verified.pdf),
        ):
            _put(day / f"{stem}{ending}", data)
        return f"{report.site}/{day.name}/{stem}.pdf"


def safe(text: str) -> str:
    """A header's text as part of a file name: nothing but ASCII letters, digits, ``_`` and ``-``."""
    return _ODD.sub("_", text).strip("_-")[:MAX_STEM]


def _file(made: DicomObject) -> bytes:
    return wrap(made.sop_class_uid, made.sop_instance_uid, TRANSFER_SYNTAX) + made.dataset


def _put(target: Path, data: bytes) -> None:
    try:
        durable.create(target, data, mode=0o644)
    except FileExistsError:
        there = target.read_bytes()
        if hashlib.sha256(there).digest() != hashlib.sha256(data).digest():
            raise Refused(f"another file is there already: {target.name}") from None
