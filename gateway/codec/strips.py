"""Pixels to a codestream and back: one strip, which is any number of whole rows, at a time.

The words of a strip are shifted so that the smallest becomes 0 and taken in the narrowest samples that hold
them. So nothing depends on what the header says of stored bits, sign or overlays: a wrong header makes
a strip larger, never wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from gateway.codec import codestream
from gateway.codec.segment import STRIP_SIZE, Strip
from gateway.codec.way import Way
from gateway.errors import Malformed

CODEC_ERRORS = (RuntimeError, ValueError, TypeError, ArithmeticError, MemoryError)
"""What imagecodecs raises for data that a codec does not take; its own errors are RuntimeErrors."""

Pixels = NDArray[Any]

_CODED: Mapping[int, np.dtype[Any]] = {width: np.dtype(f"u{width}") for width in (1, 2, 4)}
_SIGNED: Mapping[int, np.dtype[Any]] = {width: np.dtype(f"i{width}") for width in (1, 2, 4)}


@dataclass(frozen=True, slots=True)
class Form:
    """How pixel data is laid out (PS3.5 §8.1).

    Attributes:
        columns: of the image.
        samples: 1 or 3 to a pixel.
        width: bytes of a word: 1, 2 or 4.
        big: words are big-endian.
        planar: three planes one after another in each strip (Planar Configuration 1).
        colour: the samples are red, green and blue, so that a colour transform helps.
    """

    columns: int
    samples: int = 1
    width: int = 1
    big: bool = False
    planar: bool = False
    colour: bool = False

    @property
    def row(self) -> int:
        """Bytes of a row, of all samples."""
        return self.columns * self.samples * self.width


def encode(data: memoryview, form: Form, way: Way) -> bytes:
    """The content of a pixel segment: whole rows of `form`, coded by `way`.

    Raises:
        RuntimeError, ValueError, …: any of `CODEC_ERRORS`: the codec does not take it.
    """
    words = np.frombuffer(data, _dtype(form.width, big=form.big)).astype(_CODED[form.width], copy=False)
    offset, span = _least(words)
    coded_width = 1 if span < 1 << 8 else 2 if span < 1 << 16 else 4
    values = (words - words.dtype.type(offset)).astype(_CODED[coded_width], copy=False)
    strip = Strip(
        rows=len(data) // form.row,
        columns=form.columns,
        samples=form.samples,
        width=form.width,
        big=form.big,
        planar=form.planar,
        coded_width=coded_width,
        offset=offset,
    )
    if form.planar:
        values = np.ascontiguousarray(values.reshape(3, strip.rows, strip.columns).transpose(1, 2, 0))
    stream = _ENCODERS[way.codec](values.reshape(_shape(strip)), way.level, span.bit_length(), form.colour)
    return strip.to_bytes() + stream


def decode(content: bytes, plain: int, codec: str) -> bytes:
    """Exactly `plain` original bytes of a pixel segment.

    A codestream that declares another image is refused by its header, before anything is allocated for it.
    Damage behind that header may go unseen here (imagecodecs
    drops some of OpenJPH's errors): the digest of the whole instance is what proves the bytes.

    Raises:
        Malformed: it is not what `encode` wrote.
    """
    strip = Strip.from_bytes(content[:STRIP_SIZE])
    if strip.size != plain:
        raise Malformed(f"a pixel segment of {plain} bytes says it has {strip.size}")
    stream = content[STRIP_SIZE:]
    codestream.check(codec, stream, strip)
    pixels = np.zeros(_shape(strip), _CODED[strip.coded_width])
    try:
        _DECODERS[codec](stream, pixels)
    except CODEC_ERRORS as error:
        raise Malformed(f"a {codec} codestream cannot be read: {error}") from error
    if strip.planar:
        pixels = pixels.transpose(2, 0, 1)
    words = pixels.astype(_CODED[strip.width], copy=False)
    if strip.offset:
        words = words + words.dtype.type(strip.offset)
    return words.astype(_dtype(strip.width, big=strip.big), copy=False).tobytes()


def _dtype(width: int, *, big: bool) -> np.dtype[Any]:
    return np.dtype(f"{'>' if big else '<'}u{width}")


def _shape(strip: Strip) -> tuple[int, ...]:
    shape = (strip.rows, strip.columns)
    return shape if strip.samples == 1 else (*shape, strip.samples)


def _least(words: Pixels) -> tuple[int, int]:
    """The smallest word modulo 2^bits, and how far others reach above it; signed if that is less."""
    bits = 8 * words.dtype.itemsize
    low, high = int(words.min()), int(words.max())
    if high >> bits - 1 and not low >> bits - 1:
        signed = words.view(_SIGNED[words.dtype.itemsize])
        signed_low, signed_high = int(signed.min()), int(signed.max())
        if signed_high - signed_low < high - low:
            return signed_low % (1 << bits), signed_high - signed_low
    return low, high - low


FAST_DEPTH = 13
"""Bits given to effort 1 of libjxl: its fast path writes beyond its buffer on noise of 15 bits (0.11.2)."""


def _jxl(pixels: Pixels, level: int, depth: int, _colour: bool) -> bytes:
    if level == 1 and depth > FAST_DEPTH:
        level = 2
    return bytes(
        imagecodecs.jpegxl_encode(
            pixels, lossless=True, effort=level, bitspersample=max(depth, 1), numthreads=1
        )
    )


def _htj2k(pixels: Pixels, _level: int, _depth: int, colour: bool) -> bytes:
    return bytes(imagecodecs.htj2k_encode(pixels, reversible=True, rgb=colour and pixels.ndim == 3))


def _jpegls(pixels: Pixels, _level: int, _depth: int, _colour: bool) -> bytes:
    return bytes(imagecodecs.jpegls_encode(pixels))


_ENCODERS: Mapping[str, Callable[[Pixels, int, int, bool], bytes]] = {
    "jxl": _jxl,
    "htj2k": _htj2k,
    "jpegls": _jpegls,
}
_DECODERS: Mapping[str, Callable[[bytes, Pixels], object]] = {
    "jxl": lambda stream, out: imagecodecs.jpegxl_decode(stream, numthreads=1, out=out),
    "htj2k": lambda stream, out: imagecodecs.htj2k_decode(stream, planar=False, out=out),
    "jpegls": lambda stream, out: imagecodecs.jpegls_decode(stream, out=out),
}
