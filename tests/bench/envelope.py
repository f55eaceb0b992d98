"""How fast parcels are sealed and opened here: ``python -m tests.bench.envelope [--size MB]``.

One thread; data is made in memory and sealed bytes go to a file in a temporary folder. Three kinds
of data: noise that nothing makes smaller, 12-bit pixels with noise as a CT has, and the same with half of
each slice empty.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gateway.clock import rfc3339
from gateway.envelope.kem import KemKeys
from gateway.envelope.layout import NO_PREVIOUS, InstanceFacts
from gateway.envelope.seal import BodySealer, complete
from gateway.envelope.unseal import BodyOpener, check_body
from gateway.model import ParcelId, Priority, SiteId
from tests.doubles.signers import NOW

PIECE = 1 << 20
FACTS = InstanceFacts(
    sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
    sop_instance_uid="2.25.1",
    study_uid="2.25.2",
    series_uid="2.25.3",
    transfer_syntax_uid="1.2.840.10008.1.2.1",
    received_at=rfc3339(NOW),
    calling_ae="BENCH",
)


def _pixels(kind: str) -> bytes:
    random = np.random.default_rng(7)
    if kind == "noise":
        return random.bytes(16 * PIECE)
    pixels = random.normal(1000, 12, 8 * PIECE).astype("<u2").reshape(-1, 512)
    if kind == "half empty":
        pixels[:, :256] = 0
    return pixels.tobytes()


def _stream(source: bytes, size: int) -> Iterator[memoryview]:
    view = memoryview(source)
    for offset in range(0, size, PIECE):
        start = offset % len(source)
        yield view[start : start + min(PIECE, size - offset)]


def measure(kind: str, codec: str, size: int) -> str:
    """One line of the table."""
    source, keys = _pixels(kind), KemKeys.generate("bench")
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "body").open("w+b") as file:
        start = time.perf_counter()
        sealer = BodySealer(file.write, keys.publics(), ParcelId("0" * 32), site=SiteId("BENCH"))
        sealer.add(FACTS, _stream(source, size), codec)
        draft = sealer.finish()
        sealing = time.perf_counter() - start
        header = complete(
            draft,
            site=SiteId("BENCH"),
            sequence=1,
            previous=NO_PREVIOUS,
            priority=Priority.ROUTINE,
            created_at=rfc3339(NOW),
        )

        def read(offset: int, count: int) -> bytes:
            file.seek(offset)
            return file.read(count)

        start = time.perf_counter()
        check_body(header, read)
        checking = time.perf_counter() - start
        start = time.perf_counter()
        opener = BodyOpener(header, keys)
        opener.extract(opener.manifest.instances[0], read, len)
        opening = time.perf_counter() - start
    megabytes = size / 1e6
    speeds = " ".join(f"{megabytes / seconds:9.0f}" for seconds in (sealing, checking, opening))
    return f"{kind:12} {codec:5} {size / draft.sealed_size:6.2f} {speeds}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256, help="MB of each instance (default 256)")
    size = parser.parse_args().size * 1_000_000
    print(f"{'data':12} {'codec':5} {'ratio':>6} {'seal MB/s':>9} {'check':>9} {'unseal':>9}")
    for kind in ("noise", "pixels", "half empty"):
        for codec in ("raw", "zstd"):
            print(measure(kind, codec, size))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000:.0f} MB")


if __name__ == "__main__":
    main()
