"""Row 8 of the threat model: a header that says 65535 × 65535 × 100000 pixels, and hardly a byte behind it."""

from __future__ import annotations

import resource
import tracemalloc

import aiohttp
import pytest

from tests.doubles.instances import ct

from .conftest import Service

WHERE = "/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1"
OCTETS = "multipart/related; type=application/octet-stream; transfer-syntax=*"


@pytest.mark.parametrize(("rows", "frames", "bits"), [(65535, 100_000, 16), (65535, 1, 32), (0, 100_000, 8)])
async def test_attack_08_a_huge_image_is_kept_and_never_unpacked(
    service: Service, rows: int, frames: int, bits: int
) -> None:
    image = ct(Rows=rows, Columns=rows, NumberOfFrames=frames, BitsAllocated=bits, PixelData=bytes(128))
    await service.hub.archive.ingest([service.hub.instance(image)])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    asked = [
        (f"{WHERE}/frames/1", OCTETS),
        (f"{WHERE}/frames/99999", OCTETS),
        (f"{WHERE}/rendered", "image/png"),
        (f"{WHERE}/thumbnail", "image/jpeg"),
        (f"{WHERE}/frames/1/rendered?viewport=65535,65535", "image/png"),
    ]
    async with aiohttp.ClientSession() as session:
        for path, accept in asked:
            async with session.get(service.url + path, headers={"Accept": accept}) as response:
                assert 400 <= response.status < 500, (path, response.status)
        async with session.get(service.url + WHERE) as response:
            assert response.status == 200, "the instance itself is given as it came"
            assert bytes(128) in await response.read()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 256 << 10  # KiB
