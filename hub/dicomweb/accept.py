"""What a client will take: the Accept header, and the choice among what can be given (PS3.18 §8.7). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.dicom import transfer

DICOM = "application/dicom"
JSON = "application/dicom+json"
OCTETS = "application/octet-stream"
ANY_SYNTAX = "*"

MAX_RANGES = 64

PLAIN = frozenset(
    {
        transfer.IMPLICIT_LITTLE,
        transfer.EXPLICIT_LITTLE,
        transfer.EXPLICIT_BIG,
        transfer.DEFLATED_LITTLE,
        transfer.GE_PRIVATE_IMPLICIT,
    }
)
"""Transfer syntaxes whose pixels are not compressed: frames are served as explicit VR little endian."""

FRAMES = {  # PS3.18 Table 8.7.3-2 and -5
    "1.2.840.10008.1.2.5": "image/dicom-rle",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.92": "image/jpx",
    "1.2.840.10008.1.2.4.93": "image/jpx",
    "1.2.840.10008.1.2.4.100": "video/mpeg2",
    "1.2.840.10008.1.2.4.101": "video/mpeg2",
    "1.2.840.10008.1.2.4.110": "image/jxl",
    "1.2.840.10008.1.2.4.111": "image/jxl",
    "1.2.840.10008.1.2.4.112": "image/jxl",
    "1.2.840.10008.1.2.4.201": "image/jphc",
    "1.2.840.10008.1.2.4.202": "image/jphc",
    "1.2.840.10008.1.2.4.203": "image/jphc",
}
_JPEG = re.compile(r"1\.2\.840\.10008\.1\.2\.4\.(5[0-9]|6[0-6]|70)")
_MPEG4 = re.compile(r"1\.2\.840\.10008\.1\.2\.4\.10[2-8](\.1)?")
_PARAMETER = re.compile(r';\s*([A-Za-z0-9_-]+)\s*=\s*("[^"]*"|[^\s;,]*)')
_ELEMENT = re.compile(r'((?:"[^"]*"|[^",])+)')


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One thing a client will take.

    Args:
        type: media type of a part, such as ``application/dicom`` or ``*/*``.
        multipart: whether it is to stand inside ``multipart/related``; None: as the server likes.
        syntax: the transfer syntax asked for, `ANY_SYNTAX`, or None.
        quality: 0 to 1.
    """

    type: str
    multipart: bool | None
    syntax: str | None
    quality: float = 1.0

    def takes(self, media_type: str) -> bool:
        """Whether `media_type` fits, wildcards considered."""
        main, _, sub = self.type.partition("/")
        return self.type in {"*/*", media_type} or (sub == "*" and media_type.startswith(f"{main}/"))


ANYTHING = (MediaRange("*/*", None, None),)


def parse(header: str | None) -> tuple[MediaRange, ...]:
    """Read an Accept header (or ``accept`` query parameter), the most wanted first.

    Quotation marks may be left out, as OHIF does. What cannot be read is passed over.
    """
    if header is None or not header.strip():
        return ANYTHING
    ranges = [one for one in _ranges(header) if one.quality > 0][:MAX_RANGES]
    return tuple(sorted(ranges, key=lambda one: -one.quality))


def _ranges(header: str) -> Iterator[MediaRange]:
    for element in _ELEMENT.findall(header):
        media_type = element.partition(";")[0].strip().lower()
        if "/" not in media_type:
            continue
        parameters = {name.lower(): value.strip('"') for name, value in _PARAMETER.findall(element)}
        multipart: bool | None = None if media_type == "*/*" else False
        if media_type.startswith("multipart/"):
            multipart, media_type = True, parameters.get("type", "*/*").lower()
        syntax = parameters.get("transfer-syntax") or None
        yield MediaRange(media_type, multipart, syntax, _quality(parameters.get("q", "1")))


def _quality(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0


def frame_media_type(syntax: str) -> str:
    """The media type of one frame kept in `syntax`."""
    if syntax in PLAIN:
        return OCTETS
    if _JPEG.fullmatch(syntax):
        return "image/jpeg"
    if _MPEG4.fullmatch(syntax):
        return "video/mp4"
    return FRAMES.get(syntax, OCTETS)


@dataclass(frozen=True, slots=True)
class Form:
    """What will be sent.

    Args:
        media_type: of each part.
        syntax: transfer syntax of each part.
        multipart: whether the parts stand in ``multipart/related``.
        recoded: whether that is not the form it is kept in.
    """

    media_type: str
    syntax: str
    multipart: bool
    recoded: bool = False

    @property
    def content_type(self) -> str:
        """Of one part; cornerstone learns the codec from its transfer-syntax."""
        return f"{self.media_type}; transfer-syntax={self.syntax}"


def instance_form(ranges: Sequence[MediaRange], stored: str, *, single: bool) -> Form | None:
    """How an instance kept in the transfer syntax `stored` is sent; None: nothing fits.

    Without a transfer syntax asked for it goes as it is kept: every client says so if it cannot
    read that, and the bytes stay those of the modality.

    Args:
        ranges: what the client takes.
        stored: transfer syntax it is kept in.
        single: whether it is the only one, which may go without multipart.
    """
    for wanted in ranges:
        if not wanted.takes(DICOM) or (wanted.multipart is False and not single):
            continue
        multipart = wanted.multipart is not False
        if wanted.syntax in {None, ANY_SYNTAX, stored}:
            return Form(DICOM, stored, multipart)
        if wanted.syntax == transfer.EXPLICIT_LITTLE and stored in PLAIN:
            return Form(DICOM, transfer.EXPLICIT_LITTLE, multipart, recoded=True)
    return None


def frame_form(
    ranges: Sequence[MediaRange], stored: str, *, single: bool, decodable: bool = False
) -> Form | None:
    """How frames of an instance kept in `stored` are sent; None: nothing fits.

    Args:
        ranges: what the client takes.
        stored: transfer syntax it is kept in.
        single: whether one frame was asked for, which may go without multipart.
        decodable: whether a compressed frame can be given decompressed.
    """
    plain = stored in PLAIN
    kept = transfer.EXPLICIT_LITTLE if plain else stored
    media_type = frame_media_type(stored)
    for wanted in ranges:
        if wanted.multipart is False and not single:
            continue
        multipart = wanted.multipart is not False
        fits = wanted.takes(media_type)
        # a client that asks for octets in any syntax wants them as they are kept (OHIF does)
        if (fits or (wanted.takes(OCTETS) and wanted.syntax is not None)) and wanted.syntax in {
            ANY_SYNTAX,
            kept,
            stored,
        }:
            return Form(media_type, kept, multipart)
        if fits and wanted.syntax is None:
            return Form(media_type, kept, multipart)
        if decodable and wanted.takes(OCTETS) and wanted.syntax in {None, transfer.EXPLICIT_LITTLE}:
            return Form(OCTETS, transfer.EXPLICIT_LITTLE, multipart, recoded=True)
    return None
