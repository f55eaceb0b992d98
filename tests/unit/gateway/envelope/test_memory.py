"""An instance of any size passes through a fixed amount of memory."""

from __future__ import annotations

import tracemalloc

import pytest

from gateway.envelope.kem import KemKeys
from gateway.envelope.seal import BodySealer
from gateway.envelope.unseal import BodyOpener, check_body
from tests.doubles.parcels import PARCEL, SITE, Parcel, facts

MEGABYTE = 1 << 20
SIZE = 48
PIECE = bytes(range(256)) * (MEGABYTE // 256)


@pytest.mark.parametrize(("codec", "budget"), [("raw", 6 * MEGABYTE), ("zstd", 12 * MEGABYTE)])
def test_memory_does_not_grow_with_the_instance(tmp_path, codec, budget):
    keys = KemKeys.generate("hub")
    tracemalloc.start()
    try:
        with (tmp_path / "body").open("w+b") as file:
            sealer = BodySealer(file.write, keys.publics(), PARCEL, site=SITE)
            sealer.add(facts(), (PIECE for _ in range(SIZE)), codec)
            draft = sealer.finish()

            def read(offset: int, count: int) -> bytes:
                file.seek(offset)
                return file.read(count)

            header = Parcel(draft, b"").header()
            check_body(header, read)
            opener = BodyOpener(header, keys)
            written = 0

            def count(piece: bytes) -> None:
                nonlocal written
                written += len(piece)

            opener.extract(opener.manifest.instances[0], read, count)
        assert written == SIZE * MEGABYTE
        assert tracemalloc.get_traced_memory()[1] < budget < SIZE * MEGABYTE // 2
    finally:
        tracemalloc.stop()
