"""One huge multi-frame instance into a whole edge with its acceptors: neither taking nor packing it costs memory.

``TELERAD_HUGE_BYTES=2000000000`` for the whole; the figures are printed (``pytest -s``).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.bench.bed import AE_TITLE, EDGE, Bed, until
from gateway.bench.link import Loopback
from gateway.bench.memory import Rise
from tests.doubles import endless_scanner

BYTES = int(os.environ.get("TELERAD_HUGE_BYTES", "200000000"))
MOST = 64 << 20
"""Bytes of memory that it may add, in the edge's process and its acceptors together."""
SECONDS = 60 + BYTES / 4e6


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    """An enrolled edge, its hub away, warmed up by a small instance."""
    bed = Bed(tmp_path / "bed", Loopback())
    try:
        bed.prepare()
        bed.stop_hub()
        bed.start_edge(fresh=True)
        assert endless_scanner.send("127.0.0.1", bed.ports.dicom, AE_TITLE, 2 << 20).status == 0
        assert until(lambda: len(packed(bed)) == 1, 60)
        yield bed
    finally:
        bed.close()


def packed(bed: Bed) -> list[dict[str, Any]]:
    """What the edge has packed, but for notices."""
    lines = [line for line in bed.edge_log.read_text().splitlines() if '"packed"' in line]
    return [one for one in map(json.loads, lines) if one["instances"]]


@pytest.mark.slow
def test_a_huge_instance_is_taken_and_packed_in_little_memory(bed: Bed) -> None:
    edge, spool = bed.processes.pids[EDGE], bed.folder / "edge" / "data" / "spool"
    rise, on_disk = Rise(edge), used(spool)
    began = time.monotonic()
    sent = endless_scanner.send("127.0.0.1", bed.ports.dicom, AE_TITLE, BYTES)
    answered = time.monotonic()
    assert sent.status == 0
    assert sent.size >= BYTES
    taken = rise.now()
    assert used(spool) - on_disk >= BYTES, "what was answered is on the disk"

    most = used(spool)
    while len(packed(bed)) < 2:
        assert time.monotonic() - answered < SECONDS
        most = max(most, used(spool))
        time.sleep(0.2)
    told, added = packed(bed)[1], rise.now()
    seconds = time.monotonic() - answered
    print(
        f"\n{sent.size / 1e6:.0f} MB: answered after {answered - began:.1f} s, {taken / 1e6:.0f} MB of memory more;"
        f" packed {seconds:.1f} s later into {told['coded'] / 1e6:.0f} MB by {told['ways']},"
        f" {added / 1e6:.0f} MB more in all; disk at most {(most - on_disk) / sent.size:.2f} × its size"
    )
    assert (told["instances"], told["plain"]) == (1, sent.size)
    assert bed.held() == 2
    assert taken < MOST, rise.by_process()
    assert added < 2 * MOST, "taking and packing, at most so much each"


def used(folder: Path) -> int:
    """Bytes on the disk below a folder."""
    found = 0
    for file in folder.rglob("*"):
        try:
            found += file.stat().st_blocks * 512
        except FileNotFoundError:
            continue  # removed meanwhile
    return found
