"""How fast the archive indexes and answers: ``python tests/bench/archive.py [instances]``.

Prints instances indexed a second (blobs durable, rows committed) in batches of 50 CT headers of real
size, the time for the metadata of one series of 1000 slices, a page of studies, and one frame.
"""

from __future__ import annotations

import asyncio
import gzip
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import structlog
from aiohttp import web

from hub.archive.scope import Scope
from hub.dicomweb.routes import routes
from tests.doubles.instances import Hub, ct, encode, entry, open_hub

BATCH = 50


async def best(work: Callable[[], Awaitable[object]], times: int = 5) -> float:
    """The median of some runs, in seconds."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        await work()
        taken.append(time.perf_counter() - begun)
    return sorted(taken)[times // 2]


async def fill(hub: Hub, count: int) -> float:
    """Index studies of 1000 slices; seconds spent in the archive."""
    spent = 0.0
    for start in range(0, count, BATCH):
        study = f"1.2.{3 + start // 1000}"
        batch = []
        for number in range(start, start + BATCH):
            dataset = ct(number % 1000, study, f"{study}.1", size=64)
            for private in range(120):
                dataset.add_new(0x00191000 + private, "LO", f"value {private}")
            data = encode(dataset)
            batch.append(hub.incoming(data, entry(data, dataset)))
        begun = time.perf_counter()
        await hub.archive.ingest(batch)
        spent += time.perf_counter() - begun
    return spent


async def main(count: int) -> None:
    """Measure and print."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with tempfile.TemporaryDirectory() as folder:
        hub = await open_hub(Path(folder))
        spent = await fill(hub, count)
        print(
            f"indexed              {count / spent:8.0f} instances/s ({count} instances, batches of {BATCH})"
        )

        async def everything(request: web.Request) -> Scope:
            return Scope(all=True)

        app = web.Application()
        app.add_routes(routes(hub.archive, everything))
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/dicomweb"
        async with aiohttp.ClientSession(auto_decompress=False) as session:

            async def get(path: str) -> bytes:
                async with session.get(url + path) as response:
                    assert response.status == 200, await response.read()
                    return await response.read()

            body = await get("/studies/1.2.3/metadata")
            slices = min(count, 1000)
            size = f"{len(gzip.decompress(body)) / 1e6:.1f} MB, {len(body) / 1e6:.2f} MB gzip"
            for words, path in (
                (f"metadata of {slices:4}", "/studies/1.2.3/series/1.2.3.1/metadata"),
                ("page of studies", "/studies?limit=101&PatientName=Test*"),
                ("instances of series", "/studies/1.2.3/series/1.2.3.1/instances"),
                ("one frame", "/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.7/frames/1"),
            ):
                taken = await best(lambda path=path: get(path))
                print(f"{words:20} {taken * 1000:8.1f} ms" + (f" ({size})" if "metadata" in words else ""))
        await runner.cleanup()
        await hub.database.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000))
