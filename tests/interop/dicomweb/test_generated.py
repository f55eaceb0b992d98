"""dicomweb-client against the service, with generated instances of every encoding."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

import aiohttp
import numpy as np
import pydicom
import pytest
import requests
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)
from yarl import URL

from gateway.dicom.part10 import split
from hub.archive.scope import Scope
from tests.doubles.instances import ct, encode

from .conftest import Service

OHIF = "multipart/related; type=application/octet-stream; transfer-syntax=*"


async def get(url: str, accept: str | None = None, **headers: str) -> tuple[int, Mapping[str, str], bytes]:
    wanted = headers | ({"Accept": accept} if accept else {})
    async with aiohttp.ClientSession() as session, session.get(url, headers=wanted) as response:
        return response.status, response.headers, await response.read()


def part(headers: Mapping[str, str], body: bytes) -> tuple[bytes, bytes]:
    """Header lines and content of the only part."""
    boundary = headers["Content-Type"].partition("boundary=")[2].encode()
    head, _, rest = body.removeprefix(b"--" + boundary + b"\r\n").partition(b"\r\n\r\n")
    content, _, end = rest.rpartition(b"\r\n--" + boundary + b"--")
    assert end == b"\r\n"
    return head, content


async def test_search_as_ohif_does(service: Service) -> None:
    await service.hub.archive.ingest([service.hub.instance(ct(n)) for n in (1, 2, 3)])
    [study] = await service.call(
        service.client.search_for_studies,
        limit=101,
        offset=0,
        fields=["00081030", "00080060", "00080090", "00100030"],
        search_filters={"StudyInstanceUID": "1.2.3"},
    )
    assert study["0020000D"]["Value"] == ["1.2.3"]
    assert study["00201206"]["Value"] == [1]
    assert study["00201208"]["Value"] == [3]
    assert study["00080061"]["Value"] == ["CT"]
    assert study["00100010"]["Value"] == [{"Alphabetic": "Test^Anna"}]
    assert study["00080056"]["Value"] == ["ONLINE"]
    assert study["00081190"]["Value"] == [f"{service.url}/studies/1.2.3"]
    assert pydicom.Dataset.from_json(study).StudyDate == "20261101"
    [one_series] = await service.call(
        service.client.search_for_series, "1.2.3", fields=["00080021", "0008103E"]
    )
    assert one_series["00201209"]["Value"] == [3]
    instances = await service.call(service.client.search_for_instances, "1.2.3", "1.2.3.1")
    assert [item["00200013"]["Value"] for item in instances] == [[1], [2], [3]]
    assert len(await service.call(service.client.search_for_instances)) == 3
    assert await service.call(service.client.search_for_studies, search_filters={"PatientID": "P"}) == []


async def test_search_answers_beyond_the_columns(service: Service) -> None:
    await service.hub.archive.ingest([service.hub.instance(ct(n)) for n in (1, 2)])
    [study] = await service.call(service.client.search_for_studies, fields=["HighBit"])
    assert study["00280102"]["Value"] == [11]
    instances = await service.call(service.client.search_for_instances, fields=["all"])
    assert instances[0]["00200032"]["Value"] == [0, 0, 1]
    status, headers, body = await get(f"{service.url}/instances?limit=1&fuzzymatching=true&ImageType=X")
    assert (status, body.count(b"00080018")) == (200, 1)
    async with aiohttp.ClientSession() as session:
        response = await session.get(f"{service.url}/instances?limit=1&fuzzymatching=true&ImageType=X")
        words = response.headers.getall("Warning")
    assert len(words) == 3
    assert "fuzzymatching" in words[0]
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("query", ["StudyDate=2026", "limit=-1", "NoSuchKeyword=1", "includefield=Nothing"])
async def test_question_that_makes_no_sense(service: Service, query: str) -> None:
    status, _, body = await get(f"{service.url}/studies?{query}")
    assert status == 400
    assert query.partition("=")[0].encode() in body


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
)
async def test_instance_and_frames_in_every_plain_encoding(service: Service, syntax: str) -> None:
    dataset = ct(NumberOfFrames=1)
    pixels = dataset.PixelData
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = np.frombuffer(pixels, "<u2").astype(">u2").tobytes()
    data = encode(dataset, syntax)
    await service.hub.archive.ingest([service.hub.instance(dataset, syntax)])
    where = f"{service.url}/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1"
    for accept in ('multipart/related; type="application/dicom"; transfer-syntax=*', None):
        status, headers, body = await get(where, accept)
        assert status == 200
        assert int(headers["Content-Length"]) == len(body)
        head, content = part(headers, body)
        assert f"transfer-syntax={syntax}".encode() in head
        taken = split(content)
        assert bytes(taken.dataset) == data
        assert (taken.transfer_syntax_uid, taken.flaw) == (syntax, "")
        assert content[:128] == bytes(128)
    status, headers, body = await get(where, "application/dicom; transfer-syntax=1.2.840.10008.1.2.1")
    assert (status, headers["Content-Type"]) == (
        200,
        "application/dicom; transfer-syntax=1.2.840.10008.1.2.1",
    )
    converted = pydicom.dcmread(BytesIO(body))
    assert converted.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert converted.PixelData == pixels
    assert str(converted.PatientName) == "Test^Anna"

    status, headers, body = await get(f"{where}/frames/1", OHIF)
    head, content = part(headers, body)
    assert b"Content-Type: application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1" in head
    assert content == pixels
    [frame] = await service.call(
        service.client.retrieve_instance_frames, "1.2.3", "1.2.3.1", "1.2.3.1.1", [1]
    )
    assert frame == pixels
    [bulk] = await service.call(service.client.retrieve_bulkdata, f"{where}/bulkdata/7FE00010")
    assert bulk == pixels
    instance = await service.call(service.client.retrieve_instance, "1.2.3", "1.2.3.1", "1.2.3.1.1")
    assert instance.PatientID == "P1"


async def test_metadata_carries_no_pixels_and_says_where_they_are(service: Service) -> None:
    await service.hub.archive.ingest([service.hub.instance(ct(n)) for n in (2, 1)])
    for path in ("", "/series/1.2.3.1"):
        status, headers, body = await get(
            f"{service.url}/studies/1.2.3{path}/metadata", "application/dicom+json"
        )
        assert (status, headers["Content-Encoding"]) == (200, "gzip")
    listed = await service.call(service.client.retrieve_series_metadata, "1.2.3", "1.2.3.1")
    assert [item["00200013"]["Value"][0] for item in listed] == [1, 2]
    assert "Value" not in listed[0]["7FE00010"]
    assert "InlineBinary" not in listed[0]["7FE00010"]
    uri = listed[0]["7FE00010"]["BulkDataURI"]
    assert uri == f"{service.url}/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1/bulkdata/7FE00010"
    [one] = (await service.call(service.client.retrieve_instance_metadata, "1.2.3", "1.2.3.1", "1.2.3.1.2"),)
    assert one["00080018"]["Value"] == ["1.2.3.1.2"]
    etag = headers["ETag"]
    status, _, body = await get(
        f"{service.url}/studies/1.2.3/series/1.2.3.1/metadata", **{"If-None-Match": etag}
    )
    assert (status, body) == (304, b"")


async def test_compressed_frames_go_as_they_are_kept(service: Service) -> None:
    frames = [bytes([n]) * (40 + 2 * n) + b"\xff\xd9" for n in range(5)]
    dataset = ct(NumberOfFrames=5, PixelData=encapsulate(frames, fragments_per_frame=2))
    dataset["PixelData"].is_undefined_length = True
    await service.hub.archive.ingest([service.hub.instance(dataset, JPEG2000Lossless)])
    where = f"{service.url}/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1"
    status, headers, body = await get(f"{where}/frames/3", OHIF)
    head, content = part(headers, body)
    assert (status, content) == (200, frames[2])
    assert b"Content-Type: image/jp2; transfer-syntax=1.2.840.10008.1.2.4.90" in head
    several = await service.call(
        service.client.retrieve_instance_frames,
        "1.2.3",
        "1.2.3.1",
        "1.2.3.1.1",
        [5, 1],
        media_types=(("image/jp2", "1.2.840.10008.1.2.4.90"),),
    )
    assert several == [frames[4], frames[0]]
    assert (await get(f"{where}/frames/6", OHIF))[0] == 400
    assert (await get(f"{where}/frames/0", OHIF))[0] == 400
    status, _, body = await get(where, "application/dicom; transfer-syntax=1.2.840.10008.1.2.1")
    assert (status, b"transfer-syntax=*" in body) == (406, True)
    status, _, body = await get(f"{where}/frames/1", "application/octet-stream")
    assert (status, b"cannot be decompressed" in body) == (400, True)
    assert (await get(f"{where}/frames/1", "image/png"))[0] == 406
    status, _, body = await get(f"{where}/bulkdata/7FE00010", "multipart/related; type=*/*")
    assert (status, body.count(b"image/jp2")) == (200, 5)


async def test_range_of_a_frame(service: Service) -> None:
    dataset = ct()
    await service.hub.archive.ingest([service.hub.instance(dataset)])
    where = f"{service.url}/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1/frames/1"
    status, headers, body = await get(where, OHIF, Range="bytes=10-19")
    assert (status, body) == (206, dataset.PixelData[10:20])
    assert headers["Content-Range"] == "bytes 10-19/512"
    status, headers, body = await get(where, OHIF, Range="bytes=-2")
    assert (status, body) == (206, dataset.PixelData[-2:])
    assert (await get(where, OHIF, Range="bytes=512-"))[0] == 416
    status, headers, body = await get(where, "application/octet-stream")
    assert (status, body, headers["Accept-Ranges"]) == (200, dataset.PixelData, "bytes")


async def test_scope_hides_everything_alike(service: Service) -> None:
    await service.hub.archive.ingest([service.hub.instance(ct())])
    service.scope[0] = Scope(sites=frozenset({"H002"}))
    where = f"{service.url}/studies/1.2.3"
    instance = f"{where}/series/1.2.3.1/instances/1.2.3.1.1"
    hidden = [
        await get(url)
        for url in (
            where,
            f"{where}/series",
            f"{where}/instances",
            f"{where}/series/1.2.3.1",
            f"{where}/series/1.2.3.1/instances",
            f"{where}/metadata",
            f"{where}/series/1.2.3.1/metadata",
            instance,
            f"{instance}/metadata",
            f"{instance}/frames/1",
            f"{instance}/bulkdata/7FE00010",
        )
    ]
    assert {status for status, _, _ in hidden} == {404}
    assert {body for _, _, body in hidden} == {b"there is no such study that you may see"}
    for listing in ("studies", "series", "instances"):
        status, _, body = await get(f"{service.url}/{listing}")
        assert (status, body) == (200, b"[]")


async def test_both_versions_of_a_conflict_can_be_had(service: Service) -> None:
    first, second = ct(), ct(StudyDescription="Neck")
    await service.hub.archive.ingest([service.hub.instance(first)])
    item = service.hub.instance(second)
    await service.hub.archive.ingest([item])
    where = f"{service.url}/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1"
    _, _, body = await get(where, "application/dicom; transfer-syntax=*")
    assert body.endswith(encode(first))
    _, _, body = await get(f"{where}?version={item.entry.sha256}", "application/dicom; transfer-syntax=*")
    assert body.endswith(encode(second))
    assert (await get(f"{where}?version={'0' * 64}"))[0] == 404


async def test_same_study_of_two_sites(service: Service) -> None:
    await service.hub.archive.ingest([service.hub.instance(ct())])
    service.hub.clock.move(1)
    await service.hub.archive.ingest([service.hub.instance(ct(PatientID="Q"), site="H002")])
    found = await service.call(service.client.search_for_studies)
    assert len(found) == 2
    where = f"{service.url}/studies/1.2.3/metadata"
    assert b'"Q"' in (await get(where))[2]
    assert b'"P1"' in (await get(f"{where}?site=H001"))[2]


async def test_bulk_data_and_documents(service: Service) -> None:
    document = b"%PDF-1.7 " + bytes(3001)
    dataset = ct(
        Modality="DOC",
        EncapsulatedDocument=document + b"\0",
        MIMETypeOfEncapsulatedDocument="application/pdf",
    )
    dataset.EncapsulatedDocumentLength = len(document)
    item = pydicom.Dataset()
    item.add_new(0x00189810, "US", 0)
    item.add_new(0x00420011, "OB", b"x" * 2000)
    dataset.ReferencedImageSequence = [item]
    del dataset.PixelData
    await service.hub.archive.ingest([service.hub.instance(dataset)])
    [metadata] = await service.call(service.client.retrieve_series_metadata, "1.2.3", "1.2.3.1")
    uri = metadata["00420011"]["BulkDataURI"]
    status, headers, body = await get(f"{uri}?accept=application/pdf")
    assert (status, headers["Content-Type"], body) == (200, "application/pdf", document)
    nested = metadata["00081140"]["Value"][0]["00420011"]["BulkDataURI"]
    assert await service.call(service.client.retrieve_bulkdata, nested) == [b"x" * 2000]
    missing = uri.replace("00420011", "00420012")
    assert (await get(missing))[0] == 404
    assert (await get(f"{uri.partition('/bulkdata')[0]}/frames/1"))[0] == 404


async def test_a_study_of_several_instances_as_one_answer(service: Service) -> None:
    datasets = [ct(n) for n in range(1, 6)]
    await service.hub.archive.ingest([service.hub.instance(dataset) for dataset in datasets])
    found: list[Any] = await service.call(service.client.retrieve_study, "1.2.3")
    assert [item.PixelData for item in found] == [item.PixelData for item in datasets]
    assert len(await service.call(service.client.retrieve_series, "1.2.3", "1.2.3.1")) == 5
    status, _, _ = await get(f"{service.url}/studies/1.2.3", "application/dicom")
    assert status == 406
    response = await service.call(requests.get, f"{service.url}/studies/1.2.3", timeout=20)
    assert int(response.headers["Content-Length"]) == len(response.content)


async def test_uid_that_is_none_breaks_neither_address_nor_json(service: Service) -> None:
    dataset = ct(SOPInstanceUID='1.2"/../x')
    await service.hub.archive.ingest([service.hub.instance(dataset)])
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{service.url}/studies/1.2.3/metadata") as response:
            [metadata] = await response.json(content_type=None)
        uri = metadata["7FE00010"]["BulkDataURI"]
        async with session.get(
            URL(uri, encoded=True), headers={"Accept": "application/octet-stream"}
        ) as response:
            assert (response.status, await response.read()) == (200, dataset.PixelData)
