"""A multi-frame object larger than memory should ever hold, received and packed."""

from __future__ import annotations

import mmap
import threading
import time
from pathlib import Path
from struct import pack
from typing import Self

from edge.spool.coding import Line
from gateway.log import configure
from tests.doubles.images import Image
from tests.doubles.spools import SpoolWorld

FRAME = Image(rows=512, columns=512, noise=6)


def large(file: Path, megabytes: int) -> mmap.mmap:
    """A file of so many frames, mapped: its pages are the kernel's, not ours."""
    frames = [Image(rows=512, columns=512, noise=6, seed=seed).pixels for seed in range(4)]
    count = max(megabytes * 1_000_000 // len(frames[0]), 1)
    with file.open("w+b") as target:
        target.write(FRAME.head[:-4] + pack("<L", count * len(frames[0])))
        for number in range(count):
            target.write(frames[number % len(frames)])
        target.flush()
        return mmap.mmap(target.fileno(), 0, access=mmap.ACCESS_READ)


class Watched:
    """The most memory this process holds inside the block that no file stands behind, in MB above the start."""

    def __enter__(self) -> Self:
        self._start = self.most = _anonymous()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.more = (self.most - self._start) / 1000

    def _watch(self) -> None:
        while not self._ended.wait(0.005):
            self.most = max(self.most, _anonymous())


def _anonymous() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def packed(folder: str, megabytes: int) -> None:
    """Receive, pack, and print ratio and MB of memory that packing took."""
    configure(level="error")
    world = SpoolWorld(Path(folder) / "data")
    file = Path(folder) / "large.dcm"
    mapped = large(file, megabytes)
    item, size = world.receive(mapped), len(mapped)
    mapped.close()
    file.unlink()
    began = time.monotonic()
    with Watched() as watched:
        made = world.spool.merger.merge([item], Line(rate=2.5e6, cores=2))
    took = time.monotonic() - began
    world.packer.seal(made.item)
    if made.plain != size or made.item.parcel_id == item.parcel_id:
        raise AssertionError("it was not coded")
    print(f"{size / took / 1e6:.1f} MB/s {dict(made.ways)}", made.plain / made.coded, watched.more)
