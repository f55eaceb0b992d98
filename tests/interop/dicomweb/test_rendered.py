"""Pictures: of plain, palette, colour and compressed frames; and refusals in words."""

from __future__ import annotations

from io import BytesIO

import aiohttp
import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit

from tests.doubles.instances import ct

from .conftest import Service

WHERE = "/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1"


async def get(url: str, accept: str = "image/png") -> tuple[int, str, bytes]:
    async with aiohttp.ClientSession() as session, session.get(url, headers={"Accept": accept}) as response:
        return response.status, response.content_type, await response.read()


def values(body: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(body)))


async def test_window_is_applied(service: Service) -> None:
    pixels = np.zeros((16, 16), "<u2")
    pixels[:, 8:] = 1000
    pixels[:, 12:] = 2000
    dataset = ct(
        PixelData=pixels.tobytes(), WindowCenter=1000, WindowWidth=2001, RescaleSlope=1, RescaleIntercept=0
    )
    await service.hub.archive.ingest([service.hub.instance(dataset)])
    status, kind, body = await get(f"{service.url}{WHERE}/rendered")
    assert (status, kind) == (200, "image/png")
    assert values(body)[0, [0, 8, 12]].tolist() == [0, 127, 255]
    _, _, body = await get(f"{service.url}{WHERE}/frames/1/rendered?window=500,1001&viewport=8,8")
    assert values(body).shape == (8, 8)
    assert values(body)[0, [0, 5, 7]].tolist() == [0, 255, 255]
    for path in ("/studies/1.2.3/thumbnail", "/studies/1.2.3/series/1.2.3.1/thumbnail", f"{WHERE}/thumbnail"):
        status, kind, body = await get(service.url + path, "image/jpeg")
        assert (status, kind, values(body).shape) == (200, "image/jpeg", (16, 16))


async def test_dark_is_light_in_monochrome1(service: Service) -> None:
    dataset = ct(PhotometricInterpretation="MONOCHROME1")
    await service.hub.archive.ingest([service.hub.instance(dataset)])
    _, _, body = await get(f"{service.url}{WHERE}/rendered")
    assert values(body)[0, 0] > values(body)[-1, -1]


async def test_compressed_colour(service: Service) -> None:
    colour = np.zeros((16, 16, 3), np.uint8)
    colour[..., 0] = 200
    target = BytesIO()
    Image.fromarray(colour).save(target, "JPEG", quality=95)
    dataset = ct(
        SamplesPerPixel=3,
        PhotometricInterpretation="YBR_FULL_422",
        PlanarConfiguration=0,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        PixelData=encapsulate([target.getvalue()]),
    )
    dataset["PixelData"].is_undefined_length = True
    dataset["PixelData"].VR = "OB"
    await service.hub.archive.ingest([service.hub.instance(dataset, JPEGBaseline8Bit)])
    status, _, body = await get(f"{service.url}{WHERE}/rendered")
    assert status == 200, body
    assert abs(values(body).astype(int) - colour).max() < 12


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        ("/rendered", "text/html", 406),
        ("/rendered?window=a,b", "image/png", 400),
        ("/rendered?viewport=0,0", "image/png", 400),
        ("/rendered?viewport=100000,1", "image/png", 400),
        ("/frames/2/rendered", "image/png", 400),
    ],
)
async def test_refusals(service: Service, path: str, accept: str, status: int) -> None:
    await service.hub.archive.ingest([service.hub.instance(ct())])
    assert (await get(f"{service.url}{WHERE}{path}", accept))[0] == status


async def test_what_cannot_be_drawn_says_so(service: Service) -> None:
    dataset = ct(PixelData=encapsulate([b"not a jpeg at all"]))
    dataset["PixelData"].is_undefined_length = True
    await service.hub.archive.ingest([service.hub.instance(dataset, JPEGBaseline8Bit)])
    status, _, body = await get(f"{service.url}{WHERE}/rendered")
    assert (status, b"cannot be drawn" in body) == (406, True)


@pytest.mark.parametrize(
    ("declared", "given"),
    [
        ("application/pdf", "application/pdf"),
        ("text/html", "application/octet-stream"),
        ("a\nb", "application/octet-stream"),
    ],
)
async def test_document_is_given_as_it_is(service: Service, declared: str, given: str) -> None:
    dataset = ct(EncapsulatedDocument=b"%PDF-1.7 \0", MIMETypeOfEncapsulatedDocument=declared)
    dataset.EncapsulatedDocumentLength = 9
    del dataset.PixelData
    await service.hub.archive.ingest([service.hub.instance(dataset)])
    assert await get(f"{service.url}{WHERE}/rendered", "*/*") == (200, given, b"%PDF-1.7 ")
    assert (await get(f"{service.url}{WHERE}/thumbnail"))[0] == 404


async def test_grey_is_decompressed_for_who_asks(service: Service) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    target = BytesIO()
    Image.fromarray(grey).save(target, "JPEG2000", irreversible=False, no_jp2=True)
    dataset = ct(BitsAllocated=8, BitsStored=8, HighBit=7, PixelData=encapsulate([target.getvalue()]))
    dataset["PixelData"].is_undefined_length = True
    dataset["PixelData"].VR = "OB"
    await service.hub.archive.ingest([service.hub.instance(dataset, JPEG2000Lossless)])
    status, kind, body = await get(f"{service.url}{WHERE}/frames/1", "application/octet-stream")
    assert (status, kind, body) == (200, "application/octet-stream", grey.tobytes())
    [frame] = await service.call(
        service.client.retrieve_instance_frames, "1.2.3", "1.2.3.1", "1.2.3.1.1", [1]
    )
    assert frame == target.getvalue() + b"\0" * (len(target.getvalue()) % 2)
