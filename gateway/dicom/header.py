"""A dataset's header as a pydicom `Dataset`: everything before the pixels, never the pixels.

Tolerant: what cannot be read is left out and told in `DatasetHeader.flaw`; nothing is raised for bad
bytes. Bounded: see `walk`. The original bytes stay the truth; this is for the index and the viewer.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydicom import config
from pydicom.charset import default_encoding
from pydicom.datadict import dictionary_VR, private_dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.filewriter import correct_ambiguous_vr_element
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.valuerep import PersonName
from pydicom.values import convert_value, converters

from gateway.dicom import tags, text
from gateway.dicom.attributes import TEXT, opened, reaches
from gateway.dicom.transfer import Read
from gateway.dicom.walk import Element

# What a modality sends is kept and shown, not judged: without this, pydicom warns at every odd value.
config.settings.reading_validation_mode = config.IGNORE

ONE_VALUE = frozenset(("ST", "LT", "UT"))
BAD_VALUE = (
    ValueError,
    TypeError,
    NotImplementedError,
    ArithmeticError,
    LookupError,
    BytesLengthException,
    struct.error,
)
"""What pydicom raises for a value that is not of its VR."""

MOST_FLAWS = 100
"""Told of one dataset; more would not be read, and a hostile one has a million."""

NUMBERS = frozenset(("US", "SS", "UL", "SL", "SV", "UV", "FL", "FD", "IS", "DS", "AT"))


@dataclass(frozen=True, slots=True)
class Bulk:
    """A top-level element left where it is: too large for a header."""

    tag: int
    vr: str
    offset: int  # of the value, in the (inflated) dataset bytes
    length: int


@dataclass(frozen=True, slots=True)
class DatasetHeader:
    """What `read_header` found.

    For a deflated transfer syntax every offset counts in the inflated bytes (`transfer.Inflated`).
    """

    dataset: Dataset
    pixel_tag: int | None  # (7FE0,0010), (7FE0,0008) or (7FE0,0009); None: no pixels
    pixel_offset: int | None  # of the pixel data element's value
    pixel_length: int | None  # None: encapsulated (undefined length), or no pixels
    bulk: tuple[Bulk, ...]
    charset: str  # how text was decided: "plain", "declared", "default" or "detected"
    flaw: str  # empty: all was read

    def string(self, keyword: str) -> str:
        r"""An attribute as text, several values joined by ``\``; empty if absent or no text."""
        value = self.dataset.get(keyword)
        if value is None or isinstance(value, (Sequence, bytes)):
            return ""
        if isinstance(value, (MultiValue, list, tuple)):
            return "\\".join("" if one is None else str(one) for one in value)
        return str(value)

    def integer(self, keyword: str) -> int | None:
        """The first value of an attribute as a whole number; None if absent or none."""
        value = self.dataset.get(keyword)
        if isinstance(value, (MultiValue, list, tuple)):
            value = value[0] if value else None
        try:
            return None if value is None else int(value)
        except (TypeError, ValueError, OverflowError):
            return None


def read_header(
    source: Read | bytes | memoryview, transfer_syntax_uid: str, *, default_charset: str | None = None
) -> DatasetHeader:
    """Read everything before the pixel data.

    Args:
        source: the dataset bytes, or ``read(offset, n)`` giving up to `n` bytes from `offset`.
        transfer_syntax_uid: as negotiated; bytes that prove otherwise are believed, with a flaw.
        default_charset: taken where the dataset declares none, such as ``GB18030``.
    """
    walk, source_flaw = opened(source, transfer_syntax_uid, None)
    builder = _Builder(default_charset)
    elements = list(walk.elements())
    creators = _creators(elements)
    pixel = elements.pop() if elements and elements[-1].tag in tags.PIXELS else None
    dataset = builder.dataset(elements, ())
    bulk = tuple(
        Bulk(element.tag, builder.vr(element, creators), element.offset, element.length)
        for element in elements
        if element.value is None and element.items is None and element.length is not None
    )
    flaws = [*walk.flaws, *builder.flaws]
    if pixel is not None and pixel.length is not None and not reaches(walk, pixel):
        flaws.append(f"pixel data claims {pixel.length} bytes, more than there are")
    if not elements and pixel is None:
        flaws.append("no elements")
    flaws += source_flaw()
    return DatasetHeader(
        dataset,
        pixel.tag if pixel else None,
        pixel.offset if pixel else None,
        pixel.length if pixel else None,
        bulk,
        builder.charset.value,
        "; ".join(flaws)[:1000],
    )


class _Builder:
    """Elements → pydicom, each value on its own, so that a bad one costs only itself."""

    def __init__(self, default_charset: str | None) -> None:
        self.flaws: list[str] = []
        self.charset = text.Origin.PLAIN
        self._default = default_charset

    def dataset(self, elements: list[Element], declared: tuple[str, ...]) -> Dataset:
        """One level; recursion is bounded by `walk.MAX_DEPTH`."""
        own = next((each for each in elements if each.tag == tags.CHARACTER_SET), None)
        if own is not None:
            declared = text.terms(own.value)
        dataset, creators = Dataset(), _creators(elements)
        for element in elements:
            if element.items is None and element.value is None:
                continue
            self._add(dataset, element, creators, declared)
        for tag in [tag for tag in dataset.keys() if " or " in dataset[tag].VR]:  # noqa: SIM118  # a Dataset is no dict
            self._disambiguate(dataset, tag, little=elements[0].little)
        return dataset

    def vr(self, element: Element, creators: Mapping[int, str]) -> str:
        """The VR told, or the dictionary's, or UN."""
        if element.vr is not None and element.vr != "UN" and element.vr in converters:
            return element.vr
        tag = BaseTag(element.tag)
        if tag.elem == 0:
            return "UL"
        if not tag.is_private:
            return _looked_up(lambda: dictionary_VR(tag))
        if 0x10 <= tag.elem <= 0xFF:
            return "LO"
        owner = creators.get((tag.group << 16) + (tag.elem >> 8))
        return "UN" if owner is None else _looked_up(lambda: private_dictionary_VR(tag, owner))

    def _add(
        self, dataset: Dataset, element: Element, creators: Mapping[int, str], declared: tuple[str, ...]
    ) -> None:
        tag = BaseTag(element.tag)
        if element.items is not None:
            items = Sequence([self.dataset(item, declared) for item in element.items])
            dataset.add(DataElement(tag, "SQ", items, is_undefined_length=element.length is None))
            return
        vr, value = self.vr(element, creators), element.value or b""
        try:
            if vr == "SQ":
                if value:
                    raise ValueError("no items")  # the same end as a bad value: kept as UN
                converted: Any = Sequence([])
            elif vr in TEXT:
                converted = self._text(vr, value, declared)
            else:
                converted = self._number_or_code(tag, vr, value, element)
            dataset[tag] = DataElement(tag, vr, converted, already_converted=True)
        except BAD_VALUE as error:
            self._flawed(f"{tags.name(element.tag)} is no {vr}: {type(error).__name__}")
            # a private tag number keeps pydicom from giving UN its dictionary VR back
            dataset[tag] = _opaque(tag, value)

    def _flawed(self, words: str) -> None:
        if len(self.flaws) < MOST_FLAWS and words not in self.flaws:
            self.flaws.append(words)

    def _text(self, vr: str, value: bytes, declared: tuple[str, ...]) -> Any:
        decoded = text.decode(value, declared, self._default, name=vr == "PN")
        if decoded.damaged or decoded.suspect:
            self._flawed(f"text not as its character set says ({decoded.codec})")
        if _CERTAINTY.index(decoded.origin) > _CERTAINTY.index(self.charset):
            self.charset = decoded.origin
        whole = decoded.text.rstrip(" \0")
        if vr in ONE_VALUE:
            return whole
        make: Any = PersonName if vr == "PN" else str
        parts = [part.rstrip(" \0") if vr == "PN" else part.strip(" \0") for part in whole.split("\\")]
        return make(parts[0]) if len(parts) == 1 else MultiValue(make, parts)

    def _number_or_code(self, tag: BaseTag, vr: str, value: bytes, element: Element) -> Any:
        raw = RawDataElement(tag, vr, len(value), value, element.offset, element.implicit, element.little)
        converted = convert_value(vr, raw, [default_encoding])
        if vr in NUMBERS and isinstance(_first(converted), (str, bytes)):
            raise ValueError("no number")  # pydicom fell back to another VR
        if vr == "DS" and converted is not None:
            _finite(converted)
        return converted

    def _disambiguate(self, dataset: Dataset, tag: BaseTag, *, little: bool) -> None:
        """``US or SS`` by Pixel Representation, ``OB or OW`` by Bits Allocated (PS3.5 Annex A)."""
        with suppress(AttributeError, *BAD_VALUE):
            dataset[tag] = correct_ambiguous_vr_element(dataset[tag], dataset, little)
        element = dataset[tag]
        if " or " in element.VR:
            value = element.value
            dataset[tag] = _opaque(tag, value if isinstance(value, bytes) else b"")


_CERTAINTY = (text.Origin.PLAIN, text.Origin.DECLARED, text.Origin.DEFAULT, text.Origin.DETECTED)


def _creators(elements: Iterable[Element]) -> dict[int, str]:
    """Private creators of one level by their tag, PS3.5 §7.8.1: of two the first."""
    found: dict[int, str] = {}
    for element in elements:
        if element.tag >> 16 & 1 and 0x10 <= element.tag & 0xFFFF <= 0xFF and element.value:
            found.setdefault(element.tag, element.value.decode("latin_1").strip(" \0"))
    return found


def _looked_up(look: Callable[[], str]) -> str:
    try:
        return look()
    except KeyError:
        return "UN"


def _first(value: Any) -> Any:
    if isinstance(value, (MultiValue, list, tuple)):
        return value[0] if value else None
    return value


def _finite(value: Any) -> None:
    for one in value if isinstance(value, (MultiValue, list, tuple)) else (value,):
        if one is not None and not math.isfinite(float(one)):
            raise ValueError("not a finite number")


def _opaque(tag: BaseTag, value: bytes) -> DataElement:
    element = DataElement(tag, "OB", value, already_converted=True)
    element.VR = "UN"
    return element
