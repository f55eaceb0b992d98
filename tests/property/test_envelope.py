"""Round trips of parcels of many shapes, and decoders fed with anything."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import canonical
from gateway.codec import coder, decoder
from gateway.envelope.kem import KemKeys
from gateway.envelope.layout import CHUNK_SIZE_MIN, Draft, Header
from gateway.envelope.seal import BodySealer
from gateway.envelope.signature import Statement
from gateway.envelope.unseal import BodyOpener, check_body
from gateway.errors import DataError, Unverified
from tests.doubles.parcels import PARCEL, SITE, facts, seal
from tests.doubles.signers import MemoryAuthority

KEYS = KemKeys.generate("hub-1")
STEP = CHUNK_SIZE_MIN
EDGES = st.sampled_from([0, 1, STEP - 1, STEP, STEP + 1, 2 * STEP - 1, 2 * STEP, 2 * STEP + 1, 5 * STEP])
SIZES = EDGES | st.integers(0, 4 * STEP)
SIGNED = seal(KEYS, [b"data"]).signed(MemoryAuthority().device())


def noise(size: int, seed: int) -> bytes:
    return hashlib.shake_128(str(seed).encode()).digest(size)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


def extract(opener, parcel, entry) -> bytes:
    out: list[bytes] = []
    opener.extract(entry, parcel.read, out.append)
    return b"".join(out)


@given(
    st.lists(st.tuples(SIZES, st.integers(0, 3)), max_size=5),
    st.sampled_from(["raw", "zstd"]),
    st.lists(st.integers(0, 5 * STEP), max_size=6),
    st.sampled_from([STEP, STEP + 1, 3 * STEP]),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_every_byte_comes_back(shapes, codec, cuts, chunk_size, order):
    instances = [noise(size, seed) if seed else bytes(size) for size, seed in shapes]
    parcel = seal(KEYS, [pieces(data, cuts) for data in instances], codec=codec, chunk_size=chunk_size)
    header = Header.from_bytes(parcel.header().to_bytes())
    check_body(header, parcel.read)
    assert len(parcel.body) == header.sealed_size
    opener = BodyOpener(header, KEYS)
    wanted = list(zip(opener.manifest.instances, instances, strict=True))
    order.shuffle(wanted)
    for entry, data in wanted:
        assert extract(opener, parcel, entry) == data


@given(st.integers(0, 6 * STEP), st.data())
@settings(max_examples=40, deadline=None)
def test_any_flipped_bit_of_the_body_is_seen(size, data):
    parcel = seal(KEYS, [noise(size, 1)], codec="raw")
    place = data.draw(st.integers(0, len(parcel.body) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    parcel.body = parcel.body[:place] + bytes([parcel.body[place] ^ bit]) + parcel.body[place + 1 :]
    with pytest.raises(Unverified):
        check_body(parcel.draft, parcel.read)


@given(
    st.binary(max_size=3000) | st.integers(0, 400_000).map(bytes), st.lists(st.integers(0, 3000), max_size=8)
)
@settings(max_examples=80, deadline=None)
def test_zstd_in_pieces_of_any_size(data, cuts):
    coded: list[bytes] = []
    writer = coder("zstd", lambda piece: coded.append(bytes(piece)))
    for piece in pieces(data, cuts):
        writer.write(piece)
    assert writer.finish() == {}
    out: list[bytes] = []
    reader = decoder("zstd", lambda piece: out.append(bytes(piece)), len(data), {})
    for piece in pieces(b"".join(coded), cuts):
        reader.write(piece)
    reader.finish()
    assert b"".join(out) == data
    assert zstandard.ZstdDecompressor().decompress(b"".join(coded), max_output_size=len(data) or 1) == data


FRAME = zstandard.compress(noise(2000, 1) + bytes(3000))


@given(
    st.binary(max_size=400) | st.tuples(st.integers(0, len(FRAME) - 1), st.binary(max_size=3)),
    st.integers(0, 6000),
)
@settings(max_examples=200, deadline=None)
def test_the_zstd_decoder_gives_the_declared_length_or_refuses(junk, length):
    coded = junk if isinstance(junk, bytes) else FRAME[: junk[0]] + junk[1] + FRAME[junk[0] + len(junk[1]) :]
    written = 0

    def take(piece):
        nonlocal written
        written += len(piece)

    reader = decoder("zstd", take, length, {})
    try:
        reader.write(coded)
        reader.finish()
    except DataError:
        assert written <= length
    else:
        assert written == length


def test_a_bomb_costs_a_block_of_memory_and_no_more():
    bomb = zstandard.ZstdCompressor(level=3, write_content_size=False).compress(bytes(256 << 20))
    largest = 0

    def take(piece):
        nonlocal largest
        largest = max(largest, len(piece))

    reader = decoder("zstd", take, 1 << 20, {})
    with pytest.raises(DataError, match="longer than declared"):
        reader.write(bomb)
    assert 0 < largest <= 128 << 10


@given(st.integers(0, len(SIGNED) - 1), st.integers(1, 255))
@settings(max_examples=100, deadline=None)
def test_a_changed_statement_is_unreadable_or_another(place, change):
    changed = SIGNED[:place] + bytes([SIGNED[place] ^ change]) + SIGNED[place + 1 :]
    try:
        read = Statement.from_bytes(changed)
    except DataError:
        return
    assert read != Statement.from_bytes(SIGNED)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
DRAFT = seal(KEYS, [b"data"]).draft


@given(st.sampled_from(sorted(DRAFT.fields())), JSON)
@settings(max_examples=200, deadline=None)
def test_a_draft_with_any_other_value_is_read_the_same_or_refused(key, value):
    fields = DRAFT.fields() | {key: value}
    try:
        data = canonical.dump(fields)
    except DataError:
        return
    try:
        read = Draft.from_bytes(data)
    except DataError:
        return
    assert read.to_bytes() == data


class Shelf:
    """Gives a chunk its place in one run of bytes, so that the places of the next ones are known, too."""

    def __init__(self, size: int) -> None:
        self._memory, self._end = memoryview(bytearray(size)), 0

    def room(self, size: int) -> memoryview:
        return self._memory[self._end :]

    def grew(self, sealed: memoryview) -> None:
        self._end += len(sealed)

    @property
    def body(self) -> bytes:
        return bytes(self._memory[: self._end])


@given(SIZES, st.lists(st.integers(1, 3 * STEP), min_size=1, max_size=6), st.sampled_from([STEP, STEP + 1]))
@settings(max_examples=80)
def test_put_in_its_place_or_written_it_is_sealed_to_the_same(size, steps, chunk_size):
    data = noise(size, 7)
    options = {"random": lambda count: noise(count, count)}
    written = seal(KEYS, [data], codec="raw", chunk_size=chunk_size, **options)
    shelf = Shelf(8 * STEP)
    options |= {"site": SITE, "chunk_size": chunk_size, "room": shelf.room}
    sealer = BodySealer(shelf.grew, KEYS.publics(), PARCEL, **options)
    writer, at = sealer.begin("raw"), 0
    for step in itertools.cycle(steps):
        if at == size:
            break
        count = 0
        for place in writer.places(min(step, size - at)):
            place[:] = data[at + count : at + count + len(place)]
            count += len(place)
        writer.came(count)
        at += count
    writer.finish(facts(1))
    assert replace(sealer.finish(), wraps=()) == replace(written.draft, wraps=())  # each wrap is random
    assert shelf.body == written.body
