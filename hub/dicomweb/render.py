"""Frames as pictures for the eye: thumbnails and previews (PS3.18 §10.4.1.1.3). Pure.

Never for diagnosis: eight bits, one window. Decoding is pydicom's, with whatever decoders are installed;
where none is, `Unrenderable` says so.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.pixels.processing import apply_color_lut, convert_color_space

from gateway.errors import Malformed, Refused
from hub.archive.jsonmodel import FAULTS

MAX_SAMPLES = 64 << 20
"""Samples of one frame that are decoded."""

MAX_SIDE = 4096
"""Pixels of a rendered picture's longer side."""

THUMBNAIL = 192

Array = NDArray[Any]


class Unrenderable(Refused):
    """There is no picture of this: it holds no pixels that can be decoded here."""


@dataclass(frozen=True, slots=True)
class View:
    """How the picture is to look.

    Args:
        png: PNG; otherwise JPEG.
        side: pixels of its longer side at most.
        window: centre and width, in rescaled values; None: the header's, or the whole range.
    """

    png: bool = False
    side: int = MAX_SIDE
    window: tuple[float, float] | None = None


def picture(frame: bytes, header: Dataset, syntax: str, view: View, *, compressed: bool) -> bytes:
    """One frame as a JPEG or PNG file.

    Args:
        frame: as `hub.dicomweb.pixelstore` cuts it.
        header: of its instance.
        syntax: its transfer syntax.
        view: how it is to look.
        compressed: whether the frame must be decoded.

    Raises:
        Unrenderable: it cannot be decoded here.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd headers are told of by the index
            values = samples(frame, header, syntax, compressed=compressed)
            grey = _grey(values, header, view) if values.ndim == 2 else _colour(values)
    except (*FAULTS, NotImplementedError, RuntimeError, OSError) as error:
        raise Unrenderable(f"this frame cannot be drawn: {type(error).__name__}") from error
    image = Picture.fromarray(grey)
    image.thumbnail((view.side, view.side))
    target = BytesIO()
    if view.png:
        image.save(target, "PNG")
    else:
        image.save(target, "JPEG", quality=90)
    return target.getvalue()


def samples(frame: bytes, header: Dataset, syntax: str, *, compressed: bool) -> Array:
    """The decoded values of one frame: rows by columns, or rows by columns by red, green and blue.

    Raises:
        Unrenderable: no decoder is installed, or the frame is too large.
    """
    rows, columns, per_pixel = int(header.Rows), int(header.Columns), int(header.get("SamplesPerPixel", 1))
    if rows * columns * per_pixel > MAX_SAMPLES:
        raise Unrenderable("the frame is too large to be drawn here")
    photometric = str(header.PhotometricInterpretation)
    if compressed:
        values = _decoded(frame, header, syntax)
    else:
        values = _native(frame, header, (rows, columns, per_pixel))
        if per_pixel == 3 and photometric.startswith("YBR"):
            values = convert_color_space(values, photometric, "RGB")
    if photometric == "PALETTE COLOR":
        coloured: Array = apply_color_lut(values, header)
        return (coloured >> 8).astype(np.uint8) if coloured.dtype == np.uint16 else coloured
    return values


def _decoded(frame: bytes, header: Dataset, syntax: str) -> Array:
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise Unrenderable(f"there is no decoder for transfer syntax {syntax}") from error
    if not decoder.is_available:
        raise Unrenderable(f"no decoder for transfer syntax {syntax} is installed")
    values, _ = decoder.as_array(
        encapsulate([frame]),
        index=0,
        number_of_frames=1,
        rows=header.Rows,
        columns=header.Columns,
        samples_per_pixel=header.get("SamplesPerPixel", 1),
        photometric_interpretation=header.PhotometricInterpretation,
        planar_configuration=header.get("PlanarConfiguration", 0),
        bits_allocated=header.BitsAllocated,
        bits_stored=header.BitsStored,
        pixel_representation=header.PixelRepresentation,
        pixel_keyword="PixelData",
    )
    decoded: Array = values
    return decoded


def _native(frame: bytes, header: Dataset, shape: tuple[int, int, int]) -> Array:
    rows, columns, per_pixel = shape
    bits = int(header.BitsAllocated)
    if bits == 1:
        flat: Array = np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little")[: rows * columns]
        return flat.reshape(rows, columns)
    if str(header.PhotometricInterpretation) == "YBR_FULL_422":
        raise Unrenderable("uncompressed 4:2:2 colour is not drawn here")
    signed = int(header.get("PixelRepresentation", 0))
    whole = "BitsStored" in header or bits not in {32, 64}
    kind = f"<{('i' if signed else 'u') if whole else 'f'}{bits // 8}"
    values: Array = np.frombuffer(frame, kind)
    if whole and not signed:
        values = values & np.array((1 << int(header.BitsStored)) - 1, values.dtype)  # overlays may lie above
    if per_pixel == 1:
        return values.reshape(rows, columns)
    if header.get("PlanarConfiguration", 0):
        return values.reshape(per_pixel, rows, columns).transpose(1, 2, 0)
    return values.reshape(rows, columns, per_pixel)


def _grey(values: Array, header: Dataset, view: View) -> Array:
    """Rescaled and windowed to eight bits (PS3.3 C.11.2.1.2.1, linear)."""
    slope, intercept = float(header.get("RescaleSlope", 1)), float(header.get("RescaleIntercept", 0))
    scaled = values.astype(np.float32) * slope + intercept
    center, width = view.window or _window(header) or _range(scaled)
    low = center - 0.5 - (width - 1) / 2
    shown: Array = np.clip((scaled - low) / max(width - 1, 1e-6), 0, 1) * 255
    if str(header.PhotometricInterpretation) == "MONOCHROME1":
        shown = 255 - shown
    return shown.astype(np.uint8)


def _colour(values: Array) -> Array:
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    eight: Array = (values >> (8 * values.dtype.itemsize - 8)).astype(np.uint8)
    return eight


def _window(header: Dataset) -> tuple[float, float] | None:
    center, width = header.get("WindowCenter"), header.get("WindowWidth")
    if center is None or width is None:
        return None
    first = [value[0] if hasattr(value, "__getitem__") else value for value in (center, width)]
    return (float(first[0]), float(first[1])) if float(first[1]) >= 1 else None


def _range(values: Array) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return (low + high) / 2 + 0.5, max(high - low + 1, 2.0)


def decodable(row: Mapping[str, Any]) -> bool:
    """Whether an instance's compressed frames can be given decompressed: grey ones whose decoder is here.

    Colour is not: what its samples mean after decoding would differ from what the metadata says.
    """
    rows, columns, bits = row["rows"], row["columns"], row["bits_allocated"]
    if not rows or not columns or bits not in {8, 16} or row["frame_bits"] != rows * columns * bits:
        return False
    try:
        return bool(get_decoder(str(row["transfer_syntax_uid"])).is_available)
    except NotImplementedError:
        return False


def grey_octets(frame: bytes, header: Dataset, syntax: str) -> bytes:
    """One compressed grey frame, decompressed, in little endian.

    Raises:
        Malformed: it does not decode to what its header says.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = _decoded(frame, header, syntax)
    except (*FAULTS, NotImplementedError, RuntimeError, OSError, Unrenderable) as error:
        raise Malformed("the frame cannot be decompressed; ask for transfer-syntax=*") from error
    size = int(header.Rows) * int(header.Columns) * int(header.BitsAllocated) // 8
    octets = values.astype(values.dtype.newbyteorder("<")).tobytes()
    if len(octets) != size:
        raise Malformed("the frame decodes to another size than its header says")
    return octets


def view_of(parameters: dict[str, str], *, png: bool, thumbnail: bool) -> View:
    """The view that query parameters ask for: ``viewport=w,h`` and ``window=centre,width[,shape]``.

    Raises:
        Malformed: they are no numbers, or out of bounds.
    """
    side = THUMBNAIL if thumbnail else MAX_SIDE
    try:
        if "viewport" in parameters:
            side = max(int(part) for part in parameters["viewport"].split(",")[:2])
        window = None
        if "window" in parameters:
            center, width = (float(part) for part in parameters["window"].split(",")[:2])
            window = (center, width)
    except ValueError as error:
        raise Malformed("viewport is width,height and window is centre,width") from error
    if not 1 <= side <= MAX_SIDE or (window and not (abs(window[0]) < 1e9 and 1 <= window[1] < 1e9)):
        raise Malformed(f"a viewport has 1 to {MAX_SIDE} pixels a side, a window a width of at least 1")
    return View(png, side, window)
