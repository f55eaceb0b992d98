"""A-ASSOCIATE-RQ and -AC, and their items (PS3.8 §9.3.2, §9.3.3, Annex D; PS3.7 D.3.3). Pure.

pynetdicom has these too, and takes 7 ms for the 128 contexts that dcmtk proposes: a modality that opens an
association for each image waits for them every time, and four that come at once wait for each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from struct import Struct

from edge.ingest.pdu import HEAD, MAX_PDU, Pdu
from gateway.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gateway.errors import Malformed

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
CONTEXTS = 128
"""Presentation contexts of one association: IDs are the odd numbers of a byte."""

STORAGE_SUPPORT = b"\2\0\3\0\0\0"
"""PS3.4 Table B.3-1: storage level 2 (full), signatures stay (bits are preserved), nothing is coerced."""

_FIXED = Struct(">HH16s16s32s")
"""Protocol version, reserved, called and calling AE title, reserved; before the items."""
_ITEM = Struct(">BxH")
_LONG, _TWO, _SHORT = Struct(">L"), Struct(">HH"), Struct(">H")

_APPLICATION, _PROPOSED, _ANSWERED, _ABSTRACT, _TRANSFER, _USER = 0x10, 0x20, 0x21, 0x30, 0x40, 0x50
_LENGTH, _CLASS, _WINDOW, _VERSION, _EXTENDED = 0x51, 0x52, 0x53, 0x55, 0x56

_UID = re.compile(rb"[!-~]{1,64}")
_TITLE = re.compile(rb"[ -\[\]-~]{1,16}")
"""The repertoire of AE (PS3.5 §6.2): no backslash, no control characters."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """A presentation context that is asked for.

    Attributes:
        ident: its ID.
        abstract: abstract syntax UID.
        syntaxes: transfer syntax UIDs, in the order of the request; at least one.
    """

    ident: int
    abstract: str
    syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class User:
    """User information of a request.

    Attributes:
        limit: the sender's maximum length; 0: none.
        window: operations it would like to have under way at most (0: any number); None: it did not ask.
        extended: SOP Class UIDs of its extended negotiation.
    """

    limit: int = 0
    window: int | None = None
    extended: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """An A-ASSOCIATE-RQ.

    Attributes:
        calling: AE title of the sender, without padding.
        called: AE title it wants.
        contexts: what it proposes.
        user: its user information.
        fixed: the part before the items, which the answer repeats.
    """

    calling: str
    called: str
    contexts: tuple[Proposed, ...]
    user: User
    fixed: bytes = field(repr=False)

    @classmethod
    def read(cls, body: bytes) -> Asked:
        """From what follows the PDU's head. Items that are not known are passed over. Raises Malformed."""
        if len(body) < _FIXED.size:
            raise Malformed("the A-ASSOCIATE-RQ ends before its items")
        _, _, called, calling, _ = _FIXED.unpack_from(body)
        name, contexts, user = "", [], User()
        for kind, data in _items(body, _FIXED.size):
            if kind == _APPLICATION:
                name = _uid(data)
            elif kind == _PROPOSED:
                contexts.append(_proposed(data))
            elif kind == _USER:
                user = _user(data)
        if not 0 < len(contexts) <= CONTEXTS:
            raise Malformed(f"the A-ASSOCIATE-RQ has no presentation context, or more than {CONTEXTS}")
        if len({one.ident for one in contexts}) < len(contexts):
            raise Malformed("two presentation contexts of the A-ASSOCIATE-RQ have the same ID")
        if name != APPLICATION_CONTEXT:
            raise Malformed("the A-ASSOCIATE-RQ has another application context than DICOM's")
        return cls(_title(calling), _title(called), tuple(contexts), user, body[: _FIXED.size])


@dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of a presentation context.

    Attributes:
        ident: its ID.
        result: 0: accepted; else why not (PS3.8 Table 9-18).
        syntax: the transfer syntax; of one that is not accepted, any.
    """

    ident: int
    result: int
    syntax: str


def accept(asked: Asked, answers: Iterable[Answer], window: int | None, extended: Sequence[str]) -> bytes:
    """An A-ASSOCIATE-AC.

    Args:
        asked: the request.
        answers: for each of its contexts.
        window: operations that may be under way; None: nothing is said of it.
        extended: SOP Class UIDs whose extended negotiation is answered with `STORAGE_SUPPORT`.
    """
    items = [_item(_APPLICATION, APPLICATION_CONTEXT.encode())]
    for one in answers:
        head = bytes((one.ident, 0, one.result, 0))
        items.append(_item(_ANSWERED, head + _item(_TRANSFER, one.syntax.encode())))
    user = [_item(_LENGTH, _LONG.pack(MAX_PDU)), _item(_CLASS, IMPLEMENTATION_CLASS_UID.encode())]
    if window is not None:
        user.append(_item(_WINDOW, _TWO.pack(window, 1)))
    user.append(_item(_VERSION, IMPLEMENTATION_VERSION_NAME.encode()))
    for uid in extended:
        data = uid.encode()
        user.append(_item(_EXTENDED, _SHORT.pack(len(data)) + data + STORAGE_SUPPORT))
    version = b"\0\1\0\0"
    body = version + asked.fixed[len(version) :] + b"".join(items) + _item(_USER, b"".join(user))
    return bytes((Pdu.ASSOCIATE_AC, 0)) + len(body).to_bytes(HEAD - 2, "big") + body


def _proposed(data: bytes) -> Proposed:
    if len(data) < 4 or not data[0] & 1:
        raise Malformed("a presentation context of the A-ASSOCIATE-RQ has no ID, or an even one")
    abstract, syntaxes = "", []
    for kind, value in _items(data, 4):
        if kind == _ABSTRACT:
            abstract = _uid(value)
        elif kind == _TRANSFER:
            syntaxes.append(_uid(value))
    if not abstract or not syntaxes:
        raise Malformed("a presentation context of the A-ASSOCIATE-RQ lacks abstract or transfer syntax")
    return Proposed(data[0], abstract, tuple(syntaxes))


def _user(data: bytes) -> User:
    limit, window, extended = 0, None, []
    for kind, value in _items(data, 0):
        if kind == _LENGTH:
            (limit,) = _exactly(_LONG, value)
        elif kind == _WINDOW:
            window, _ = _exactly(_TWO, value)
        elif kind == _EXTENDED:
            end = _SHORT.size + int.from_bytes(value[: _SHORT.size], "big")
            if end > len(value):
                raise Malformed("an extended negotiation ends within its SOP class")
            extended.append(_uid(value[_SHORT.size : end]))
    return User(limit, window, tuple(dict.fromkeys(extended)))


def _items(data: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Type and value of the items from `at` on."""
    end = len(data)
    while at < end:
        if end - at < _ITEM.size:
            raise Malformed("the A-ASSOCIATE-RQ ends within an item")
        kind, length = _ITEM.unpack_from(data, at)
        begin = at + _ITEM.size
        at = begin + length
        if at > end:
            raise Malformed("an item of the A-ASSOCIATE-RQ is longer than what holds it")
        yield kind, data[begin:at]


def _item(kind: int, value: bytes) -> bytes:
    return _ITEM.pack(kind, len(value)) + value


def _exactly(layout: Struct, value: bytes) -> tuple[int, ...]:
    if len(value) != layout.size:
        raise Malformed("an item of the A-ASSOCIATE-RQ has another length than its type has")
    return layout.unpack(value)


def _uid(value: bytes) -> str:
    """Padded or not: PS3.8 Annex F pads none, and some do."""
    bare = value.rstrip(b"\0 ")
    if not _UID.fullmatch(bare):
        raise Malformed("a UID of the A-ASSOCIATE-RQ is empty, too long, or not of visible ASCII")
    return bare.decode("ascii")


def _title(value: bytes) -> str:
    """Padded with spaces, before it too (PS3.8 Table 9-11), and by some with zeros."""
    bare = value.strip(b"\0 ")
    if not _TITLE.fullmatch(bare):
        raise Malformed("an AE title of the A-ASSOCIATE-RQ is empty, or not of the characters of one")
    return bare.decode("ascii")
