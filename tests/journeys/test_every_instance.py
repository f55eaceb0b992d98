"""From real senders to DICOMweb: every instance that was taken comes back byte for byte.

dcmtk's ``storescu`` and pynetdicom send; ``dicomweb-client`` fetches. What ``storescu`` really puts on
the line is learned from dcmtk's own ``storescp --bit-preserving``, so no code of ours is its own judge.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from dicomweb_client.api import DICOMwebClient
from dicomweb_client.session_utils import create_session
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from gateway.demo import modality
from gateway.demo.phantom import derived_uid
from gateway.dicom import part10
from tests.journeys.conftest import ROOT, Stack

SHARED = Path(os.environ.get("TELERAD_SHARED_DATA", ROOT.parent / "shared" / "data"))
ARRIVAL_SECONDS = 90


def _image(run: str, number: int, *, implicit: bool) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, derived_uid(run, number)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = derived_uid(run, "s"), derived_uid(run, "e")
    dataset.PatientName, dataset.PatientID, dataset.Modality = "Made^Up", f"ID-{run}", "CT"
    dataset.StudyDate, dataset.InstanceNumber = "20260102", number
    dataset.Rows = dataset.Columns = 32
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 0
    dataset.PixelData = np.random.default_rng(number).integers(0, 4096, 1024, dtype="<u2").tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    return dataset


def generated(folder: Path, run: str, count: int = 12) -> list[Path]:
    folder.mkdir()
    files = []
    for number in range(1, count + 1):
        file = folder / f"{number}.dcm"
        dcmwrite(file, _image(run, number, implicit=number % 2 == 0), enforce_file_format=True)
        files.append(file)
    return files


def client_of(stack: Stack) -> DICOMwebClient:
    session = create_session()
    session.verify = stack.hub["ca"]
    session.trust_env = False  # a CA bundle named by the environment would win over ours
    return DICOMwebClient(
        url=stack.hub["dicomweb"], session=session, headers={"Authorization": f"Bearer {stack.hub['token']}"}
    )


def _digests_at_hub(client: DICOMwebClient, sample: modality.Sample) -> set[str]:
    """SHA-256 of every dataset the hub returns for one instance UID, in the syntax it was sent in."""
    digests = set()
    for row in client.search_for_instances(search_filters={"SOPInstanceUID": sample.sop_instance_uid}):
        study, series = row["0020000D"]["Value"][0], row["0020000E"]["Value"][0]
        response = client._http_get(
            f"{client.base_url}/studies/{study}/series/{series}/instances/{sample.sop_instance_uid}",
            headers={"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'},
        )
        for part in client._decode_multipart_message(response, stream=False):
            digests.add(hashlib.sha256(part10.split(part).dataset).hexdigest())
    return digests


def _wait_for(client: DICOMwebClient, samples: list[modality.Sample]) -> dict[str, set[str]]:
    """What the hub holds for each instance UID, once all digests are there or time is up."""
    held: dict[str, set[str]] = {sample.sop_instance_uid: set() for sample in samples}
    until = time.monotonic() + ARRIVAL_SECONDS
    missing = list(samples)
    while missing and time.monotonic() < until:
        for sample in missing:
            held[sample.sop_instance_uid] |= _digests_at_hub(client, sample)
        missing = [s for s in missing if s.sha256 not in held[s.sop_instance_uid]]
        time.sleep(0.3)
    return held


def _send(stack: Stack, samples: list[modality.Sample]) -> list[modality.Answer]:
    edge = stack.edge
    return modality.send(samples, edge["dicom_host"], edge["dicom_port"], edge["ae_title"], lambda _: None)


def test_pynetdicom_to_dicomweb_byte_for_byte(stack: Stack, tmp_path: Path) -> None:
    samples, _ = modality.read_samples(generated(tmp_path / "g", "pynetdicom"))
    assert [answer.status for answer in _send(stack, samples)] == [0x0000] * 12
    held = _wait_for(client_of(stack), samples)
    assert {uid: {s.sha256} for s in samples if (uid := s.sop_instance_uid)} == held, stack.logs()


def test_the_same_instance_twice_is_one_and_other_bytes_are_both_kept(stack: Stack, tmp_path: Path) -> None:
    first, _ = modality.read_samples(generated(tmp_path / "a", "conflict", 1))
    changed = dcmread(first[0].path)
    changed.PatientComments = "other bytes under the same UID"
    changed.save_as(tmp_path / "changed.dcm")
    second = modality.read_sample(tmp_path / "changed.dcm")
    for sample in (first[0], first[0], second):
        assert [answer.status for answer in _send(stack, [sample])] == [0x0000]
    client = client_of(stack)
    until = time.monotonic() + ARRIVAL_SECONDS
    while time.monotonic() < until:
        rows = client.search_for_instances(search_filters={"SOPInstanceUID": second.sop_instance_uid})
        if rows and _conflicts(stack):
            break
        time.sleep(0.3)
    assert _digests_at_hub(client, second) >= {first[0].sha256}, stack.logs()
    conflicts = _conflicts(stack)
    assert any(second.sop_instance_uid in str(conflict) for conflict in conflicts), conflicts


def _conflicts(stack: Stack) -> list[object]:
    """What the portal shows an administrator."""
    import asyncio

    from gateway.demo.portal import Portal

    async def ask() -> list[object]:
        async with Portal(stack.hub["url"], Path(stack.hub["ca"])) as portal:
            admin = stack.user("admin")
            await portal.log_in(admin["name"], admin["password"])
            answer = await portal.call("GET", "/api/admin/conflicts")
            return list(answer["conflicts"])

    return asyncio.run(ask())


@contextmanager
def _bit_preserving_storescp(folder: Path) -> Iterator[int]:
    """dcmtk's receiver that writes the dataset exactly as it came over the line."""
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    process = subprocess.Popen(
        ["storescp", "--bit-preserving", "--accept-all", "-od", str(folder), "-uf", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


@pytest.mark.skipif(shutil.which("storescu") is None, reason="dcmtk is not installed")
def test_storescu_to_dicomweb_byte_for_byte(stack: Stack, tmp_path: Path) -> None:
    files = generated(tmp_path / "g", "dcmtk")
    scu = ["storescu", "-R", "-aec", stack.edge["ae_title"]]
    environment = {**os.environ, "TCP_NODELAY": "1"}
    with _bit_preserving_storescp(tmp_path / "line") as port:
        subprocess.run([*scu, "127.0.0.1", str(port), *map(str, files)], check=True, env=environment)
    address = (stack.edge["dicom_host"], str(stack.edge["dicom_port"]))
    subprocess.run([*scu, *address, *map(str, files)], check=True, env=environment)
    on_the_line, passed_over = modality.read_samples(sorted((tmp_path / "line").iterdir()))
    assert (len(on_the_line), passed_over) == (len(files), [])
    held = _wait_for(client_of(stack), on_the_line)
    assert all(s.sha256 in held[s.sop_instance_uid] for s in on_the_line), stack.logs()


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder of real files is not beside the checkout")
def test_every_real_file_comes_back_byte_for_byte(stack: Stack) -> None:
    files = sorted(
        path for path in SHARED.rglob("*") if path.is_file() and path.suffix not in (".csv", ".md")
    )
    samples, passed_over = modality.read_samples(files)
    assert len(samples) > 300
    assert len(samples) + len(passed_over) == len(files)
    answers = _send(stack, samples)
    taken = [answer.sample for answer in answers if answer.taken]
    declined = [(a.status, a.sample.transfer_syntax_uid) for a in answers if not a.taken]
    assert set(declined) <= {(None, DeflatedExplicitVRLittleEndian)}  # off by default, told at negotiation
    held = _wait_for(client_of(stack), taken)
    lost = [sample.path.name for sample in taken if sample.sha256 not in held[sample.sop_instance_uid]]
    assert lost == [], stack.logs()
