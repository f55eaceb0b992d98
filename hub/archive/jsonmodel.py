"""A dataset's header as the DICOM JSON model (PS3.18 Annex F), bulk data named by URI. Pure.

Made once for every instance, when it is indexed, so that a series of a thousand slices answers as
fast as rows can be read. A value that has no JSON form is left out and named in `Model.flaws`; it
never stops the rest.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import PersonName

INLINE_BINARY = 1024
"""Binary values up to this many bytes stand in the JSON; longer ones are named by BulkDataURI."""

BULK = "bulkdata/"
"""Every BulkDataURI begins so, relative to its instance; the server puts the address before it."""

FAULTS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What a value that pydicom could not convert raises when it is used."""

BINARY = {"OB": 1, "UN": 1, "OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
"""The VRs of bulk data, and the width of their words."""

_NUMBERS = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"})
_PN_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_CHARACTER_SET = "00080005"

Json = dict[str, dict[str, Any]]


class Model:
    """One dataset's JSON.

    Args:
        dataset: as `gateway.dicom.header` built it: values converted, sequences bounded.
        little_endian: byte order of its binary values; in JSON they are always little endian.
    """

    def __init__(self, dataset: Dataset, *, little_endian: bool = True) -> None:
        self.flaws: list[str] = []
        self._little = little_endian
        self.json = self._dataset(dataset, "")
        if _CHARACTER_SET in self.json:
            self.json[_CHARACTER_SET] = {"vr": "CS", "Value": ["ISO_IR 192"]}  # JSON is UTF-8, PS3.18 F.2

    def _dataset(self, dataset: Dataset, path: str) -> Json:
        json: Json = {}
        for element in dataset:
            if element.tag.element == 0:  # group lengths say nothing of the data
                continue
            name = f"{element.tag:08X}"
            try:
                json[name] = self._element(element, path + name)
            except FAULTS as error:
                self.flaws.append(f"{path}{name} has no JSON form: {type(error).__name__}")
        return json

    def _element(self, element: DataElement, path: str) -> dict[str, Any]:
        vr, value = str(element.VR), element.value
        if vr == "SQ":
            items = [
                self._dataset(item, f"{path}/{number}/") for number, item in enumerate(element.value or ())
            ]
            return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
        if vr in BINARY:
            return {"vr": vr} | self._binary(vr, bytes(value or b""), path)
        values = _listed(vr, value)
        if all(item is None for item in values):
            return {"vr": vr}
        return {"vr": vr, "Value": values}

    def _binary(self, vr: str, value: bytes, path: str) -> dict[str, str]:
        if not value:
            return {}
        if len(value) > INLINE_BINARY:
            return {"BulkDataURI": BULK + path}
        return {"InlineBinary": b64encode(to_little(value, vr, little_endian=self._little)).decode()}


def to_little(value: bytes, vr: str, *, little_endian: bool) -> bytes:
    """Binary values in little endian, as every web answer must have them (PS3.18 §8.7.3.5.2)."""
    return value if little_endian else swapped(value, BINARY.get(vr, 1))


def swapped(value: bytes, width: int) -> bytes:
    """Every word of `width` bytes turned round; an incomplete last word is left."""
    if width == 1:
        return value
    whole = len(value) // width * width
    turned = bytearray(value)
    for place in range(width):
        turned[place:whole:width] = value[width - 1 - place : whole : width]
    return bytes(turned)


def person_name(text: str) -> dict[str, str]:
    """A person name by its component groups (PS3.18 F.2.2)."""
    groups = text.split("=", 2)
    return {name: group.strip() for name, group in zip(_PN_GROUPS, groups, strict=False) if group.strip()}


def merge(json: Json, more: Mapping[str, dict[str, Any]]) -> Json:
    """Both, in order of tags."""
    return dict(sorted((json | dict(more)).items()))


def element_at(dataset: Dataset, path: str) -> DataElement:
    """The element that a BulkDataURI names.

    Args:
        dataset: the instance's header.
        path: what follows `BULK` in the URI: ``TAG`` or ``TAG/item/TAG…``, items from 0.

    Raises:
        KeyError: there is no such element.
    """
    parts = path.split("/")
    try:
        for tag, item in zip(parts[0:-1:2], parts[1::2], strict=True):
            dataset = dataset[int(tag, 16)].value[int(item)]
        return dataset[int(parts[-1], 16)]
    except FAULTS as error:
        raise KeyError(path) from error


def _listed(vr: str, value: Any) -> list[Any]:
    """The values of an element; None where one of several is empty (PS3.18 F.2.5)."""
    several: Iterable[Any] = value if isinstance(value, (MultiValue, list, tuple)) else (value,)
    return [_one(vr, item) for item in several]


def _one(vr: str, value: Any) -> Any:
    if value is None or value == "":  # zero is a value
        return None
    if isinstance(value, PersonName):
        return person_name(str(value)) or None
    if vr == "PN":
        return person_name(str(value)) or None
    if vr in _NUMBERS:
        return _number(value)
    if vr == "AT":
        return f"{int(value):08X}"
    return str(value).rstrip("\0 ") or None


def _number(value: Any) -> float | int | str:
    """A JSON number, so that viewers can calculate with it; JSON has none for NaN and the infinities."""
    number = int(value) if isinstance(value, int) else float(value)
    if isinstance(number, int):
        return number
    if not math.isfinite(number):
        return str(number).replace("nan", "NaN")
    return int(number) if number.is_integer() and abs(number) < 2**53 else number
