"""Frames and bulk data out of the blobs. Blocking: call it off the event loop."""

from __future__ import annotations

import struct
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydicom.dataset import Dataset

from gateway.dicom import transfer
from gateway.dicom.header import read_header
from gateway.dicom.transfer import Read
from gateway.errors import Malformed, NotFound
from hub.archive.jsonmodel import element_at, to_little
from hub.archive.store import BlobStore, read_at
from hub.dicomweb.frames import (
    Fragment,
    Image,
    encapsulated_frame,
    group,
    native_frame,
    walk,
)

MAX_INFLATED = 1 << 30
"""A deflated instance is inflated in memory up to here; no modality deflates larger ones."""

CACHED = 512
"""Instances whose fragment places are remembered."""

MAX_BULK = 1 << 30
"""One bulk data value is handed out in one piece up to here."""

DOCUMENTS = frozenset({"application/pdf", "model/stl", "model/obj", "model/mtl"})
"""Media types of documents that are told as the dataset says; anything a browser might run is octets."""

_EXTENDED_TABLE = 0x7FE00001

Row = Mapping[str, Any]
Places = tuple[tuple[Fragment, ...], ...]


class PixelStore:
    """Cuts frames and other values out of stored instances.

    Args:
        store: the blobs.
    """

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._places: OrderedDict[str, Places] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def reading(self, row: Row) -> Iterator[Read]:
        """Read an instance's dataset by offset, inflated if it is deflated."""
        with self._store.open(row["sha256"]) as blob:
            handle = blob.fileno()

            def read(offset: int, size: int) -> bytes:
                return read_at(handle, offset, size)

            if transfer.encoding(row["transfer_syntax_uid"]).deflated:
                yield transfer.Inflated(read, MAX_INFLATED).read
            else:
                yield read

    def frame(self, row: Row, number: int) -> bytes:
        """One frame as it is kept, native ones in little endian.

        Raises:
            NotFound: the instance has no pixels.
            Malformed: the pixel data does not hold that frame.
        """
        image = image_of(row)
        with self.reading(row) as read:
            if image.pixel_length is not None:
                return native_frame(image, number, read)
            return encapsulated_frame(self._places_of(row, image, read)[number - 1], read)

    def bulk(self, row: Row, path: str) -> tuple[str, bytes]:
        """A value named by a BulkDataURI: its VR, and its bytes in little endian.

        Raises:
            NotFound: the instance has no such value.
            Malformed: it is too large for one piece, or encapsulated.
        """
        with self.reading(row) as read:
            header = read_header(read, plain_encoding(row["transfer_syntax_uid"]))
            little = transfer.encoding(row["transfer_syntax_uid"]).little
            for bulk in header.bulk:
                if path == f"{bulk.tag:08X}":
                    return bulk.vr, to_little(
                        _exactly(read, bulk.offset, bulk.length), bulk.vr, little_endian=little
                    )
            try:
                element = element_at(header.dataset, path)
            except KeyError:
                raise NotFound(f"the instance has no bulk data {path[:80]}") from None
        if not isinstance(element.value, bytes):
            raise NotFound(f"{path[:80]} is no bulk data")
        return str(element.VR), to_little(element.value, str(element.VR), little_endian=little)

    def header(self, row: Row) -> Dataset:
        """Everything of an instance before its pixels."""
        with self.reading(row) as read:
            return read_header(read, plain_encoding(row["transfer_syntax_uid"])).dataset

    def document(self, row: Row) -> tuple[str, bytes]:
        """An encapsulated document (PS3.3 C.24.2): its media type and its bytes.

        Raises:
            NotFound: the instance holds none.
        """
        _, value = self.bulk(row, "00420011")
        dataset = self.header(row)
        length = dataset.get("EncapsulatedDocumentLength")
        if isinstance(length, int) and 0 < length <= len(value):
            value = value[:length]
        media_type = str(dataset.get("MIMETypeOfEncapsulatedDocument"))
        return media_type if media_type in DOCUMENTS else "application/octet-stream", value

    def _places_of(self, row: Row, image: Image, read: Read) -> Places:
        sha256 = str(row["sha256"])
        with self._lock:
            known = self._places.get(sha256)
            if known is not None:
                self._places.move_to_end(sha256)
                return known
        found = walk(read, image.pixel_offset)
        extended: tuple[int, ...] = ()
        if image.frames > 1 and not found.table and len(found.pieces) != image.frames:
            extended = _extended_table(read, image)
        places = group(found, image.frames, read, extended=extended)
        with self._lock:
            self._places[sha256] = places
            while len(self._places) > CACHED:
                self._places.popitem(last=False)
        return places


def image_of(row: Row) -> Image:
    """What `frames` must know of an instance. Raises NotFound if it has no pixels."""
    if row["pixel_offset"] is None:
        raise NotFound("the instance has no pixel data")
    return Image(
        row["transfer_syntax_uid"],
        row["frames"],
        row["frame_bits"],
        row["bits_allocated"],
        row["pixel_offset"],
        row["pixel_length"],
    )


def plain_encoding(syntax: str) -> str:
    """The encoding of what `PixelStore.reading` yields."""
    return transfer.EXPLICIT_LITTLE if transfer.encoding(syntax).deflated else syntax


def _extended_table(read: Read, image: Image) -> tuple[int, ...]:
    """(7FE0,0001), PS3.3 C.7.6.3.1.8; empty if there is none."""
    header = read_header(read, image.syntax)
    for bulk in header.bulk:
        if bulk.tag == _EXTENDED_TABLE:
            return _offsets(_exactly(read, bulk.offset, bulk.length))
    element = header.dataset.get(_EXTENDED_TABLE)
    return _offsets(element.value) if element is not None and isinstance(element.value, bytes) else ()


def _offsets(value: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(value) // 8}Q", value[: len(value) // 8 * 8])


def _exactly(read: Read, offset: int, length: int) -> bytes:
    if length > MAX_BULK:
        raise Malformed(f"a value of {length} bytes is too large for one piece; retrieve the instance")
    data = read(offset, length)
    if len(data) != length:
        raise Malformed("the dataset ends within the value")
    return data
