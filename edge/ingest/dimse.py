"""DIMSE messages as they come out of P-DATA: the command set read, the dataset handed on piece by piece.

PS3.7 §9 and Annex E. Pure: a `Messages` hears of fragments and calls its server; it holds no dataset.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Protocol

from edge.ingest.pdu import COMMAND, LAST
from gateway.errors import Malformed

COMMAND_LIMIT = 64 << 10
"""Bytes of a command set; the longest known have some hundreds."""

NO_DATASET = 0x0101
RESPONSE = 0x8000
_ELEMENT = Struct("<HHL")
_US = Struct("<HHLH")

UID_LIMIT = 64
_VISIBLE = re.compile(f"[ -~]{{1,{UID_LIMIT}}}")
DATASET_LIMIT = 4 << 20
"""Bytes of a dataset of a DIMSE-N request; it is held in memory."""

INVALID_INSTANCE, UNRECOGNIZED_OPERATION, OUT_OF_RESOURCES = 0x0117, 0x0211, 0x0213
"""PS3.7 Annex C."""


class Field(IntEnum):
    """Command Field (0000,0100), PS3.7 E.1."""

    C_STORE_RQ = 0x0001
    C_ECHO_RQ = 0x0030
    N_EVENT_REPORT_RQ = 0x0100
    N_EVENT_REPORT_RSP = 0x8100
    N_GET_RQ = 0x0110
    N_SET_RQ = 0x0120
    N_ACTION_RQ = 0x0130
    N_CREATE_RQ = 0x0140
    N_DELETE_RQ = 0x0150
    C_CANCEL_RQ = 0x0FFF


N_REQUESTS = frozenset(
    (
        Field.N_EVENT_REPORT_RQ,
        Field.N_GET_RQ,
        Field.N_SET_RQ,
        Field.N_ACTION_RQ,
        Field.N_CREATE_RQ,
        Field.N_DELETE_RQ,
    )
)


@dataclass(frozen=True, slots=True)
class Command:
    """A command set.

    Attributes:
        field: (0000,0100).
        message_id: (0000,0110) of a request.
        sop_class: (0000,0002), or (0000,0003) where a command has the requested one.
        sop_instance: (0000,1000) or (0000,1001), likewise.
        has_dataset: whether a dataset follows.
        data: as it came.
        responded_to: (0000,0120) of a response.
        status: (0000,0900) of a response.
    """

    field: int
    message_id: int
    sop_class: str
    sop_instance: str
    has_dataset: bool
    data: bytes
    responded_to: int = 0
    status: int = 0

    @classmethod
    def read(cls, data: bytes) -> Command:
        """From implicit VR little endian (PS3.7 §6.3.1). Raises Malformed."""
        found: dict[int, bytes] = {}
        after, end = 0, len(data)
        while after < end:
            at = after + _ELEMENT.size
            if at > end:
                raise Malformed("a command set ends within an element")
            group, element, length = _ELEMENT.unpack_from(data, after)
            after = at + length
            if group or after > end:
                raise Malformed("an element of a command set is of another group, or longer than the set")
            found[element] = data[at:after]
        field = _number(found, 0x0100)
        if field is None:
            raise Malformed("a command set has no Command Field")
        return cls(
            field=field,
            message_id=_number(found, 0x0110) or 0,
            sop_class=_uid(found.get(0x0002) or found.get(0x0003) or b""),
            sop_instance=_uid(found.get(0x1000) or found.get(0x1001) or b""),
            has_dataset=_number(found, 0x0800) not in (None, NO_DATASET),
            data=data,
            responded_to=_number(found, 0x0120) or 0,
            status=_number(found, 0x0900) or 0,
        )

    def valid_uids(self) -> bool:
        """Whether class and instance are there and short enough for a UID, of visible ASCII."""
        return bool(_VISIBLE.fullmatch(self.sop_class) and _VISIBLE.fullmatch(self.sop_instance))

    def answer(self, status: int) -> bytes:
        """The command set of the response, PS3.7 §9.3: implicit VR little endian, no dataset."""
        elements = _us(0x0100, (self.field | RESPONSE) & 0xFFFF) + _us(0x0120, self.message_id)
        elements += _us(0x0800, NO_DATASET) + _us(0x0900, status)
        if self.valid_uids():
            elements = _text(0x0002, self.sop_class) + elements + _text(0x1000, self.sop_instance)
        elif self.field == Field.C_ECHO_RQ and self.sop_class.isascii():
            elements = _text(0x0002, self.sop_class) + elements
        return _ELEMENT.pack(0, 0, 4) + len(elements).to_bytes(4, "little") + elements


def _number(found: dict[int, bytes], element: int) -> int | None:
    value = found.get(element)
    return None if value is None or len(value) < 2 else int.from_bytes(value[:2], "little")


def _uid(value: bytes) -> str:
    return value.decode("latin_1").strip(" \0")


def _us(element: int, value: int) -> bytes:
    return _US.pack(0, element, 2, value)


def _text(element: int, value: str) -> bytes:
    data = value.encode("ascii")
    data += b"\0" * (len(data) % 2)
    return _ELEMENT.pack(0, element, len(data)) + data


class Landing(Protocol):
    """Gives bytes their place before they come, so that nobody copies them."""

    def places(self, size: int) -> list[memoryview]:
        """Where the next `size` bytes, or the first of them, may be put, in this order; perhaps nowhere."""

    def came(self, count: int) -> object:
        """So many bytes have been put in what `places` gave last."""


class Sink(Protocol):
    """Takes one message's dataset."""

    @property
    def landing(self) -> Landing | None:
        """Where it can be put instead of `write`, if anywhere."""

    def write(self, data: memoryview) -> object:
        """The next bytes; gone when this returns."""

    def finish(self) -> object:
        """The message is whole."""

    def abandon(self) -> object:
        """It will never be whole."""


class Server(Protocol):
    """What `Messages` calls."""

    def begin(self, context: int, command: Command) -> Sink:
        """A message begins; `finish` of what is returned is called at its end, dataset or not."""


class Messages:
    """Puts fragments of one association together, in the order PS3.7 and PS3.8 allow.

    Attributes:
        open: whether a message has begun and not ended.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._command = bytearray()
        self._context = 0
        self._sink: Sink | None = None
        self.open = False

    def begun(self, context: int, control: int) -> Sink | None:
        """A presentation data value begins: where its fragment goes; None: to `command`.

        Raises:
            Malformed: it cannot follow what came before.
        """
        if self.open and context != self._context:
            raise Malformed("fragments of two messages are mixed")
        if not control & COMMAND:
            if self._sink is None:
                raise Malformed("a dataset without its command set")
            return self._sink
        if self._sink is not None:
            raise Malformed("a command set within a dataset")
        self.open, self._context = True, context
        return None

    def command(self, fragment: memoryview) -> None:
        """A fragment of a command set. Raises Malformed: it is too long."""
        if len(self._command) + len(fragment) > COMMAND_LIMIT:
            raise Malformed(f"a command set of more than {COMMAND_LIMIT} bytes")
        self._command += fragment

    def ended(self, control: int) -> None:
        """The fragment is whole. Raises Malformed: the command set that ends with it cannot be read."""
        if not control & LAST:
            return
        if control & COMMAND:
            data = bytes(self._command)
            self._command.clear()
            command = Command.read(data)
            self._sink = self._server.begin(self._context, command)
            if command.has_dataset:
                return
        if (sink := self._over()) is not None:
            sink.finish()

    def close(self) -> None:
        """The association is over: what has begun is given up."""
        if (sink := self._over()) is not None:
            sink.abandon()

    def _over(self) -> Sink | None:
        sink, self._sink, self.open = self._sink, None, False
        return sink
