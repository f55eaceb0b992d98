"""The report as two DICOM objects: a Basic Text SR (PS3.16 TID 2000), and the signed PDF in an envelope.

Both are written by hand, explicit little endian and ISO_IR 192 (UTF-8) alone. Their UIDs are made
from the report id, so making them twice makes the same objects. The PDF is the original.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian

from gateway.clock import parse_rfc3339
from gateway.report.model import Kind, Report

TRANSFER_SYNTAX = str(ExplicitVRLittleEndian)
BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"
ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"

Code = tuple[str, str, str]
REPORT_TITLE: Code = ("18748-4", "LN", "Diagnostic Imaging Report")  # CID 7000
LANGUAGE: Code = ("121049", "DCM", "Language of Content Item and Descendants")
OBSERVER_TYPE: Code = ("121005", "DCM", "Observer Type")
PERSON: Code = ("121006", "DCM", "Person")
OBSERVER_NAME: Code = ("121008", "DCM", "Person Observer Name")
LANGUAGES: dict[str, Code] = {"en": ("en", "RFC5646", "English"), "zh": ("zh", "RFC5646", "Chinese")}
CRITICAL: tuple[Code, Code] = (
    ("73568-8", "LN", "Communication of Critical Results"),
    ("121077", "DCM", "Conclusion"),
)
CRITICAL_TEXT = {
    "en": "Critical finding: the referring physician must be told at once.",
    "zh": "危急值：须立即通知申请医师。",
}

HEADINGS: dict[str, tuple[Code, Code]] = {  # section: heading (CID 7001), element (CID 7002)
    "clinical_question": (("55115-0", "LN", "Request"), ("55115-0", "LN", "Request")),
    "technique": (
        ("55111-9", "LN", "Current Procedure Descriptions"),
        ("121065", "DCM", "Procedure Description"),
    ),
    "comparison": (("18834-2", "LN", "Previous Findings"), ("121069", "DCM", "Previous Finding")),
    "findings": (("59776-5", "LN", "Findings"), ("121071", "DCM", "Finding")),
    "impression": (("19005-8", "LN", "Impressions"), ("121073", "DCM", "Impression")),
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One instance of the study that was read."""

    series_uid: str
    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Object:
    """A DICOM object made here: what the archive must know, and its dataset bytes."""

    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    dataset: bytes


def structured_report(report: Report, evidence: Sequence[Evidence], organisation: str) -> Object:
    """The Basic Text SR of `report` (PS3.3 A.35.1), verified.

    Args:
        report: what was signed.
        evidence: every instance of the study (PS3.3 C.17.2, Current Requested Procedure Evidence).
        organisation: of the reader (Verifying Organization).
    """
    dataset, moment = _common(report, "sr", BASIC_TEXT_SR, "SR")
    person = _person(report.author.display_name)
    _put(dataset, "ReferencedPerformedProcedureStepSequence", Items())
    _put(dataset, "CompletionFlag", "COMPLETE")
    _put(dataset, "CompletionFlagDescription", f"Report {report.report_id}")
    _put(dataset, "VerificationFlag", "VERIFIED")
    verifier = _item(
        VerifyingObserverName=person,
        VerifyingOrganization=organisation[:64],
        VerificationDateTime=moment.strftime("%Y%m%d%H%M%S+0000"),
        VerifyingObserverIdentificationCodeSequence=Items(),
    )
    _put(dataset, "VerifyingObserverSequence", Items([verifier]))
    _put(dataset, "PerformedProcedureCodeSequence", Items())
    if evidence:
        _put(
            dataset, "CurrentRequestedProcedureEvidenceSequence", _evidence(report.study.study_uid, evidence)
        )
    if report.supersedes is not None:
        earlier = Evidence(*_uids(report.supersedes, "sr"))
        _put(dataset, "PredecessorDocumentsSequence", _evidence(report.study.study_uid, [earlier]))
    _content(dataset, report, person)
    return _object(dataset)


def encapsulated_pdf(report: Report, pdf: bytes) -> Object:
    """The signed PDF, byte for byte, as an Encapsulated PDF (PS3.3 A.45.1)."""
    dataset, moment = _common(report, "pdf", ENCAPSULATED_PDF, "DOC")
    _put(dataset, "ConversionType", "WSD")
    _put(dataset, "AcquisitionDateTime", moment.strftime("%Y%m%d%H%M%S+0000"))
    _put(dataset, "BurnedInAnnotation", "YES")
    _put(dataset, "DocumentTitle", "Addendum" if report.kind is Kind.ADDENDUM else "Radiology report")
    _put(dataset, "ConceptNameCodeSequence", Items([_code(REPORT_TITLE)]))
    _put(dataset, "MIMETypeOfEncapsulatedDocument", "application/pdf")
    _put(dataset, "EncapsulatedDocument", pdf + b"\0" * (len(pdf) % 2))
    _put(dataset, "EncapsulatedDocumentLength", len(pdf))  # the byte of padding is not the document's
    return _object(dataset)


def _common(report: Report, form: str, sop_class: str, modality: str) -> tuple[Dataset, datetime]:
    moment = parse_rfc3339(report.signed_at).astimezone(UTC)
    patient, study = report.patient, report.study
    _, _, instance = _uids(report.report_id, form)
    values = {
        "SpecificCharacterSet": "ISO_IR 192",
        "InstanceCreationDate": moment.strftime("%Y%m%d"),
        "InstanceCreationTime": moment.strftime("%H%M%S"),
        "SOPClassUID": sop_class,
        "SOPInstanceUID": instance,
        "StudyDate": _date(study.study_date),
        "StudyTime": _time(study.study_time),
        "ContentDate": moment.strftime("%Y%m%d"),
        "ContentTime": moment.strftime("%H%M%S"),
        "AccessionNumber": study.accession,
        "Modality": modality,
        "Manufacturer": "Telerad Gateway",
        "ReferringPhysicianName": study.referring,
        "StudyDescription": study.description[:64],
        "SeriesDescription": "Addendum" if report.kind is Kind.ADDENDUM else "Radiology report",
        "PatientName": patient.name,
        "PatientID": patient.patient_id,
        "IssuerOfPatientID": patient.issuer,
        "PatientBirthDate": _date(patient.birth_date),
        "PatientSex": patient.sex if patient.sex in ("M", "F", "O") else "",
        "StudyInstanceUID": study.study_uid,
        "SeriesInstanceUID": _uids(report.report_id, form)[0],
        "StudyID": study.study_id[:16],
        "SeriesNumber": str(9000 + report.version),
        "InstanceNumber": "1",
    }
    dataset = Dataset()
    for keyword, value in values.items():
        if keyword != "IssuerOfPatientID" or value:
            _put(dataset, keyword, value if keyword == "SpecificCharacterSet" else value.replace("\\", "/"))
    return dataset, moment


def _content(dataset: Dataset, report: Report, person: str) -> None:
    """The content tree (PS3.3 C.17.3): context, then one container a section."""
    _put(dataset, "ValueType", "CONTAINER")
    _put(dataset, "ConceptNameCodeSequence", Items([_code(REPORT_TITLE)]))
    _put(dataset, "ContinuityOfContent", "SEPARATE")
    _put(
        dataset, "ContentTemplateSequence", Items([_item(MappingResource="DCMR", TemplateIdentifier="2000")])
    )
    language = Items([_code(LANGUAGES[report.body.language])])
    items = [
        _content_item("HAS CONCEPT MOD", "CODE", LANGUAGE, ConceptCodeSequence=language),
        _content_item("HAS OBS CONTEXT", "CODE", OBSERVER_TYPE, ConceptCodeSequence=Items([_code(PERSON)])),
        _content_item("HAS OBS CONTEXT", "PNAME", OBSERVER_NAME, PersonName=person),
    ]
    if report.body.critical:
        items.append(_section(CRITICAL, CRITICAL_TEXT[report.body.language]))
    for name, headings in HEADINGS.items():
        text: str = getattr(report.body, name).strip()
        if text:
            items.append(_section(headings, text))
    _put(dataset, "ContentSequence", Items(items))


def _section(headings: tuple[Code, Code], text: str) -> Dataset:
    lines = text.replace("\n", "\r\n")  # PS3.5 §6.1.3: lines of text end with CR LF
    inner = _content_item("CONTAINS", "TEXT", headings[1], TextValue=lines)
    return _content_item(
        "CONTAINS", "CONTAINER", headings[0], ContinuityOfContent="SEPARATE", ContentSequence=Items([inner])
    )


def _content_item(relation: str, value_type: str, concept: Code, **values: object) -> Dataset:
    return _item(
        RelationshipType=relation,
        ValueType=value_type,
        ConceptNameCodeSequence=Items([_code(concept)]),
        **values,
    )


def _evidence(study_uid: str, evidence: Sequence[Evidence]) -> Items:
    series: dict[str, list[Dataset]] = {}
    for one in evidence:
        reference = _item(
            ReferencedSOPClassUID=one.sop_class_uid, ReferencedSOPInstanceUID=one.sop_instance_uid
        )
        series.setdefault(one.series_uid, []).append(reference)
    referenced = [
        _item(SeriesInstanceUID=uid, ReferencedSOPSequence=Items(instances))
        for uid, instances in series.items()
    ]
    return Items([_item(StudyInstanceUID=study_uid, ReferencedSeriesSequence=Items(referenced))])


def _code(code: Code) -> Dataset:
    value, scheme, meaning = code
    return _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _item(**values: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        _put(dataset, keyword, value)
    return dataset


def _put(dataset: Dataset, keyword: str, value: object) -> None:
    """Set an attribute without pydicom's check of its form.

    What came from a header (an accession number of 20 characters) is given back as it came: the
    hospital's own system must find it again.
    """
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    dataset.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=config.IGNORE))


def _object(dataset: Dataset) -> Object:
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, False
    write_dataset(out, dataset, ["utf-8"])
    return Object(
        str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), str(dataset.SeriesInstanceUID), out.getvalue()
    )


def _uids(report_id: str, form: str) -> tuple[str, str, str]:
    """Series, SOP class and instance UID of a report's `form` (PS3.5 B.2: 2.25 and a 128-bit number)."""
    digests = (
        hashlib.sha256(f"{form} {kind} {report_id}".encode()).digest() for kind in ("series", "instance")
    )
    series, instance = (f"2.25.{int.from_bytes(digest[:16], 'big')}" for digest in digests)
    return series, BASIC_TEXT_SR if form == "sr" else ENCAPSULATED_PDF, instance


def _person(name: str) -> str:
    """A display name as a person name's first component; the caret says that it is not the retired form."""
    return " ".join(name.translate({ord(sign): " " for sign in "^=\\"}).split())[:63] + "^"


def _date(text: str) -> str:
    return text if len(text) == 8 and text.isdigit() else ""


def _time(text: str) -> str:
    return text if text.replace(".", "", 1).isdigit() and len(text) >= 4 else ""
