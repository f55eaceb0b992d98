"""Part files: what counts after a crash, and what does not."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from gateway.errors import StorageFull
from gateway.model import ParcelId, Sha256
from gateway.wire.chunks import ChunkSet
from gateway.wire.receiver import Facts
from hub.intake.partials import Partials, Piece, Work

P = ParcelId("a" * 32)
FACTS = Facts(P, Sha256("0" * 64), tuple(Sha256(f"{n:064x}") for n in range(10)), 100, 950)


def work(*indexes: int, have: ChunkSet | None = None) -> Work:
    pieces = tuple(Piece(index, bytes([index + 1]) * FACTS.place(index)[1]) for index in indexes)
    return Work(FACTS, have or ChunkSet(10), pieces)


def test_the_room_is_set_aside_at_once(tmp_path: Path) -> None:
    partials = Partials(tmp_path / "in")
    partials.keep([work()])
    assert partials.path(P).stat().st_size == 950
    assert partials.path(P).stat().st_blocks * 512 >= 950
    assert len(partials.have(P, 10)) == 0


def test_what_was_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    Partials(tmp_path / "in").keep([work(0, 9)])
    partials = Partials(tmp_path / "in")
    have = partials.have(P, 10)
    assert list(have) == [0, 9]
    partials.keep([work(4, have=have)])
    assert list(partials.have(P, 10)) == [0, 4, 9]
    with partials.reading(P) as read:
        assert read(0, 100) == b"\1" * 100
        assert read(900, 100) == b"\12" * 50


def test_a_bitmap_that_was_never_written_counts_nothing(tmp_path: Path) -> None:
    partials = Partials(tmp_path / "in")
    partials.keep([work(1)])
    (tmp_path / "in" / f"{P}.map").unlink()
    assert len(partials.have(P, 10)) == 0
    (tmp_path / "in" / f"{P}.map").write_bytes(b"\2")  # a torn one
    assert list(partials.have(P, 10)) == [1]


def test_the_sweep_leaves_what_is_wanted(tmp_path: Path) -> None:
    partials = Partials(tmp_path / "in")
    partials.keep([work(1)])
    (tmp_path / "in" / f"{'b' * 32}.part").touch()
    (tmp_path / "in" / ".tmp-1").touch()
    assert partials.sweep({P}) == 1
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == [f"{P}.map", f"{P}.part"]
    partials.remove([P])
    assert not list((tmp_path / "in").iterdir())


def test_a_full_disk_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageFull):
        Partials(tmp_path / "in").keep([work(1)])
