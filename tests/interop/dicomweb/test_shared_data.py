"""Every real file, when they are beside the checkout: kept byte for byte, and served as pydicom reads it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pydicom
import pydicom.config
import pytest
from pydicom.encaps import generate_frames

from gateway.dicom.header import read_header
from gateway.dicom.part10 import split
from gateway.dicom.transfer import EXPLICIT_BIG
from hub.archive.archive import Stored
from tests.doubles.instances import entry

from .conftest import Service

SHARED = Path(os.environ.get("TELERAD_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data")
EVERYTHING = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
OHIF = {"Accept": "multipart/related; type=application/octet-stream; transfer-syntax=*"}


@dataclass
class Sample:
    """A file taken apart as the edge would."""

    path: Path
    data: bytes
    syntax: str
    uids: tuple[str, str, str]
    sop_class: str


def samples() -> Iterator[Sample]:
    """Every file that has a dataset with UIDs; the others never leave the edge as instances."""
    for path in sorted(SHARED.rglob("*")):
        if not path.is_file() or path.suffix in {".csv", ".md"} or "dicomdir" in path.parts:
            continue
        taken = split(path.read_bytes())
        data = bytes(taken.dataset)
        header = read_header(data, taken.transfer_syntax_uid)
        uids = tuple(
            header.string(word) for word in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        )
        if all(uids):
            yield Sample(path, data, taken.transfer_syntax_uid, uids, header.string("SOPClassUID") or "1.2.3")


def frames_by_pydicom(sample: Sample) -> list[bytes] | None:
    """The frames as pydicom sees them; None where it sees none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(sample.path, force=True)
        syntax = sample.syntax
        try:
            pixels = dataset.PixelData
        except AttributeError:
            return None
        count = int(dataset.get("NumberOfFrames") or 1)
        if dataset["PixelData"].is_undefined_length:
            return list(generate_frames(pixels, number_of_frames=count))
        bits = dataset.BitsAllocated
        size = dataset.Rows * dataset.Columns * dataset.get("SamplesPerPixel", 1) * bits
        if bits == 1:
            values = np.unpackbits(np.frombuffer(pixels, np.uint8), bitorder="little")
            parts = [values[number * size : (number + 1) * size] for number in range(count)]
            return [np.packbits(part, bitorder="little").tobytes() for part in parts]
        if syntax == EXPLICIT_BIG and (bits > 8 or dataset["PixelData"].VR == "OW"):
            width = max(2, bits // 8)
            pixels = (
                np.frombuffer(pixels[: len(pixels) // width * width], f">u{width}")
                .astype(f"<u{width}")
                .tobytes()
            )
        return [pixels[number * size // 8 : (number + 1) * size // 8] for number in range(count)]


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared data beside this checkout")
async def test_every_file(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pydicom.config, "replace_un_with_known_vr", False)  # what is no number stays UN
    known: set[tuple[str, str]] = set()
    digests: set[str] = set()
    kept: list[Sample] = []
    for sample in samples():
        made = entry(
            sample.data,
            syntax=sample.syntax,
            sop_class_uid=sample.sop_class,
            study_uid=sample.uids[0],
            series_uid=sample.uids[1],
            sop_instance_uid=sample.uids[2],
        )
        [stored] = await service.hub.archive.ingest([service.hub.incoming(sample.data, made)])
        digest = hashlib.sha256(sample.data).hexdigest()
        if digest in digests:
            assert stored is Stored.SAME, sample.path
        else:
            assert stored is (Stored.CONFLICT if ("uid", sample.uids[2]) in known else Stored.NEW), (
                sample.path
            )
            kept.append(sample)
        digests.add(digest)
        known.add(("uid", sample.uids[2]))
    assert len(kept) > 200
    async with aiohttp.ClientSession() as session:
        for sample in kept:
            await compare(session, service, sample)
        async with session.get(f"{service.url}/studies?limit=5000") as response:
            assert {item["0020000D"]["Value"][0] for item in await response.json(content_type=None)} == {
                sample.uids[0] for sample in kept
            }
        for study in {sample.uids[0] for sample in kept}:
            async with session.get(f"{service.url}/studies/{study}/metadata") as response:
                assert response.status == 200
                for item in await response.json(content_type=None):
                    pydicom.Dataset.from_json(item, lambda *_: b"")


async def compare(session: aiohttp.ClientSession, service: Service, sample: Sample) -> None:
    study, series, instance = sample.uids
    where = f"{service.url}/studies/{study}/series/{series}/instances/{instance}"
    version = {"version": hashlib.sha256(sample.data).hexdigest()}
    async with session.get(where, headers=EVERYTHING, params=version) as response:
        assert response.status == 200, sample.path
        body = await response.read()
    assert bytes(split(body.partition(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0]).dataset) == sample.data, (
        sample.path
    )
    async with session.get(f"{where}/thumbnail", params=version) as response:
        assert response.status in {200, 400, 404, 406}, (sample.path, await response.read())
    try:
        expected = frames_by_pydicom(sample)
    except (AttributeError, ValueError, KeyError, TypeError):
        expected = None  # pydicom cannot tell the frames apart either
    for number, frame in enumerate(expected or [], start=1):
        async with session.get(f"{where}/frames/{number}", headers=OHIF, params=version) as response:
            body = await response.read()
            if response.status == 400 and len(frame) < short_of(sample):
                continue  # truncated pixel data: refused, not padded
            assert response.status == 200, (sample.path, number, body)
            boundary = response.headers["Content-Type"].partition("boundary=")[2].encode()
        content = body.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n--" + boundary + b"--\r\n")
        assert content == frame, (sample.path, number)


def short_of(sample: Sample) -> int:
    """Bytes that one native frame should have."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset: Any = pydicom.dcmread(sample.path, force=True, stop_before_pixels=True)
    bits = dataset.Rows * dataset.Columns * dataset.get("SamplesPerPixel", 1) * dataset.BitsAllocated
    return -(-int(bits) // 8)


@pytest.mark.skipif(shutil.which("dcmftest") is None, reason="dcmtk is not installed")
async def test_served_files_are_files_for_dcmtk(service: Service, tmp_path: Path) -> None:
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    from tests.doubles.instances import ct

    for number, syntax in enumerate(
        (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian), start=1
    ):
        await service.hub.archive.ingest([service.hub.instance(ct(number), syntax)])
        url = f"{service.url}/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.{number}"
        for accept in (
            "application/dicom; transfer-syntax=*",
            "application/dicom; transfer-syntax=1.2.840.10008.1.2.1",
        ):
            async with (
                aiohttp.ClientSession() as session,
                session.get(url, headers={"Accept": accept}) as response,
            ):
                body = await response.read()
            file = tmp_path / "served.dcm"
            file.write_bytes(body)
            tested = await service.call(
                subprocess.run, ["dcmftest", str(file)], capture_output=True, text=True
            )
            assert tested.stdout.startswith("yes"), tested.stdout
            dumped = await service.call(
                subprocess.run,
                ["dcmdump", "-q", "+P", "0010,0020", str(file)],
                capture_output=True,
                text=True,
            )
            assert dumped.returncode == 0, dumped.stderr
            assert "[P1]" in dumped.stdout
            assert pydicom.dcmread(BytesIO(body)).InstanceNumber == number
