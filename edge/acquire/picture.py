"""JPEG, PNG and TIFF into frames that DICOM can hold, within limits.

A baseline JPEG that stands upright keeps its bytes. Everything else is decoded once and stored without
further loss: a picture that its EXIF orientation turns is turned, transparency is laid on white, CMYK
and palettes become RGB. What was done stands in `Pictures.changes`, for the dataset.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from edge.acquire import jpeg
from gateway.errors import Malformed

PIXEL_LIMIT = 150_000_000
"""Pixels of one page: a 14 × 17 inch film at 600 dpi has 86 million, a phone's picture up to 108."""

PAGE_LIMIT = 500
PLAIN_LIMIT = 1_000_000_000
"""Bytes of all decoded pages together."""

PROFILE_LIMIT = 1 << 20
_FORMATS = ("JPEG", "PNG", "TIFF")
_ORIENTATION = 0x0112
_TIFF_PHOTOMETRIC = 262
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What sets a picture upright, by its EXIF orientation. Pillow's own way writes the EXIF anew as well, and
falls over tags that a camera wrote oddly."""

_FAULTS = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow raises for bad bytes."""


@dataclass(frozen=True, slots=True)
class Page:
    """One frame.

    Attributes:
        data: native pixels, little endian, row by row, or a whole JPEG stream if `jpeg`.
        samples: 1 or 3.
        bits: 8 or 16.
        photometric: as DICOM says it (PS3.3 C.7.6.3.1.2).
    """

    data: bytes
    rows: int
    columns: int
    samples: int
    bits: int
    photometric: str
    jpeg: bool = False

    @property
    def shape(self) -> tuple[object, ...]:
        """Pages of the same shape can be frames of one instance."""
        return self.rows, self.columns, self.samples, self.bits, self.photometric, self.jpeg


@dataclass(frozen=True, slots=True)
class Pictures:
    """All pages of one file.

    Attributes:
        lossy: whether it has been through lossy compression.
        profile: an ICC profile for RGB; empty if there is none.
        spacing: millimetres between rows and columns as the scanner says, if it does.
        taken: ``YYYYMMDDHHMMSS`` as the camera says; empty if it does not.
        changes: what was done to the pixels, in words.
    """

    pages: tuple[Page, ...]
    media_type: str
    lossy: bool
    profile: bytes = b""
    spacing: tuple[float, float] | None = None
    taken: str = ""
    changes: tuple[str, ...] = field(default=())


def read(data: bytes) -> Pictures:
    """Read a picture.

    Raises:
        Malformed: it is none of the formats, damaged, or beyond the limits.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own, about sizes and metadata; the limits are ours
            with Image.open(BytesIO(data), formats=_FORMATS) as image:
                return _read(data, image)
    except UnidentifiedImageError as error:
        raise Malformed("it is no JPEG, PNG, TIFF or PDF, or damaged") from error
    except _FAULTS as error:
        raise Malformed(f"the picture cannot be read: {error}") from error


def _read(data: bytes, image: Image.Image) -> Pictures:
    _bounded(image)
    orientation = image.getexif().get(_ORIENTATION, 1)
    is_jpeg = image.format in ("JPEG", "MPO")
    kind = "image/jpeg" if is_jpeg else f"image/{str(image.format).lower()}"
    changes: dict[str, None] = {}
    found = jpeg.frame(data) if is_jpeg else None
    if found is not None and orientation not in _TURNS and found.baseline and found.components in (1, 3):
        image.load()  # whole? a reader must not find out first
        pages = [_kept(data, found)]
        if image.format == "MPO":
            changes["only the first picture of several was taken"] = None
    else:
        pages = _decoded(image, changes)
        if is_jpeg:
            changes["decoded from JPEG"] = None
    profile = image.info.get("icc_profile") or b""
    return Pictures(
        pages=tuple(pages),
        media_type=kind,
        lossy=is_jpeg or image.info.get("compression") in ("jpeg", "tiff_jpeg", "webp"),
        profile=profile if _fits(profile, pages, image) else b"",
        spacing=_spacing(image),
        taken=_taken(image),
        changes=tuple(changes),
    )


def _bounded(image: Image.Image) -> None:
    if image.width * image.height > PIXEL_LIMIT:
        raise Malformed(f"{image.width} × {image.height} pixels are more than are taken ({PIXEL_LIMIT})")
    if not (0 < image.width <= 65535 and 0 < image.height <= 65535):
        raise Malformed("DICOM holds at most 65535 rows and columns")


def _kept(data: bytes, found: jpeg.Frame) -> Page:
    photometric = "MONOCHROME2" if found.components == 1 else "RGB" if found.rgb else "YBR_FULL_422"
    return Page(data, found.rows, found.columns, found.components, 8, photometric, jpeg=True)


def _decoded(image: Image.Image, changes: dict[str, None]) -> list[Page]:
    pages: list[Page] = []
    total = 0
    several = image.format == "TIFF"
    while True:
        _bounded(image)
        page = _page(image, changes)
        total += len(page.data)
        if total > PLAIN_LIMIT:
            raise Malformed(f"more than {PLAIN_LIMIT} bytes of pixels")
        pages.append(page)
        if len(pages) > PAGE_LIMIT:
            raise Malformed(f"more than {PAGE_LIMIT} pages")
        if not several:
            return pages
        try:
            image.seek(len(pages))
        except EOFError:
            return pages


def _page(image: Image.Image, changes: dict[str, None]) -> Page:
    upright = _upright(image, changes)
    if upright.mode.startswith("I"):
        return _deep(upright, _is_white_zero(image), changes)
    if upright.mode in ("1", "L"):
        grey = upright.convert("L")
        return Page(grey.tobytes(), grey.height, grey.width, 1, 8, "MONOCHROME2")
    if upright.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in upright.info:
        changes["transparency laid on white"] = None
        clear = upright.convert("RGBA")
        white = Image.new("RGBA", clear.size, (255, 255, 255, 255))
        upright = Image.alpha_composite(white, clear)
    if upright.mode == "F":
        raise Malformed("pixels with fractions cannot be taken without a scale; save it as 8 or 16 bits")
    if upright.mode not in ("RGB", "RGBA"):
        changes[f"{upright.mode} converted to RGB"] = None
    colour = upright.convert("RGB")
    return Page(colour.tobytes(), colour.height, colour.width, 3, 8, "RGB")


def _upright(image: Image.Image, changes: dict[str, None]) -> Image.Image:
    told = image.getexif().get(_ORIENTATION)
    if told in _TURNS:
        changes[f"turned by EXIF orientation {told}"] = None
    image.load()
    left = image.getexif().get(_ORIENTATION)  # a TIFF is turned by Pillow while it is loaded
    return image.transpose(_TURNS[left]) if left in _TURNS else image


def _deep(image: Image.Image, white_zero: bool, changes: dict[str, None]) -> Page:
    """16 bits a pixel. TIFF's WhiteIsZero stays as MONOCHROME1."""
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise Malformed("pixels of more than 16 bits cannot be taken; save it as 8 or 16 bits")
    rows, columns = values.shape
    photometric = "MONOCHROME1" if white_zero else "MONOCHROME2"
    return Page(values.astype("<u2").tobytes(), rows, columns, 1, 16, photometric)


def _is_white_zero(image: Image.Image) -> bool:
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    return bool(image.tag_v2.get(_TIFF_PHOTOMETRIC) == 0)


def _fits(profile: bytes, pages: list[Page], image: Image.Image) -> bool:
    """Whether an ICC profile says something of these pixels (PS3.3 C.11.15.1.1)."""
    is_rgb = image.mode in ("RGB", "RGBA") and all(page.samples == 3 for page in pages)
    return is_rgb and 128 < len(profile) <= PROFILE_LIMIT and profile[16:20] == b"RGB "


def _spacing(image: Image.Image) -> tuple[float, float] | None:
    dpi = image.info.get("dpi")
    if not isinstance(dpi, tuple) or len(dpi) != 2:
        return None
    across, down = float(dpi[0]), float(dpi[1])
    if not (75 <= across <= 10_000 and 75 <= down <= 10_000):  # 72 is what programs write for "unknown"
        return None
    return round(25.4 / down, 6), round(25.4 / across, 6)


def _taken(image: Image.Image) -> str:
    exif = image.getexif()
    try:
        told = exif.get_ifd(0x8769).get(36867) or exif.get(306)  # DateTimeOriginal, DateTime
    except (ValueError, OSError):  # it points nowhere
        return ""
    digits = "".join(letter for letter in str(told or "") if letter.isdigit())
    return digits if len(digits) == 14 and digits[:4] >= "1970" else ""
