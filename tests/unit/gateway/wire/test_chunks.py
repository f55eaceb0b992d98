"""The chunk set against Python's own set."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Malformed
from gateway.wire.chunks import MAX_CHUNKS, ChunkSet, Range, bytes_needed

sets = st.integers(1, 200).flatmap(
    lambda size: st.tuples(st.just(size), st.sets(st.integers(0, size - 1), max_size=size))
)


@given(sets)
def test_like_a_set(given_set: tuple[int, set[int]]) -> None:
    size, indexes = given_set
    chunks = ChunkSet(size)
    chunks.update(indexes)
    assert list(chunks) == sorted(indexes)
    assert len(chunks) == len(indexes)
    assert chunks.complete == (len(indexes) == size)
    assert ChunkSet(size, chunks.to_bytes()) == chunks
    assert len(chunks.to_bytes()) == bytes_needed(size)
    assert ChunkSet.without(size, chunks.missing()) == chunks
    for index in indexes:
        assert not chunks.add(index)
        chunks.discard(index)
        chunks.discard(index)
    assert len(chunks) == 0


@given(sets, st.integers(1, 5))
def test_a_limited_list_overstates_and_never_understates(given_set: tuple[int, set[int]], limit: int) -> None:
    size, indexes = given_set
    chunks = ChunkSet(size)
    chunks.update(indexes)
    ranges = chunks.missing(limit)
    listed = {index for first, length in ranges for index in range(first, first + length)}
    assert len(ranges) <= limit
    assert listed >= set(range(size)) - indexes
    assert all(earlier.end < later.first for earlier, later in itertools.pairwise(ranges))


@pytest.mark.parametrize("size", [0, -1, MAX_CHUNKS + 1])
def test_impossible_sizes(size: int) -> None:
    with pytest.raises(Malformed):
        ChunkSet(size)


def test_impossible_contents() -> None:
    with pytest.raises(Malformed, match="chunk 4"):
        ChunkSet(4).add(4)
    with pytest.raises(Malformed, match="bitmap"):
        ChunkSet(4, b"\x10")
    with pytest.raises(Malformed, match="bitmap"):
        ChunkSet(4, b"\x00\x00")
    with pytest.raises(Malformed, match="range"):
        ChunkSet.without(4, [Range(3, 2)])
    assert 4 not in ChunkSet.full(4)
