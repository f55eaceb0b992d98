"""Orthanc as the sender: what it forwards reaches the hub, and the pixels are the ones it was given."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from pydicom import dcmread

from gateway.demo import modality
from tests.doubles import orthanc
from tests.journeys.conftest import Stack
from tests.journeys.test_every_instance import ARRIVAL_SECONDS, client_of, generated


@pytest.mark.skipif(not orthanc.INSTALLED, reason="Orthanc is not installed")
def test_orthanc_forwards_a_study(stack: Stack, tmp_path: Path) -> None:
    files = generated(tmp_path / "g", "orthanc")
    edge = (stack.edge["ae_title"], stack.edge["dicom_host"], stack.edge["dicom_port"])
    with orthanc.running(tmp_path / "orthanc", modality=edge) as sender:
        for file in files:
            sender.call("POST", "/instances", file.read_bytes())
        (study,) = sender.call("GET", "/studies")
        job = sender.call("POST", "/modalities/edge/store", study.encode())
        assert (job["InstancesCount"], job["FailedInstancesCount"]) == (len(files), 0)
    client = client_of(stack)
    samples, _ = modality.read_samples(files)
    until = time.monotonic() + ARRIVAL_SECONDS
    rows: list[object] = []
    while len(rows) < len(files) and time.monotonic() < until:
        rows = client.search_for_instances(search_filters={"StudyInstanceUID": samples[0].study_uid})
        time.sleep(0.3)
    assert len(rows) == len(files), stack.logs()
    for file in files:
        sent = dcmread(file)
        kept = client.retrieve_instance(sent.StudyInstanceUID, sent.SeriesInstanceUID, sent.SOPInstanceUID)
        assert kept.PixelData == sent.PixelData
        assert kept.PatientName == sent.PatientName
