"""Orthanc as the hospital's PACS: it takes the report in both forms and can show them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edge.downlink.deliver_dicom import DicomDelivery
from tests.doubles import orthanc
from tests.doubles.delivery import verified


@pytest.mark.skipif(not orthanc.INSTALLED, reason="Orthanc is not installed")
async def test_orthanc_takes_the_report_and_indexes_it(tmp_path: Path) -> None:
    found = await verified()
    with orthanc.running(tmp_path / "orthanc") as pacs:
        told = await DicomDelivery("pacs", "127.0.0.1", pacs.dicom_port, "ORTHANC", "TELERAD").deliver(found)
        assert told == "Basic Text SR stored (0x0000); Encapsulated PDF stored (0x0000)"
        tags = [
            await asyncio.to_thread(pacs.call, "GET", f"/instances/{one}/simplified-tags")
            for one in await asyncio.to_thread(pacs.call, "GET", "/instances")
        ]
    assert {tag["Modality"] for tag in tags} == {"SR", "DOC"}
    assert {tag["SOPInstanceUID"] for tag in tags} == {
        found.structured.sop_instance_uid,
        found.enveloped.sop_instance_uid,
    }
    assert {tag["StudyInstanceUID"] for tag in tags} == {found.report.study.study_uid}
    assert {tag["PatientName"] for tag in tags} == {"Zhang^XiaoDong=张^小东"}
