"""On a thin line: the first image of a CT is at the hub within three seconds, and a middle one soon after."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import select

from edge.config import Uplink as Settings
from edge.identity import Addresses
from gateway.config import Seconds
from gateway.model import Priority
from hub.tables.study import instances
from tests.doubles.edges import edge_of, until
from tests.doubles.images import Image
from tests.doubles.lines import LineHub, line_hub
from tests.doubles.relay import thin_line

MBIT = 1_000_000 / 8
SPARE = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
"""A machine that does other things at the same time gets so much more time; what is printed is the figure."""
LINE = Settings(streams=4, retry_first=Seconds(0.1), retry_cap=Seconds(0.5))


async def indexed(hub: LineHub) -> set[str]:
    async with hub.small.database.reading() as connection:
        return {row.sha256 for row in await connection.execute(select(instances.c.sha256))}


async def test_reading_can_begin_at_once(tmp_path: Path) -> None:
    slices = [Image(rows=512, columns=512, high=1500, noise=6, seed=seed).dataset for seed in range(24)]
    digests = [hashlib.sha256(data).hexdigest() for data in slices]
    async with line_hub(tmp_path) as hub:
        port = urlsplit(hub.small.config.line.url).port
        assert port is not None
        async with thin_line(port, MBIT) as thin, edge_of(hub, tmp_path / "edge", settings=LINE) as edge:
            web = hub.small.config.web.url
            edge.identity.addresses = Addresses(web, f"https://localhost:{thin.port}")
            began = time.monotonic()
            for number, data in enumerate(slices):
                await asyncio.to_thread(edge.receive, number, data, Priority.ROUTINE, "CT")

            async def first() -> bool:
                return digests[0] in await indexed(hub)

            await until(first)
            took = time.monotonic() - began
            found: set[str] = set()

            async def three() -> bool:
                found.update(await indexed(hub))
                return len(found) >= 3

            await until(three, 30)
            carried = thin.up.carried / (time.monotonic() - began)
            print(f"first image after {took:.2f} s; {carried * 8 / 1e6:.2f} Mbit/s carried")
            assert took < 3.0 * SPARE
            assert [digest for digest in found if digest not in digests[:4]]  # not only the first slices
