"""The demo's modality: reads Part 10 files and sends their datasets, byte for byte, by C-STORE."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from string import hexdigits

import pydicom.data
from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, MediaStorageDirectoryStorage
from pynetdicom import AE, _config
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context

from gateway.dicom import part10
from gateway.errors import Malformed, Unavailable

MAX_CONTEXTS = 128
"""Presentation contexts of one association, PS3.8 §9.3.2.2."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One file to be sent."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    transfer_syntax_uid: str
    sha256: str  # of the dataset bytes, which is what C-STORE carries
    size: int  # of the dataset in bytes
    patient: tuple[str, ...]  # texts that must not be found on an edge's disk


@dataclass(frozen=True, slots=True)
class Answer:
    """What the edge answered to one sample."""

    sample: Sample
    status: int | None  # DICOM status; None if the syntax or class was not accepted

    @property
    def taken(self) -> bool:
        """Whether the edge keeps it: success, or a warning (PS3.7 §C: 0x0000, 0xBxxx)."""
        return self.status is not None and (self.status == 0 or self.status >> 12 == 0xB)


@contextmanager
def _odd_files_are_meant() -> Iterator[None]:
    """Keep pydicom's remarks on odd files to itself: they are sent as they are, and judged by the edge."""
    remarks = logging.getLogger("pydicom")
    level = remarks.level
    remarks.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        remarks.setLevel(level)


def read_sample(path: Path) -> Sample:
    """What a Part 10 file holds, and the digest of its dataset.

    Raises:
        Malformed: it is no Part 10 file that C-STORE could carry; with the reason.
    """
    try:
        dataset = dcmread(path, stop_before_pixels=True)
        meta = dataset.file_meta
        sop_class, instance = UID(meta.MediaStorageSOPClassUID), UID(meta.MediaStorageSOPInstanceUID)
        syntax = UID(meta.TransferSyntaxUID)
        data = part10.split(path.read_bytes()).dataset
    except (InvalidDicomError, AttributeError, ValueError, OSError) as error:
        raise Malformed(f"{path.name}: not a file C-STORE can carry ({error})") from error
    if sop_class == MediaStorageDirectoryStorage:
        raise Malformed(f"{path.name}: a DICOMDIR is not sent")
    if not sop_class.is_valid or not instance.is_valid or str(dataset.get("SOPInstanceUID", "")) != instance:
        raise Malformed(f"{path.name}: its file header names other UIDs than its dataset")
    names = tuple(str(dataset.get(word, "")) for word in ("PatientName", "PatientID"))
    study = str(dataset.get("StudyInstanceUID", ""))
    digest = hashlib.sha256(data).hexdigest()
    patient = tuple(name for name in names if _telling(name))
    return Sample(path, sop_class, instance, study, syntax, digest, len(data), patient)


def _telling(name: str) -> bool:
    """Whether a text on the disk tells of a patient: a short number also stands in digests by chance."""
    return len(name) > 4 and (len(name) > 8 or not set(name) <= set(hexdigits))


def read_samples(files: Sequence[Path]) -> tuple[list[Sample], list[str]]:
    """Samples, and why each other file is not one."""
    samples, passed_over = [], []
    with _odd_files_are_meant():
        for file in files:
            try:
                samples.append(read_sample(file))
            except Malformed as error:
                passed_over.append(str(error))
    return samples, passed_over


def package_files() -> list[Path]:
    """The real sample files that the pydicom package carries."""
    folder = Path(pydicom.data.__file__).parent / "test_files"
    return sorted(path for path in folder.rglob("*.dcm") if path.is_file())


def send(
    samples: Sequence[Sample],
    host: str,
    port: int,
    ae_title: str,
    sent: Callable[[Answer], None],
    *,
    calling: str = "DEMO_CT",
) -> list[Answer]:
    """Send every sample; one association for each group of contexts that fits one.

    What was not answered is sent again over another association, as modalities do: pynetdicom, the sender,
    now and then loses an answer itself that comes at once (its reactor takes it for a request).

    Args:
        samples: what to send, in this order within a group.
        host: of the edge's DICOM listener.
        port: likewise.
        ae_title: called AE title.
        sent: told after each answer, for progress.
        calling: the sender's AE title.

    Raises:
        Unavailable: the edge rejected the association, or answers nothing.
    """
    _config.STORE_SEND_CHUNKED_DATASET = True  # send the file's own bytes, never a re-encoded dataset
    entity = AE(ae_title=calling)
    answers: list[Answer] = []
    for contexts, group in _grouped(samples):
        left = group
        while left:
            association = entity.associate(host, port, contexts=contexts, ae_title=ae_title)
            if not association.is_established:
                raise Unavailable(f"the edge at {host}:{port} did not accept the association")
            found: list[Answer] = []
            try:
                for answer in _stored(association, left):
                    found.append(answer)
                    sent(answer)
            except Unavailable:
                if not found:
                    raise
            finally:
                association.release()
            answers += found
            left = left[len(found) :]
    return answers


def _stored(association: Association, samples: Sequence[Sample]) -> Iterator[Answer]:
    with _odd_files_are_meant():
        for number, sample in enumerate(samples):
            yield Answer(sample, _store(association, sample, number))


def _store(association: Association, sample: Sample, number: int) -> int | None:
    if not any(
        context.abstract_syntax == sample.sop_class_uid
        and sample.transfer_syntax_uid in context.transfer_syntax
        for context in association.accepted_contexts
    ):
        return None
    try:
        status = association.send_c_store(sample.path, msg_id=number % 65535 + 1)
    except RuntimeError as error:  # it ended since the last answer
        raise Unavailable("the edge closed the association between two C-STOREs") from error
    if not status:
        raise Unavailable("the edge closed the association in the middle of a C-STORE")
    return int(status.Status)


def _grouped(samples: Sequence[Sample]) -> Iterator[tuple[list[PresentationContext], list[Sample]]]:
    """Samples with the contexts they need, at most `MAX_CONTEXTS` a group, one syntax a context."""
    pairs = list(dict.fromkeys((s.sop_class_uid, s.transfer_syntax_uid) for s in samples))
    remaining = iter(pairs)
    while chunk := list(islice(remaining, MAX_CONTEXTS)):
        wanted = set(chunk)
        group = [s for s in samples if (s.sop_class_uid, s.transfer_syntax_uid) in wanted]
        yield [build_context(UID(c), UID(t)) for c, t in chunk], group
