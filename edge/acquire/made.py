"""DICOM datasets made of pictures and PDF (PS3.3 A.8, A.32.4, A.45.1), one study an import.

=====================================  ====================================================================
made of                                SOP class
=====================================  ====================================================================
a photograph of the patient            VL Photographic Image; 16 bits: Secondary Capture
a film, a screen or a sheet of paper   Secondary Capture; several pages of one shape: the Multi-frame
                                       Grayscale Byte, Grayscale Word or True Color Secondary Capture
PDF                                    Encapsulated PDF, its bytes unchanged
=====================================  ====================================================================

Every dataset names the SHA-256 and media type of the file it was made of, in a private block and, for
images, in Image Comments (0020,4000).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import groupby

from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from edge.acquire.picture import Page, Pictures, read
from edge.importing import Form, Kind
from gateway.dicom import transfer
from gateway.errors import Malformed

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
MULTI_GREY_BYTE = "1.2.840.10008.5.1.4.1.1.7.2"
MULTI_GREY_WORD = "1.2.840.10008.5.1.4.1.1.7.3"
MULTI_COLOUR = "1.2.840.10008.5.1.4.1.1.7.4"
PHOTOGRAPHIC = "1.2.840.10008.5.1.4.1.1.77.1.4"
ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
MANUFACTURER = "Telerad Gateway"
PRIVATE_GROUP, PRIVATE_CREATOR = 0x0099, "TELERAD GATEWAY"
PDF_LIMIT = 200_000_000

_CONVERSION = {Kind.FILM: "DF", Kind.PHOTO: "DI", Kind.SCREEN: "WSD", Kind.PAPER: "SD"}  # PS3.3 C.8.6.1
_MODALITY = {Kind.FILM: "OT", Kind.PHOTO: "XC", Kind.SCREEN: "OT", Kind.PAPER: "OT"}
SCANNED = (Kind.FILM, Kind.PAPER)
UNPAIRED = frozenset(
    (
        *("CHEST", "ABDOMEN", "PELVIS", "SKULL", "HEAD", "BRAIN", "NECK", "HEART"),
        *("SPINE", "CSPINE", "TSPINE", "LSPINE", "SSPINE", "COCCYX"),
    )
)
"""Body parts of which there is one (PS3.16 Annex L), as the page offers them."""


def new_uid() -> str:
    """A UID derived from a random UUID (PS3.5 §B.2)."""
    return f"2.25.{uuid.uuid4().int}"


@dataclass(frozen=True, slots=True)
class Made:
    """One instance.

    Attributes:
        data: the dataset bytes.
        origin: SHA-256 of the file it was made of.
    """

    data: bytes
    transfer_syntax_uid: str
    origin: str


class Maker:
    """Makes the instances of one import.

    Args:
        form: patient and order, checked.
        now: the time, with its zone.
        make_uid: gives a new UID each time.
    """

    def __init__(self, form: Form, now: datetime, make_uid: Callable[[], str] = new_uid) -> None:
        self._form, self._now, self._uid = form, now, make_uid
        self._study = form.study_uid or make_uid()
        self._series: dict[str, tuple[str, int]] = {}
        self._number = 0

    def make(self, data: bytes) -> Iterator[Made]:
        """The instances of one file.

        Raises:
            Malformed: it is no JPEG, PNG, TIFF or PDF, is damaged, or is beyond the limits.
        """
        origin = sha256(data).hexdigest()
        if data[:1024].lstrip().startswith(b"%PDF-"):
            yield self._pdf(data, origin)
            return
        pictures = read(data)
        for _, group in groupby(pictures.pages, key=lambda page: page.shape):
            pages = list(group)
            scanned = self._form.kind in SCANNED and pictures.spacing is None
            whole = "" if scanned else self._multi_class(pages)  # a multi-frame scan must tell its spacing
            for some in [pages] if whole else [[page] for page in pages]:
                yield self._image(some, pictures, whole or self._single_class(some[0]), origin)

    def _single_class(self, page: Page) -> str:
        photographic = self._form.kind is Kind.PHOTO and page.bits == 8
        return PHOTOGRAPHIC if photographic else SECONDARY_CAPTURE

    def _multi_class(self, pages: list[Page]) -> str:
        """The class that holds all pages as frames; empty if none does."""
        first = pages[0]
        if len(pages) == 1 or first.photometric == "MONOCHROME1":
            return ""
        if first.samples == 3:
            return MULTI_COLOUR
        return MULTI_GREY_BYTE if first.bits == 8 else MULTI_GREY_WORD

    def _common(self, sop_class: str, modality: str, origin: str, media_type: str) -> Dataset:
        form, local = self._form, self._now
        series, number = self._series.setdefault(sop_class, (self._uid(), len(self._series) + 1))
        self._number += 1
        dataset = Dataset()
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.InstanceCreationDate = dataset.ContentDate = f"{local:%Y%m%d}"
        dataset.InstanceCreationTime = dataset.ContentTime = f"{local:%H%M%S}"
        dataset.TimezoneOffsetFromUTC = f"{local:%z}"
        dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, self._uid()
        dataset.StudyDate = form.study_date or f"{local:%Y%m%d}"
        dataset.StudyTime = form.study_time if form.study_date else f"{local:%H%M%S}"
        dataset.AccessionNumber, dataset.StudyID = form.accession, form.study_id
        dataset.Modality, dataset.Manufacturer = modality, MANUFACTURER
        dataset.ConversionType = _CONVERSION[form.kind]
        dataset.ReferringPhysicianName = form.referring
        dataset.StudyDescription = form.description
        dataset.PatientName, dataset.PatientID = form.patient_name, form.patient_id
        dataset.PatientBirthDate, dataset.PatientSex = form.birth_date, form.sex
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = self._study, series
        dataset.SeriesNumber, dataset.InstanceNumber = number, self._number
        if requested := _requested(form):
            dataset.RequestAttributesSequence = Sequence([requested])
        block = dataset.private_block(PRIVATE_GROUP, PRIVATE_CREATOR, create=True)
        block.add_new(0x01, "LO", origin)
        block.add_new(0x02, "LO", media_type)
        return dataset

    def _image(self, pages: list[Page], pictures: Pictures, sop_class: str, origin: str) -> Made:
        form, first = self._form, pages[0]
        modality = "XC" if sop_class == PHOTOGRAPHIC else form.modality or _MODALITY[form.kind]
        dataset = self._common(sop_class, modality, origin, pictures.media_type)
        photographic = sop_class == PHOTOGRAPHIC
        derived = "DERIVED" if pictures.changes or not photographic else "ORIGINAL"
        dataset.ImageType = [derived, "PRIMARY" if photographic else "SECONDARY"]
        dataset.PatientOrientation = ""
        dataset.BurnedInAnnotation = "NO" if photographic else "YES"
        if form.body_part:
            dataset.BodyPartExamined = form.body_part
        if form.laterality:
            dataset.ImageLaterality = form.laterality  # then Laterality must not stand there
        elif form.body_part not in UNPAIRED:
            dataset.Laterality = ""  # type 2C: of a paired part, unknown
        if photographic:
            dataset.AcquisitionContextSequence = Sequence([])
        elif pictures.spacing and form.kind in SCANNED:
            dataset.NominalScannedPixelSpacing = [f"{value:.8g}" for value in pictures.spacing]
        if pictures.taken:
            dataset.AcquisitionDateTime = pictures.taken
            dataset.AcquisitionDate, dataset.AcquisitionTime = pictures.taken[:8], pictures.taken[8:]
        if pictures.changes:
            dataset.DerivationDescription = "; ".join(pictures.changes)[:1024]
        dataset.ImageComments = f"Made of {pictures.media_type}, SHA-256 {origin}"
        _pixels(dataset, pages, pictures)
        if len(pages) > 1:
            _frames(dataset, len(pages), grey=first.samples == 1)
        return Made(_bytes(dataset), JPEG_BASELINE if first.jpeg else transfer.EXPLICIT_LITTLE, origin)

    def _pdf(self, data: bytes, origin: str) -> Made:
        if len(data) > PDF_LIMIT:
            raise Malformed(f"a PDF of more than {PDF_LIMIT} bytes")
        if b"%%EOF" not in data[-2048:]:
            raise Malformed("the PDF is cut off")
        dataset = self._common(ENCAPSULATED_PDF, "DOC", origin, "application/pdf")
        dataset.ConversionType = "SD" if self._form.kind is Kind.PAPER else "WSD"
        dataset.AcquisitionDateTime = ""
        dataset.BurnedInAnnotation = "YES"
        dataset.DocumentTitle = self._form.description
        dataset.ConceptNameCodeSequence = Sequence([])
        dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
        dataset.EncapsulatedDocumentLength = len(data)
        dataset.EncapsulatedDocument = data + b"\0" * (len(data) % 2)
        return Made(_bytes(dataset), transfer.EXPLICIT_LITTLE, origin)


def _requested(form: Form) -> Dataset | None:
    """The order it was made for (PS3.3 10.6); None: none was chosen."""
    if not form.requested_procedure:
        return None
    made = Dataset()
    made.RequestedProcedureID = form.requested_procedure
    if form.scheduled_step:
        made.ScheduledProcedureStepID = form.scheduled_step
    return made


def _pixels(dataset: Dataset, pages: list[Page], pictures: Pictures) -> None:
    first = pages[0]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = first.samples, first.photometric
    if first.samples == 3:
        dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = first.rows, first.columns
    dataset.BitsAllocated = dataset.BitsStored = first.bits
    dataset.HighBit, dataset.PixelRepresentation = first.bits - 1, 0
    if first.samples == 1:
        dataset.PresentationLUTShape = "INVERSE" if first.photometric == "MONOCHROME1" else "IDENTITY"
    if pictures.profile:
        dataset.ICCProfile = pictures.profile + b"\0" * (len(pictures.profile) % 2)
    dataset.LossyImageCompression = "01" if pictures.lossy else "00"
    if first.jpeg:
        plain = first.rows * first.columns * first.samples
        dataset.LossyImageCompressionRatio = f"{plain / len(first.data):.4g}"
        dataset.LossyImageCompressionMethod = "ISO_10918_1"
        dataset.PixelData = encapsulate([page.data for page in pages])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        return
    data = b"".join(page.data for page in pages)
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OW" if first.bits > 8 else "OB"


def _frames(dataset: Dataset, count: int, *, grey: bool) -> None:
    dataset.NumberOfFrames = count
    dataset.PageNumberVector = list(range(1, count + 1))
    dataset.FrameIncrementPointer = Tag("PageNumberVector")
    if grey:
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"


def _bytes(dataset: Dataset) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    write_dataset(buffer, dataset)
    written: bytes = buffer.getvalue()
    return written
