"""One receive segment: a file in which received items lie as records until the packer has taken them.

Why not a file for each: a new file costs its own inode, rename and folder in the file system's journal,
0.9 to 2.8 ms for 525 KB here; blocks that were written before cost 0.3 ms, as a database's log does. So
segments are used over and over.

Records go past the page cache where the file system lets them (``O_DIRECT``): for 525 KB that takes
80 µs of a processor with its ``fdatasync`` instead of 220, and 0.35 ms instead of 0.55, and a write that
fails says so to its own writer, so that everybody syncs alone and the kernel joins what it can. Elsewhere
one ``fdatasync`` serves everybody who waits at that moment.

::

    page 0    "TGSEG001" · life (16 random bytes)
    page n    record: "TGSEGRE2" · state (8) · tag (16) · life (16) · parcel (16) · length of note (4)
              · zeros (4) · length of content (8) · content (exactly what a ``.tge`` file holds, but its
              trailer names no digests: `files.SpoolFiles.draft` computes them) · note (JSON: the index row)

A record begins on a page of its own, so that writing one never touches a page of another that was
acknowledged. Its tag is AES-GMAC (NIST SP 800-38D) under the segment's life as key, five times as
fast here as CRC-32. It is no secret and no signature: it tells a whole record from a torn one, and,
as every use of a segment is a new life, from a record of an earlier life. The state is outside of the
tag: eight zeros, overwritten by "TAKEN" once the item lives on elsewhere.

Records of an older form, "TGSEGREC" · state · life · parcel · lengths · tag · note · content, are read, too.
"""

from __future__ import annotations

import mmap
import os
import secrets
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from errno import EIO
from itertools import chain
from pathlib import Path
from struct import Struct

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM

from edge.spool.aligned import PAGE, Gathered
from gateway.model import ParcelId

FILE_MAGIC, RECORD_MAGIC, FIRST_RECORD_MAGIC = b"TGSEG001", b"TGSEGRE2", b"TGSEGREC"
FRESH, TAKEN = bytes(8), b"TAKEN\0\0\0"
NOTE_LIMIT = 2048
_FILE = Struct("<8s16s")
_RECORD = Struct("<8s8s16s16s16sL4xQ")
_FIRST_RECORD = Struct("<8s8s16s16sLQ16s")
_STATE_AT = len(RECORD_MAGIC)
_TAGGED = 32
"""Bytes of a record before the first that its tag is made of."""

HEAD = _RECORD.size
"""Bytes of a record before its content."""


@dataclass(frozen=True, slots=True)
class Found:
    """A record: where it begins, where its content lies, and where it ends.

    If it is not `whole` it was torn while being written, which nobody was told had succeeded, or has
    rotted since: whoever has heard of the parcel knows which.
    """

    parcel: ParcelId
    at: int
    offset: int
    length: int
    taken: bool
    note: bytes
    whole: bool = True
    end: int = 0


class Segment:
    """One segment file, open for writing. Safe to share between threads.

    Args:
        path: of the file; made if it is not there.
        size: bytes it may grow to.
        direct: whether records go past the page cache, if the file system lets them.

    Attributes:
        live: records that are not taken yet.
        pending: records being written.
        failed: the disk would not say that it holds what was written; nothing more is added.
    """

    def __init__(self, path: Path, size: int, *, direct: bool = True) -> None:
        self.path, self.size, self._wish = path, size, direct
        self.live = self.pending = 0
        self.failed = False
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._direct = -1
        self._life, self._key = b"", AES(bytes(16))
        self._next = PAGE
        self._turn = threading.Condition()
        self._written = self._synced = 0
        self._syncing = False

    def begin(self) -> None:
        """Begin a new life, durably: every record must have been taken."""
        self._life, self._next = secrets.token_bytes(16), PAGE
        self._key = AES(self._life)
        _write(self._handle, _FILE.pack(FILE_MAGIC, self._life), 0)
        os.fdatasync(self._handle)
        if self._wish and self._direct < 0:
            self._direct = _open_direct(self.path)

    def fill(self) -> None:
        """Write every block once, so that later writes find them there."""
        zeros = bytes(1 << 20)
        for at in range(0, self.size, len(zeros)):
            _write(self._handle, zeros[: self.size - at], at)
        os.fdatasync(self._handle)

    def reserve(self, size: int) -> int | None:
        """A place for a record of `size` bytes of note and content; None if there is none left.

        For the owner alone, who holds its own lock; counts it as pending.
        """
        at, end = self._next, self._next + HEAD + size
        if self.failed or (end > self.size and at > PAGE):
            return None
        self._next = -(-end // PAGE) * PAGE
        self.pending += 1
        return at

    def write(self, at: int, parcel: ParcelId, note: bytes, content: Gathered) -> None:
        """Write one record at the place reserved for it, and wait until it is durable.

        Args:
            at: the place.
            parcel: whose it is.
            note: at most `NOTE_LIMIT` bytes.
            content: with `HEAD` bytes kept free before it.

        Raises:
            OSError: it is not; nothing was promised to anyone.
        """
        ident, length = bytes.fromhex(parcel), content.length
        empty = _RECORD.pack(RECORD_MAGIC, FRESH, bytes(16), self._life, ident, len(note), length)
        data = content.whole(empty, note)
        data[_TAGGED - 16 : _TAGGED] = _tag(self._key, at, [data[_TAGGED : HEAD + length + len(note)]])
        if self._direct >= 0:
            self._past_the_cache(data, at)
        else:
            _write(self._handle, data, at)
            self._commit()

    def take(self, places: Sequence[int]) -> None:
        """Mark the records that begin at these places as taken, durably."""
        for at in places:
            _write(self._handle, TAKEN, at + _STATE_AT)
        os.fdatasync(self._handle)

    def close(self) -> None:
        """Close the file."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        if self._direct >= 0:
            os.close(self._direct)
            self._direct = -1

    def _past_the_cache(self, data: memoryview, at: int) -> None:
        if os.pwritev(self._direct, [data], at) != len(data):
            raise OSError(EIO, "written in part")
        try:
            os.fdatasync(self._direct)
        except BaseException:
            self.failed = True
            raise

    def _commit(self) -> None:
        """Group commit: whoever comes first syncs for all who have written by then; the others wait."""
        with self._turn:
            self._written += 1
            mine = self._written
            while self._syncing and self._synced < mine and not self.failed:
                self._turn.wait()
            if self.failed:
                raise OSError(f"{self.path.name} cannot be made durable")
            if self._synced >= mine:
                return
            self._syncing, reached = True, self._written
        try:
            os.fdatasync(self._handle)
        except BaseException:
            # the kernel may have dropped the pages: a second try would succeed and mean nothing
            with self._turn:
                self._syncing, self.failed = False, True
                self._turn.notify_all()
            raise
        with self._turn:
            self._syncing, self._synced = False, reached
            self._turn.notify_all()


def scan(path: Path) -> Iterator[Found]:
    """Every record of a segment file, taken or not, of its present life.

    A damaged page costs the records that touch it and no others: where no record can be read, the
    next page is looked at. If page 0 itself is damaged, records of any life count.
    """
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        head = os.pread(file.fileno(), _FILE.size, 0)
        magic, life = _FILE.unpack(head) if len(head) == _FILE.size else (b"", b"")
        at = PAGE
        while at + HEAD <= size:
            found = _read(file.fileno(), at, size, life if magic == FILE_MAGIC else None)
            if found is None:
                at += PAGE
                continue
            yield found
            at = -(-found.end // PAGE) * PAGE if found.whole else at + PAGE


def _read(handle: int, at: int, size: int, life: bytes | None) -> Found | None:
    head = os.pread(handle, HEAD, at)
    if head.startswith(RECORD_MAGIC):
        _, state, tag, own, ident, noted, length = _RECORD.unpack(head)
        offset, note_at = at + HEAD, at + HEAD + length
        tagged: list[tuple[int, int]] = [(at + _TAGGED, HEAD - _TAGGED + length + noted)]
        said = b""
    elif head.startswith(FIRST_RECORD_MAGIC):
        _, state, own, ident, noted, length, tag = _FIRST_RECORD.unpack_from(head)
        note_at = at + _FIRST_RECORD.size
        offset, said = note_at + noted, ident + length.to_bytes(8, "big")
        tagged = [(note_at, noted), (offset, length)]
    else:
        return None
    end = max(offset + length, note_at + noted)
    if noted > NOTE_LIMIT or end > size or (life is not None and own != life):
        return None
    note = os.pread(handle, noted, note_at)
    taken = state == TAKEN  # then nothing depends on it any more: spare the reading
    whole = taken or tag == _tag(AES(own), at, chain([said], *(_pieces(handle, *one) for one in tagged)))
    return Found(ParcelId(ident.hex()), at, offset, length, taken, note, whole, end)


def _pieces(handle: int, offset: int, length: int) -> Iterator[bytes]:
    end = offset + length
    while offset < end:
        piece = os.pread(handle, min(1 << 20, end - offset), offset)
        if not piece:
            return
        yield piece
        offset += len(piece)


def _tag(life: AES, at: int, pieces: Iterable[bytes | memoryview]) -> bytes:
    mac = Cipher(life, GCM(at.to_bytes(12, "big"))).encryptor()
    for piece in pieces:
        mac.authenticate_additional_data(piece)
    mac.finalize()
    tag: bytes = mac.tag
    return tag


def _open_direct(path: Path) -> int:
    """A handle for writes past the page cache; -1 where the file system does not have them."""
    handle = -1
    try:
        handle = os.open(path, os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC)
        with closing(mmap.mmap(-1, PAGE)) as probe:
            os.preadv(handle, [probe], 0)
    except OSError:
        if handle >= 0:
            os.close(handle)
        return -1
    return handle


def _write(handle: int, data: bytes | memoryview, at: int) -> None:
    rest = memoryview(data)
    while rest:  # more than once is rare: a signal, or the last bytes of the disk
        written = os.pwritev(handle, [rest], at)
        rest, at = rest[written:], at + written
