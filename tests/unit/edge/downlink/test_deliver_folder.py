from __future__ import annotations

import dataclasses
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.downlink.deliver_folder import FolderDelivery, safe
from edge.downlink.verify import Verified
from gateway.errors import Refused, Unavailable
from tests.doubles.delivery import verified


def with_accession(found: Verified, accession: str) -> Verified:
    study = dataclasses.replace(found.report.study, accession=accession)
    return dataclasses.replace(found, report=dataclasses.replace(found.report, study=study))


async def test_three_files_side_by_side_and_again_without_harm(tmp_path: Path) -> None:
    found = await verified()
    delivery = FolderDelivery("folder", tmp_path / "out")
    told = await delivery.deliver(found)
    pdf = tmp_path / "out" / told
    assert pdf.name == f"A2026112201_{found.report.report_id}.pdf"
    assert pdf.read_bytes() == found.pdf
    envelope = pydicom.dcmread(pdf.with_suffix(".pdf.dcm"))
    assert envelope.EncapsulatedDocument[: envelope.EncapsulatedDocumentLength] == found.pdf
    assert pydicom.dcmread(pdf.with_suffix(".sr.dcm")).VerificationFlag == "VERIFIED"
    before = {file: file.stat().st_mtime_ns for file in pdf.parent.iterdir()}
    assert await delivery.deliver(found) == told
    assert {file: file.stat().st_mtime_ns for file in pdf.parent.iterdir()} == before


async def test_a_delivery_cut_off_by_a_crash_is_completed(tmp_path: Path) -> None:
    found = await verified()
    delivery = FolderDelivery("folder", tmp_path)
    pdf = tmp_path / await delivery.deliver(found)
    pdf.unlink()
    (pdf.parent / ".tmp-0123456789abcdef").write_bytes(b"half")
    await delivery.deliver(found)
    assert sorted(file.suffix for file in pdf.parent.iterdir()) == [".dcm", ".dcm", ".pdf"]


async def test_another_file_is_never_overwritten(tmp_path: Path) -> None:
    found = await verified()
    delivery = FolderDelivery("folder", tmp_path)
    pdf = tmp_path / await delivery.deliver(found)
    pdf.write_bytes(b"the hospital's own")
    with pytest.raises(Refused, match="another file"):
        await delivery.deliver(found)
    assert pdf.read_bytes() == b"the hospital's own"


async def test_a_folder_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable, match="cannot be written"):
        await FolderDelivery("folder", tmp_path / "file" / "out").deliver(await verified())


@pytest.mark.parametrize(
    "accession",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "..",
        ".",
        "",
        "a/b\\c",
        "检查号",
        "x" * 500,
        "-rf",
        "con.txt:ads",
    ],
)
async def test_a_hostile_accession_stays_in_the_folder(accession: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    await FolderDelivery("folder", out).deliver(with_accession(await verified(), accession))
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) == 3
    for file in files:
        assert file.parent.parent == out / "H001"
        assert not file.name.startswith((".", "-", "_"))


@given(st.text())
def test_a_safe_name_is_plain(text: str) -> None:
    assert len(safe(text)) <= 64
    assert all(c.isascii() and (c.isalnum() or c in "_-") for c in safe(text))
