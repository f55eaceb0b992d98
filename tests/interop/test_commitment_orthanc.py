"""Orthanc stores, asks for storage commitment, and shows what it was told: a judge nobody here wrote."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from pathlib import Path

import pytest

from edge.config import Ingest, Sender
from edge.ingest.listener import DicomListener
from edge.ingest.offered import Offered
from gateway.dicom import transfer
from gateway.dicom.part10 import wrap
from tests.doubles import orthanc
from tests.doubles.datasets import encode, sample
from tests.doubles.ports import free_ports
from tests.doubles.spools import SpoolWorld

CT = "1.2.840.10008.5.1.4.1.1.2"


def _until(look, seconds=20):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if seen := look():
            return seen
        time.sleep(0.1)
    raise TimeoutError("it never came")


@pytest.mark.skipif(not orthanc.INSTALLED, reason="Orthanc is not installed")
def test_orthanc_is_told_when_the_hub_has_signed(tmp_path: Path) -> None:
    world = SpoolWorld(tmp_path / "edge")
    (port,) = free_ports(1)
    with orthanc.running(tmp_path / "orthanc", modality=("TELERAD", "127.0.0.1", port)) as pacs:
        sender = Sender("ORTHANC", report_host="127.0.0.1", report_port=pacs.dicom_port)
        config = Ingest(host="127.0.0.1", port=port, senders=(sender,), secret=tmp_path / "key")
        offered = Offered(config, world.data, world.spool, world.clock)
        listener = DicomListener(config, world.spool, world.clock, services=offered.services)
        listener.start()
        stop = threading.Event()

        def report() -> None:
            while not stop.wait(0.1):
                offered.commitments.round()

        service = threading.Thread(target=report)
        service.start()
        try:
            for number in (1, 2):
                data = encode(sample(os.urandom(256), instance=f"1.2.3.{number}"))
                file = wrap(CT, f"1.2.3.{number}", transfer.EXPLICIT_LITTLE) + data
                pacs.call("POST", "/instances", file)
            resources = pacs.call("GET", "/instances")
            job = pacs.call(
                "POST",
                "/modalities/edge/store",
                json.dumps({"Resources": resources, "StorageCommitment": True}).encode(),
            )
            told = f"/storage-commitment/{job['StorageCommitmentTransactionUID']}"
            assert pacs.call("GET", told)["Status"] == "Pending"
            _until(lambda: sum(one.instances for one in world.spool.to_pack(9)) == 2)  # from another process
            while waiting := world.spool.to_pack(1):
                parcel = world.packer.seal(waiting[0]).parcel_id
                asyncio.run(world.spool.confirm(parcel, world.receipt(parcel)))
            found = _until(lambda: (one := pacs.call("GET", told))["Status"] != "Pending" and one)
            assert (found["Status"], found["RemoteAET"]) == ("Success", "TELERAD")
            assert {one["SOPInstanceUID"] for one in found["Success"]} == {"1.2.3.1", "1.2.3.2"}
            asked = {"DicomInstances": [{"SOPClassUID": CT, "SOPInstanceUID": "1.2.3.9"}]}
            other = pacs.call("POST", "/modalities/edge/storage-commitment", json.dumps(asked).encode())
            world.clock.advance(config.commitment_wait)
            found = _until(lambda: (one := pacs.call("GET", other["Path"]))["Status"] != "Pending" and one)
            assert found["Status"] == "Failure"
            assert [one["FailureReason"] for one in found["Failures"]] == [0x0112]
        finally:
            stop.set()
            service.join()
            listener.stop(5)
            offered.close()
            world.spool.close()
