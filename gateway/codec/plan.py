"""Where in a dataset's bytes the pixels lie that an image codec could take.

Pure but for the `read` it is given. Tolerant: a dataset that cannot be read has no pixels to code. What the
plan says is never trusted in decoding: a wrong plan makes larger segments, not wrong ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.codec.jpeg import FRAGMENTS_MAX, START
from gateway.codec.segment import LIMIT
from gateway.codec.strips import Form
from gateway.codec.way import IMAGE_CODECS, JPEG_CODEC, Way
from gateway.dicom import transfer
from gateway.dicom.tags import ITEM
from gateway.dicom.transfer import Read
from gateway.dicom.walk import UNDEFINED, Element, Walk

STRIP = 4 << 20
"""Original bytes of one segment of pixels: any number of them pass through fixed memory."""

ROWS_MAX = 1 << 15
"""Rows of a strip: JPEG-LS counts them in 16 bits."""

COLUMNS_MIN, COLUMNS_MAX = 8, 65535
PIXELS_MIN = 2048
"""Fewer bytes than these are not worth an image codec's own header."""

JPEG_MIN = 100
"""Bytes: a JPEG file without its tables is smaller, but no file."""

JPEG_SYNTAXES = frozenset(("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"))
"""JPEG Baseline (Process 1) and Extended (Process 2 & 4), PS3.5 A.4.1."""

PIXEL_DATA = 0x7FE00010
_MODALITY = 0x00080060
_SAMPLES, _PHOTOMETRIC, _PLANAR = 0x00280002, 0x00280004, 0x00280006
_ROWS, _COLUMNS, _ALLOCATED = 0x00280010, 0x00280011, 0x00280100
_WANTED = frozenset((_MODALITY, _SAMPLES, _PHOTOMETRIC, _PLANAR, _ROWS, _COLUMNS, _ALLOCATED))


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes from `start` to `end` that are one segment: rows of pixels, or (without form) a JPEG."""

    start: int
    end: int
    form: Form | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What an image codec could take of one instance.

    Attributes:
        kind: what sort of image it is, such as ``CT/16x1/512`` (bits, samples, columns from 512 to 1023):
            images of one kind shrink alike.
        form: of native pixels, if there are any.
        start, end: of all whole rows of native pixels.
        strip: bytes of each segment of them, but the last.
        fragments: start and end of every JPEG file, or of all items that hold one, for encapsulated pixels.
    """

    kind: str = ""
    form: Form | None = None
    start: int = 0
    end: int = 0
    strip: int = STRIP
    fragments: tuple[tuple[int, int], ...] = ()

    def fits(self, way: Way) -> bool:
        """Whether `way` has anything to take here; ``raw`` and ``zstd`` always have."""
        if way.codec in IMAGE_CODECS:
            return self.form is not None and (self.form.width < 4 or way.codec == "htj2k")
        return bool(self.fragments) if way.codec == JPEG_CODEC else True

    def pieces(self) -> Iterator[Piece]:
        """Every segment worth an image codec, by rising offset."""
        if self.form is not None:
            for start in range(self.start, self.end, self.strip):
                yield Piece(start, min(start + self.strip, self.end), self.form)
        for start, end in self.fragments:
            yield Piece(start, end, None)


def plan(read: Read, transfer_syntax_uid: str) -> Plan:
    """Look for pixels.

    Args:
        read: the dataset bytes by offset, as they are sent (deflated ones stay so and have no plan).
        transfer_syntax_uid: as negotiated.
    """
    encoding = transfer.encoding(transfer_syntax_uid)
    if encoding.deflated:
        return Plan(kind="deflated")
    walk = Walk(read, encoding, _WANTED)
    found = {element.tag: element for element in walk.elements()}
    pixel = found.get(PIXEL_DATA)
    facts = _Facts(found, walk.little)
    if pixel is None:
        return Plan(kind=facts.kind)
    if pixel.length is None:
        fragments = _jpegs(read, pixel.offset) if transfer_syntax_uid in JPEG_SYNTAXES else ()
        return Plan(kind=f"{facts.kind}/compressed", fragments=fragments)
    if transfer.compressed(transfer_syntax_uid):
        return Plan(kind=f"{facts.kind}/compressed")
    big = not walk.little or transfer_syntax_uid == transfer.GE_PRIVATE_IMPLICIT
    return _native(facts, pixel.offset, pixel.length, big=big)


class _Facts:
    """The Image Pixel module (PS3.3 C.7.6.3), as far as it is there."""

    def __init__(self, found: dict[int, Element], little: bool) -> None:
        self._found, self._little = found, little
        self.modality = self._text(_MODALITY)
        self.photometric = self._text(_PHOTOMETRIC)
        self.samples, self.planar = self._number(_SAMPLES) or 1, self._number(_PLANAR) == 1
        self.rows, self.columns = self._number(_ROWS), self._number(_COLUMNS)
        self.allocated = self._number(_ALLOCATED)
        self.kind = f"{self.modality or '?'}/{self.allocated}x{self.samples}"

    def _value(self, tag: int) -> bytes:
        element = self._found.get(tag)
        return (element.value or b"") if element else b""

    def _number(self, tag: int) -> int:
        return int.from_bytes(self._value(tag)[:2], "little" if self._little else "big")

    def _text(self, tag: int) -> str:
        return self._value(tag)[:16].decode("ascii", "replace").strip(" \0")


def _native(facts: _Facts, offset: int, length: int, *, big: bool) -> Plan:
    width = {8: 1, 16: 2, 32: 4}.get(facts.allocated, 0)
    frame = facts.rows * facts.columns * facts.samples * width
    if (
        not width
        or facts.samples not in (1, 3)
        or not COLUMNS_MIN <= facts.columns <= COLUMNS_MAX
        or length < max(frame, PIXELS_MIN)
        or not facts.rows
        or "_42" in facts.photometric  # YBR_FULL_422: chroma is left out, so rows are shorter than they say
    ):
        return Plan(kind=facts.kind)
    samples, planar = facts.samples, facts.samples == 3 and facts.planar
    if planar and frame > STRIP:
        samples, planar = 1, False  # a frame too large to be turned: its planes as images one below another
    form = Form(
        columns=facts.columns,
        samples=samples,
        width=width,
        big=big and width > 1,
        planar=planar,
        colour=facts.photometric == "RGB",
    )
    strip = _strip(form, facts.rows, frame)
    unit = frame if planar else form.row
    kind = f"{facts.kind}/{1 << facts.columns.bit_length() - 1}"  # the smaller, the more a header weighs
    return Plan(kind=kind, form=form, start=offset, end=offset + length // unit * unit, strip=strip)


def _strip(form: Form, rows: int, frame: int) -> int:
    """Bytes of a strip: one frame if its planes must be turned, else as many frames or rows as fit."""
    if form.planar:
        return frame
    fit = max(min(STRIP // form.row, ROWS_MAX), 1)
    return form.row * (fit // rows * rows or fit)


def _jpegs(read: Read, at: int) -> tuple[tuple[int, int], ...]:
    """Fragments that hold a JPEG file from its beginning (PS3.5 A.4); the rest is no image codec's.

    What follows one and begins no other belongs to it: then it is one with the items' heads.
    """
    fragments: list[tuple[int, int]] = []
    first = 0
    for _ in range(FRAGMENTS_MAX):
        head = read(at, 8 + len(START))
        tag = int.from_bytes(head[:2], "little") << 16 | int.from_bytes(head[2:4], "little")
        length = int.from_bytes(head[4:8], "little")
        if len(head) < 8 or tag != ITEM or length == UNDEFINED:
            break
        at += 8
        if head[8:] == START and length >= len(START):
            fragments.append((at, at + length))
            first = at - 8
        elif fragments:
            fragments[-1] = first, at + length
        at += length
    return tuple((start, end) for start, end in fragments if JPEG_MIN <= end - start <= LIMIT)
