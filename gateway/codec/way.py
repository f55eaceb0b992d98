"""The ways an instance can be coded: a codec, as the envelope names it, and how hard it tries. Pure.

Only the codec's name travels; a decoder need not know the level.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import Malformed

IMAGE_CODECS = frozenset(("jxl", "htj2k", "jpegls"))
"""Codecs of native pixels: JPEG XL (ISO/IEC 18181), HTJ2K (ISO/IEC 15444-15), JPEG-LS (ISO/IEC 14495-1)."""

JPEG_CODEC = "jpeg-jxl"
"""JPEG XL's exact recompression of JPEG files (ISO/IEC 18181-2, JPEG bitstream reconstruction)."""

SEGMENTS_CODEC = "segments"
"""Segments without any pixels: what has none lies wholly in the parcel's shared stream."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to code.

    Attributes:
        codec: the name in the envelope.
        level: the codec's effort; 0 where there is only one.
    """

    codec: str
    level: int = 0

    @property
    def name(self) -> str:
        """As it is shown and configured, such as ``jxl-3``."""
        return f"{self.codec}-{self.level}" if self.level else self.codec


RAW = Way("raw")
ZSTD = Way("zstd", 3)
SEGMENTS = Way(SEGMENTS_CODEC)
"""Not among `WAYS`: it is no matter of speed, but of what the parcel holds besides."""
WAYS = (
    RAW,
    Way("zstd", 1),
    ZSTD,
    Way("jxl", 1),
    Way("htj2k"),
    Way("jxl", 2),
    Way("jpegls"),
    Way(JPEG_CODEC),
    Way("jxl", 3),
    Way("zstd", 9),
    Way("jxl", 5),
    Way("zstd", 19),
    Way("jxl", 7),
)
"""Every way there is, from the fastest to the slowest."""

_DEFAULTS = {"zstd": ZSTD, "jxl": Way("jxl", 3)}
_BY_NAME = {way.name: way for way in (*WAYS, SEGMENTS)}


def parse(name: str) -> Way:
    """A way by its name, or a codec by its name at its usual level. Raises Malformed for an unknown one."""
    way = _BY_NAME.get(name) or _DEFAULTS.get(name)
    if way is None:
        raise Malformed(f"there is no codec {name!r}; known are {', '.join(_BY_NAME)}")
    return way
