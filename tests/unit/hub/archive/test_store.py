"""Blobs are written once, never replaced, and survive a repeat."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from gateway.errors import Broken, Malformed
from hub.archive.store import BlobStore


def make(store: BlobStore, data: bytes) -> tuple[Path, str, int]:
    path = store.incoming_path()
    path.write_bytes(data)
    return path, hashlib.sha256(data).hexdigest(), len(data)


def test_put_read_and_put_again(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")
    path, sha256, size = make(store, b"0123456789")
    assert not store.has(sha256)
    assert store.put(path, sha256, size) is True
    assert store.path(sha256) == tmp_path / "blobs" / sha256[:2] / sha256[2:4] / sha256
    assert store.read(sha256, 3, 4) == b"3456"
    assert store.read(sha256, 8, 100) == b"89"
    assert store.put(path, sha256, size) is False  # the file has gone already
    assert store.put(*make(store, b"0123456789")) is False
    with store.open(sha256) as blob:
        assert blob.read() == b"0123456789"
    assert list(store.incoming.iterdir()) == []


def test_what_is_there_is_never_replaced(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    path, sha256, size = make(store, b"right")
    store.put(path, sha256, size)
    forged = store.incoming_path()
    forged.write_bytes(b"wrong")
    assert store.put(forged, sha256, size) is False
    assert store.read(sha256, 0, 10) == b"right"


def test_missing_or_short_files_stop(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    path, sha256, size = make(store, b"abc")
    with pytest.raises(Broken, match="3 bytes"):
        store.put(path, sha256, size + 1)
    path.unlink()
    with pytest.raises(Broken, match="neither"):
        store.put(path, sha256, size)


def test_only_digests_are_names(tmp_path: Path) -> None:
    with pytest.raises(Malformed):
        BlobStore(tmp_path).read("../../etc/passwd", 0, 1)


def test_sweep_removes_leftovers_only(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    path, sha256, size = make(store, b"kept")
    store.put(path, sha256, size)
    make(store, b"left")
    assert store.sweep() == 1
    assert store.has(sha256)
