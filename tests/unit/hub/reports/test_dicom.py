from __future__ import annotations

import dataclasses
import shutil
import subprocess
from io import BytesIO
from pathlib import Path

import pydicom
import pytest

from gateway.dicom.part10 import wrap
from gateway.report.model import Kind, Report
from hub.reports.dicom import TRANSFER_SYNTAX, Evidence, Object, encapsulated_pdf, structured_report
from tests.doubles.report import CHINESE, ENGLISH, report

EVIDENCE = [Evidence(f"1.2.3.{n // 3}", "1.2.840.10008.5.1.4.1.1.2", f"1.2.3.4.{n}") for n in range(7)]
ADDENDUM = report(CHINESE, version=2, kind=Kind.ADDENDUM, supersedes="0" * 32)


def file_of(made: Object) -> bytes:
    return wrap(made.sop_class_uid, made.sop_instance_uid, TRANSFER_SYNTAX) + made.dataset


def read(made: Object) -> pydicom.Dataset:
    return pydicom.dcmread(BytesIO(file_of(made)))


def complaints(made: Object, folder: Path) -> list[str]:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dicom3tools is not installed")
    file = folder / "made.dcm"
    file.write_bytes(file_of(made))
    done = subprocess.run(["dciodvfy", file], capture_output=True, text=True, check=False)
    assert "BasicTextSR" in done.stderr or "EncapsulatedPDF" in done.stderr, done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith(("Error", "Warning"))]


@pytest.mark.parametrize("whole", [report(ENGLISH), report(CHINESE), ADDENDUM], ids=["en", "zh", "addendum"])
def test_dciodvfy_finds_nothing(whole: Report, tmp_path: Path) -> None:
    assert complaints(structured_report(whole, EVIDENCE, "Telerad"), tmp_path) == []
    assert complaints(encapsulated_pdf(whole, b"%PDF-1.7 odd"), tmp_path) == []


def test_dcmtk_reads_the_chinese_and_cyrillic_text_of_the_sr(tmp_path: Path) -> None:
    if shutil.which("dsrdump") is None:
        pytest.skip("dcmtk is not installed")
    file = tmp_path / "sr.dcm"
    file.write_bytes(file_of(structured_report(report(CHINESE), EVIDENCE, "Telerad")))
    done = subprocess.run(["dsrdump", "-Ee", "+Pl", file], check=True, capture_output=True)
    text = done.stdout.decode()
    assert "左侧额颞部" in text
    assert "острая эпидуральная" in text
    assert "VERIFIED" in text.upper()


def test_the_sr_says_who_verified_and_what_was_read() -> None:
    dataset = read(structured_report(report(CHINESE), EVIDENCE, "Telerad"))
    assert dataset.VerificationFlag == "VERIFIED"
    assert str(dataset.VerifyingObserverSequence[0].VerifyingObserverName) == "Dr. Wei Lin 林伟^"
    assert str(dataset.PatientName) == "Zhang^XiaoDong=张^小东"
    referenced = dataset.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert [len(one.ReferencedSOPSequence) for one in referenced] == [3, 3, 1]
    sections = [item.ConceptNameCodeSequence[0].CodeMeaning for item in dataset.ContentSequence]
    assert sections[3:] == [
        "Communication of Critical Results",
        "Request",
        "Current Procedure Descriptions",
        "Previous Findings",
        "Findings",
        "Impressions",
    ]


def test_an_addendum_refers_to_the_report_it_completes() -> None:
    first = structured_report(report(CHINESE, report_id="0" * 32), EVIDENCE, "Telerad")
    second = read(structured_report(ADDENDUM, EVIDENCE, "Telerad"))
    reference = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert reference.SeriesInstanceUID == first.series_uid
    assert reference.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.sop_instance_uid


@pytest.mark.parametrize("pdf", [b"%PDF-1.7 odd\n%%EOF\n", b"%PDF-1.7 even\n%%EOF\n"], ids=["even", "odd"])
def test_the_pdf_comes_out_byte_for_byte(pdf: bytes, tmp_path: Path) -> None:
    made = encapsulated_pdf(report(), pdf)
    dataset = read(made)
    assert dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength] == pdf
    if shutil.which("dcm2pdf"):
        (tmp_path / "a.dcm").write_bytes(file_of(made))
        subprocess.run(["dcm2pdf", "a.dcm", "a.pdf"], cwd=tmp_path, check=True)
        assert (tmp_path / "a.pdf").read_bytes() == pdf


def test_made_twice_it_is_the_same_and_every_report_has_its_own() -> None:
    again = [structured_report(report(), EVIDENCE, "Telerad") for _ in range(2)]
    assert again[0] == again[1]
    other = structured_report(report(report_id="1" * 32), EVIDENCE, "Telerad")
    assert other.sop_instance_uid != again[0].sop_instance_uid


def test_odd_values_of_a_header_do_not_break_it() -> None:
    whole = report(
        patient=dataclasses.replace(
            report().patient, patient_id="a\\b", sex="?", birth_date="unknown", issuer=""
        ),
        study=dataclasses.replace(report().study, accession="X" * 40, study_time="", study_date="2026"),
    )
    dataset = read(structured_report(whole, [], "Telerad"))
    assert dataset.PatientID == "a/b"
    assert dataset.get_item("AccessionNumber").value == b"X" * 40
    assert "IssuerOfPatientID" not in dataset
