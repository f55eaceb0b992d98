"""The attributes of one dataset after another of the same layout, as a series has it: found at a glance.

The instances of a series have the same elements, and most of the same length. So the heads of all elements
of one dataset (tag, VR, length; PS3.5 §7.1) are looked for in the next at the same distances, in one step;
where a value is longer or shorter, the rest is looked for from there. What fits in every head up to the
pixels has been walked as surely as element by element; what does not fit, or could have any flaw, is left
to `attributes.read_attributes`, which always gives the same answer.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from operator import ne
from struct import Struct

from gateway.dicom import tags, text, transfer
from gateway.dicom.attributes import plain, read_attributes
from gateway.dicom.transfer import Read
from gateway.dicom.walk import LONG, SHORT, UNDEFINED

MOST_ELEMENTS = 2000
LEAPS = 24
"""Values of another length than before; with more, walking is as fast."""

TEXTS = 512
"""Decoded values remembered."""

_SHORT_HEAD, _LONG_HEAD = 8, 12
_TAG = Struct("<HH")
_SHORT_LENGTH, _LONG_LENGTH = Struct("<H"), Struct("<L")


@dataclass(frozen=True, slots=True)
class _Layout:
    """Elements up to that of the pixels: where their heads are, and what they are."""

    offsets: tuple[int, ...]
    heads: tuple[bytes, ...]
    wanted: tuple[tuple[int, str], ...]  # number of the element, keyword
    rests: dict[int, tuple[Struct, tuple[bytes, ...]]]

    def rest(self, first: int) -> tuple[Struct, tuple[bytes, ...]]:
        """Reads the heads from that of number `first`; and what they are to be."""
        known = self.rests.get(first)
        if known is None:
            form, ends = ["<"], (*self.offsets[first + 1 :], None)
            for head, at, end in zip(self.heads[first:], self.offsets[first:], ends, strict=True):
                gap = 0 if end is None else end - at - len(head)
                form.append(f"{len(head)}s{gap}x")
            known = self.rests[first] = (Struct("".join(form)), self.heads[first:])
        return known


class Alike:
    """Reads one dataset after another. For one thread.

    Args:
        wanted: tags of `tags.TABLE`, as for `read_attributes`.
        default_charset: likewise.
    """

    def __init__(self, wanted: Container[int], default_charset: str | None) -> None:
        self._wanted, self._default = wanted, default_charset
        self._layout: _Layout | None = None
        self._charset: bytes | None = None
        self._declared: tuple[str, ...] = ()
        self._texts: dict[tuple[str, bytes], str] = {}

    def read(
        self, head: bytes | bytearray | memoryview, length: int, read: Read, transfer_syntax_uid: str
    ) -> tuple[dict[str, str], str]:
        """As `read_attributes`.

        Args:
            head: the dataset's first bytes.
            length: of the dataset, in bytes.
            read: the dataset by offset.
            transfer_syntax_uid: as negotiated.
        """
        found = self._found(head, length, transfer_syntax_uid)
        if found is not None:
            return found, ""
        return read_attributes(read, transfer_syntax_uid, default_charset=self._default, wanted=self._wanted)

    def _found(self, head: bytes | bytearray | memoryview, length: int, syntax: str) -> dict[str, str] | None:
        form = transfer.encoding(syntax)
        if form.implicit or not form.little or form.deflated:
            return None
        offsets = None if self._layout is None else _fitted(self._layout, head)
        if self._layout is None or offsets is None:
            self._layout = _learned(head, self._wanted)
            if self._layout is None:
                return None
            offsets = self._layout.offsets
        at = offsets[-1]
        (pixels,) = _LONG_LENGTH.unpack_from(head, at + 8)
        if pixels != UNDEFINED and at + _LONG_HEAD + pixels > length:
            return None
        raw = {
            word: bytes(head[offsets[number] + _SHORT_HEAD : offsets[number + 1]])
            for number, word in self._layout.wanted
        }
        return self._decoded(raw)

    def _decoded(self, raw: dict[str, bytes]) -> dict[str, str]:
        charset = raw.get("SpecificCharacterSet")
        if charset != self._charset or len(self._texts) > TEXTS:
            self._texts.clear()
            self._charset, self._declared = charset, text.terms(charset)
        found, known = {}, self._texts
        for word, value in raw.items():
            decoded = known.get((word, value))
            if decoded is None:
                vr = tags.BY_KEYWORD[word].vr
                decoded = plain(value, vr, self._declared, self._default, little=True)
                known[word, value] = decoded
            found[word] = decoded
        return found


def _fitted(layout: _Layout, head: bytes | bytearray | memoryview) -> tuple[int, ...] | None:
    """Where the elements of `layout` lie in another dataset; None if it is laid out otherwise."""
    offsets: list[int] = []
    at = first = 0
    for _ in range(LEAPS):
        form, heads = layout.rest(first)
        if at + form.size > len(head):
            return None
        seen = form.unpack_from(head, at)
        shift = at - layout.offsets[first]
        if seen == heads:
            rest = layout.offsets[first:]
            offsets += [one + shift for one in rest] if shift else rest
            return tuple(offsets)
        number = first + list(map(ne, seen, heads)).index(True)
        own, other = layout.heads[number], seen[number - first]
        if own[:6] != other[:6] or len(own) != _SHORT_HEAD:
            return None
        offsets += [one + shift for one in layout.offsets[first : number + 1]]
        at = offsets[-1] + _SHORT_HEAD + _SHORT_LENGTH.unpack_from(other, 6)[0]
        first = number + 1
    return None


def _learned(head: bytes | bytearray | memoryview, wanted: Container[int]) -> _Layout | None:
    """The layout of a dataset in explicit VR little endian that has no flaw up to its pixels; or None."""
    offsets: list[int] = []
    heads: list[bytes] = []
    found: list[tuple[int, str]] = []
    at, last = 0, -1
    while at + _LONG_HEAD <= len(head) and len(heads) < MOST_ELEMENTS:
        group, number = _TAG.unpack_from(head, at)
        tag, code = group << 16 | number, bytes(head[at + 4 : at + 6])
        if tag <= last or group == 0xFFFE or (not heads and group > 0xFF):
            return None
        size = _SHORT_HEAD if code in SHORT else _LONG_HEAD if code in LONG else 0
        offsets.append(at)
        heads.append(bytes(head[at : at + size]))
        if tag in tags.PIXELS:
            return _Layout(tuple(offsets), tuple(heads), tuple(found), {}) if size == _LONG_HEAD else None
        if not size or (tag in wanted and size != _SHORT_HEAD):
            return None
        form = _SHORT_LENGTH if size == _SHORT_HEAD else _LONG_LENGTH
        (length,) = form.unpack_from(head, at + size - form.size)
        if tag in wanted and tag in tags.BY_TAG:
            found.append((len(heads) - 1, tags.BY_TAG[tag].keyword))
        at, last = at + size + length, tag  # of undefined length: beyond any head
    return None
