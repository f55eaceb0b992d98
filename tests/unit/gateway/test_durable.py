"""Files that survive: whole or absent, never overwritten, full disks told."""

import errno
import os
from pathlib import Path

import pytest

from gateway import durable
from gateway.errors import StorageFull


def test_a_block_that_raises_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), durable.writing(tmp_path / "a") as file:
        file.write(b"half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_create_never_overwrites(tmp_path: Path) -> None:
    durable.create(tmp_path / "a", b"first")
    with pytest.raises(FileExistsError):
        durable.create(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_replace_is_one_step_and_private(tmp_path: Path) -> None:
    durable.create(tmp_path / "a", b"first")
    durable.replace(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"second"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_everything_is_synced_before_return(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    real = os.fsync

    def watching(handle: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        real(handle)

    monkeypatch.setattr(os, "fsync", watching)
    durable.create(tmp_path / "a", b"x")
    assert synced[0].startswith(str(tmp_path / durable.TEMPORARY_PREFIX))
    assert synced[-1] == str(tmp_path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_storage_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def full(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFull):
        durable.create(tmp_path / "a", b"x")
    assert list(tmp_path.iterdir()) == []


def test_other_faults_are_not_disguised(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        durable.create(tmp_path / "no" / "a", b"x")


def test_move_never_overwrites(tmp_path: Path) -> None:
    durable.create(tmp_path / "a", b"a")
    durable.create(tmp_path / "b", b"b")
    with pytest.raises(FileExistsError):
        durable.move(tmp_path / "a", tmp_path / "b")
    durable.move(tmp_path / "a", tmp_path / "c")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "c"]


def test_sweep_removes_only_leftovers(tmp_path: Path) -> None:
    (tmp_path / f"{durable.TEMPORARY_PREFIX}1").write_bytes(b"half")
    durable.create(tmp_path / "a", b"a")
    assert durable.sweep(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_folders_are_private(tmp_path: Path) -> None:
    durable.make_folder(tmp_path / "x" / "y")
    assert (tmp_path / "x" / "y").stat().st_mode & 0o777 == 0o700
    durable.make_folder(tmp_path / "x" / "y")


def test_remove_is_quiet_about_what_is_gone(tmp_path: Path) -> None:
    durable.create(tmp_path / "a", b"a")
    durable.remove(tmp_path / "a")
    durable.remove(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
