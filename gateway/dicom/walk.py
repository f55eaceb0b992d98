"""The elements of a dataset, found without trusting one length or recursing once (PS3.5 §7).

Pure: bytes come from ``read(offset, n)``. `elements` yields the top level in the order of the bytes and
stops at the pixel data; a sequence carries its items. What cannot be read is told in `Walk.flaws` and
left out; a flaw inside an element of known length costs that element alone.

Bounds: depth `MAX_DEPTH`, elements `MAX_ELEMENTS`, one value `MAX_VALUE`, all values `MAX_BYTES`. A value
beyond them is not read (``value`` is None and ``length`` says its size): it is bulk data.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from struct import Struct

from gateway.dicom.tags import ITEM, ITEM_END, PIXELS, SEQUENCE_END, name
from gateway.dicom.transfer import Encoding, Read

MAX_DEPTH = 32
"""Sequences within sequences; the deepest in the standard's modules is below 10."""

MAX_ELEMENTS = 1_000_000
MAX_VALUE = 1 << 20
MAX_BYTES = 64 << 20
WINDOW = 1 << 14
"""Bytes fetched at a time: a header is mostly small elements."""

UNDEFINED = 0xFFFFFFFF
LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
SHORT = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())


class Flaw(Exception):
    """The bytes cannot be read on from here; never leaves this module but through `Walk.flaws`."""


@dataclass(slots=True)
class Element:
    """One data element.

    `value` is None when it is bulk (too large, or pixel data) or when `items` holds a sequence's items;
    `length` is None for undefined length; `offset` is that of the value.
    """

    tag: int
    vr: str | None  # None in implicit VR
    offset: int
    length: int | None
    little: bool
    implicit: bool
    value: bytes | None = None
    items: list[list[Element]] | None = None


@dataclass(slots=True)
class _Open:
    """A sequence or item being read: where it ends (None: by its delimiter)."""

    end: int | None
    owner: Element | None  # a sequence; None for an item
    implicit: bool
    into: list[Element] = field(default_factory=list)


class Walk:
    """One walk over one dataset.

    Args:
        read: the dataset bytes by offset (inflated already).
        encoding: how they are said to be encoded; the first bytes may prove otherwise.
        wanted: tags whose values are read and sequences entered; None for all. Others are stepped over.
    """

    def __init__(self, read: Read, encoding: Encoding, wanted: Container[int] | None = None) -> None:
        self.flaws: list[str] = []
        self.end = 0  # offset where the walk stopped
        self._read, self._wanted = read, wanted
        self._window, self._window_at = b"", 0
        self._elements = self._bytes = 0
        self.implicit, self.little = encoding.implicit, encoding.little
        self._sniff()

    def elements(self) -> Iterator[Element]:
        """Top-level elements up to and including the first pixel data element (whose value is not read).

        Of those that are not wanted, some are left out.
        """
        at, last, ordered = 0, -1, True
        while self._at(at, 1):
            at, last = self._skipped(at, last)
            if not self._at(at, 1):
                break
            try:
                element, at = self._element(at, self.implicit)
            except Flaw as flaw:
                self.flaws.append(str(flaw))
                break
            if ordered and element.tag <= last:
                ordered = False
                self.flaws.append(f"{name(element.tag)} is out of order")
            last = element.tag
            if element.tag in PIXELS:
                yield element
                self.end = at
                return
            following = self._content(element)
            yield element
            if following is None:
                break
            at = following
        self.end = at

    def _skipped(self, at: int, last: int) -> tuple[int, int]:
        """Past short elements in explicit VR that nobody wants, most of a header; others take all else."""
        if self._wanted is None or self.implicit or not self.little:
            return at, last
        window, place = self._window, at - self._window_at
        while 0 <= place <= len(window) - _HEAD.size:
            group, number, code, length = _HEAD.unpack_from(window, place)
            tag, end = group << 16 | number, place + _HEAD.size + length
            ordinary = code in SHORT and last < tag < _DELIMITER_GROUP and tag not in PIXELS
            if not ordinary or tag in self._wanted or end > len(window):
                break
            place, last = end, tag
            self._elements += 1
        return self._window_at + place, last

    @property
    def empty(self) -> bool:
        """Whether no element was found so far."""
        return not self._elements

    # -- reading bytes ---------------------------------------------------------------------------

    def _at(self, offset: int, n: int) -> bytes:
        """Up to `n` bytes from `offset`, through a small window."""
        start = offset - self._window_at
        if start < 0 or start + n > len(self._window):
            self._window = self._read(offset, max(n, WINDOW))
            self._window_at, start = offset, 0
        return self._window[start : start + n]

    def _exactly(self, offset: int, n: int, what: str) -> bytes:
        data = self._at(offset, n)
        if len(data) < n:
            raise Flaw(f"the bytes end within {what}")
        return data

    def has(self, end: int) -> bool:
        """Whether the dataset reaches `end`; looks at one byte only."""
        return end <= self._window_at + len(self._window) or bool(self._read(end - 1, 1))

    # -- one element -----------------------------------------------------------------------------

    def _element(self, at: int, implicit: bool) -> tuple[Element, int]:
        """The element header at `at`, and the offset of its value."""
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise Flaw(f"more than {MAX_ELEMENTS} elements")
        head = self._exactly(at, 8, f"an element header at {at}")
        group, number, length = _TAG_LENGTH[self.little].unpack(head)
        tag, vr, offset = group << 16 | number, None, at + 8
        if not implicit and group != 0xFFFE:
            code = head[4:6]
            if code in LONG:
                (length,) = _LENGTH[self.little].unpack(self._exactly(offset, 4, name(tag)))
                vr, offset = code.decode(), at + 12
            elif code in SHORT or (code.isalpha() and code.isupper()):
                vr, length = code.decode(), _SHORT[self.little].unpack(head[6:])[0]
            # else: some writers fall back to implicit VR inside sequences; taken so, as pydicom does
        known = None if length == UNDEFINED else length
        return Element(tag, vr, offset, known, self.little, vr is None), offset

    def _content(self, element: Element) -> int | None:
        """Read value or items of a top-level element; the offset after it, or None if there is no after."""
        if element.tag >> 16 == 0xFFFE:
            self.flaws.append(f"{name(element.tag)} outside of a sequence")
            return None
        stepped = self._wanted is not None and element.tag not in self._wanted
        if element.length is not None:
            end = element.offset + element.length
            if not self.has(end):
                self.flaws.append(f"{name(element.tag)} claims {element.length} bytes, more than there are")
                return None
            if not stepped:
                self._defined(element, end)
            return end
        try:
            return self._undefined(element)
        except Flaw as flaw:
            self.flaws.append(f"{name(element.tag)}: {flaw}")
            element.items, element.value = None, None
            return None

    def _defined(self, element: Element, end: int) -> None:
        if self._looks_sequence(element):
            try:
                element.items, _ = self._sequence(element, end)
            except Flaw as flaw:
                element.items = None
                if element.vr == "SQ":
                    self.flaws.append(f"{name(element.tag)}: {flaw}")
                    return
            else:
                return
        self._take(element)

    def _undefined(self, element: Element) -> int:
        if element.vr in (None, "SQ", "UN"):
            if element.vr == "UN":
                element.implicit = True  # PS3.5 §6.2.2 note: encoded as implicit VR little endian
            element.items, end = self._sequence(element, None)
            return end
        return self._fragments(element.offset)

    def _looks_sequence(self, element: Element) -> bool:
        if element.vr == "SQ":
            return bool(element.length)
        if element.vr not in (None, "UN") or element.length is None or element.length < 8:
            return False
        head = self._at(element.offset, 8)
        group, number, length = _TAG_LENGTH[self.little].unpack(head)
        is_item: bool = group << 16 | number == ITEM
        return is_item and (length == UNDEFINED or length <= element.length - 8)

    def _take(self, element: Element) -> None:
        length = element.length or 0
        if length <= MAX_VALUE and self._bytes + length <= MAX_BYTES:
            self._bytes += length
            element.value = self._at(element.offset, length)

    def _fragments(self, at: int) -> int:
        """Step over encapsulated fragments (PS3.5 A.4); the offset after their delimiter."""
        while True:
            tag, length = self._delimiter(at)
            at += 8
            if tag == SEQUENCE_END:
                return at
            if tag != ITEM or length == UNDEFINED:
                raise Flaw(f"no fragment at {at - 8}")
            self._elements += 1
            if self._elements > MAX_ELEMENTS or not self.has(at + length):
                raise Flaw("a fragment claims more bytes than there are")
            at += length

    def _delimiter(self, at: int) -> tuple[int, int]:
        group, number, length = _TAG_LENGTH[self.little].unpack(self._exactly(at, 8, f"an item at {at}"))
        return group << 16 | number, length

    # -- sequences, without recursion ------------------------------------------------------------

    def _sequence(self, owner: Element, end: int | None) -> tuple[list[list[Element]], int]:
        """Items of a sequence whose first item starts at ``owner.offset``; and the offset after it."""
        owner.items = []
        stack = [_Open(end, owner, owner.implicit)]
        at = owner.offset
        while stack:
            top = stack[-1]
            if top.end is not None and at >= top.end:
                if at > top.end:
                    raise Flaw(f"an element reaches beyond its {'sequence' if top.owner else 'item'}")
                stack.pop()
            elif top.owner is not None:
                at = self._item(stack, top, at)
            else:
                at = self._inner(stack, top, at)
        return owner.items, at

    def _item(self, stack: list[_Open], top: _Open, at: int) -> int:
        tag, length = self._delimiter(at)
        at += 8
        if tag == SEQUENCE_END:
            stack.pop()
            return at
        if tag != ITEM:
            raise Flaw(f"no item at {at - 8}")
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise Flaw(f"more than {MAX_ELEMENTS} elements")
        opened = _Open(
            None if length == UNDEFINED else at + length, None, self._item_implicit(top, at, length)
        )
        if top.owner is not None and top.owner.items is not None:
            top.owner.items.append(opened.into)
        stack.append(opened)
        return at

    def _item_implicit(self, top: _Open, at: int, length: int) -> bool:
        """Items of an explicit dataset may be implicit; the first element shows it."""
        head = self._at(at, 6) if length >= 8 else b""
        return top.implicit or (len(head) == 6 and not _vr_like(head[4:6]) and head[:2] not in _DELIMITERS)

    def _inner(self, stack: list[_Open], top: _Open, at: int) -> int:
        element, at = self._element(at, top.implicit)
        if element.tag == ITEM_END:
            if top.end is not None:
                raise Flaw("a delimiter inside an item of defined length")
            stack.pop()
            return at
        if element.tag >> 16 == 0xFFFE:
            raise Flaw(f"{name(element.tag)} inside an item")
        top.into.append(element)
        end = None if element.length is None else at + element.length
        if end is not None and (end > (top.end if top.end is not None else end) or not self.has(end)):
            raise Flaw(f"{name(element.tag)} claims more bytes than there are")
        if element.vr == "SQ" or (
            element.vr in (None, "UN") and (end is None or self._looks_sequence(element))
        ):
            if len(stack) // 2 >= MAX_DEPTH:
                raise Flaw(f"sequences nested deeper than {MAX_DEPTH}")
            element.items = []
            stack.append(_Open(end, element, element.implicit or element.vr == "UN"))
            return at
        if end is None:
            return self._fragments(at)
        self._take(element)
        return end

    # -- what it really is -----------------------------------------------------------------------

    def _sniff(self) -> None:
        """Believe the first element rather than the transfer syntax, and say so."""
        head = self._at(0, 8)
        if len(head) < 8:
            return
        first = int.from_bytes(head[:2], "little" if self.little else "big")
        swapped = int.from_bytes(head[:2], "big" if self.little else "little")
        if first > 0xFF >= swapped > 0:
            self.little = not self.little
            self.flaws.append(
                f"encoded {'little' if self.little else 'big'} endian, unlike its transfer syntax"
            )
        if self.implicit == _vr_like(head[4:6]):
            self.implicit = not self.implicit
            self.flaws.append(
                f"encoded {'implicit' if self.implicit else 'explicit'} VR, unlike its transfer syntax"
            )


def _vr_like(code: bytes) -> bool:
    return code.isalpha() and code.isupper()


_TAG_LENGTH = {True: Struct("<HHL"), False: Struct(">HHL")}
_LENGTH = {True: Struct("<L"), False: Struct(">L")}
_HEAD = Struct("<HH2sH")
_DELIMITER_GROUP = 0xFFFE0000
_SHORT = {True: Struct("<H"), False: Struct(">H")}
_DELIMITERS = (b"\xfe\xff", b"\xff\xfe")
