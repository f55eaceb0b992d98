"""DIMSE-N services beside storage: each SOP class has a handler that is given pynetdicom's primitives."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import dimse_messages
from pynetdicom.dimse_primitives import N_ACTION, N_CREATE, N_DELETE, N_EVENT_REPORT, N_GET, N_SET
from pynetdicom.dsutils import decode
from pynetdicom.pdu_primitives import P_DATA

from edge.ingest.admission import Admitted
from edge.ingest.dimse import Command, Field
from edge.ingest.pdu import COMMAND, LAST, p_data
from gateway.dicom import transfer
from gateway.errors import Malformed

_ANSWERS: Mapping[int, tuple[type, type]] = {
    Field.N_EVENT_REPORT_RQ: (N_EVENT_REPORT, dimse_messages.N_EVENT_REPORT_RSP),
    Field.N_GET_RQ: (N_GET, dimse_messages.N_GET_RSP),
    Field.N_SET_RQ: (N_SET, dimse_messages.N_SET_RSP),
    Field.N_ACTION_RQ: (N_ACTION, dimse_messages.N_ACTION_RSP),
    Field.N_CREATE_RQ: (N_CREATE, dimse_messages.N_CREATE_RSP),
    Field.N_DELETE_RQ: (N_DELETE, dimse_messages.N_DELETE_RSP),
}


UNREADABLE = (
    AttributeError,
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    NotImplementedError,
    struct.error,
    AssertionError,
    RecursionError,
)
"""What pynetdicom and pydicom raise for bytes that are no message; found by fuzzing."""

ITEMS = 30_000
"""Sequence items of a dataset. An empty one is eight bytes, and costs a hundred times as much once read."""

_ITEM_TAGS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
"""Item (FFFE,E000), PS3.5 §7.5, little and big endian."""


@dataclass(frozen=True, slots=True)
class Request:
    """One DIMSE-N request.

    Attributes:
        sender: who sends it.
        address: its IP address.
        primitive: pynetdicom's, such as `N_CREATE`; its dataset attribute is a `BytesIO`.
        dataset: the dataset bytes as they came; empty if there is none.
        transfer_syntax: of the dataset.
        channel: for requests of our own to the sender, while the association is open.
    """

    sender: Admitted
    address: str
    primitive: Any
    dataset: bytes
    transfer_syntax: str
    channel: Channel


Handler = Callable[[Request], Any]
"""Gives the response primitive, with ``MessageIDBeingRespondedTo`` and ``Status`` set."""

Services = Mapping[str, Handler]
"""By SOP class UID: these are offered in negotiation, and their requests answered by the handler."""


def read(command: Command, context: int, dataset: bytes) -> Any:
    """The request as pynetdicom's primitive. Raises Malformed."""
    message = dimse_messages.DIMSEMessage()
    values = P_DATA()
    fragments = [[context, bytes((COMMAND | LAST,)) + command.data]]
    if command.has_dataset:
        fragments.append([context, bytes((LAST,)) + dataset])
    try:
        values.presentation_data_value_list = fragments
        message.decode_msg(values)
        return message.message_to_primitive()
    except UNREADABLE as error:
        raise Malformed(f"the request cannot be read: {type(error).__name__}") from error


def encode(command: Command, primitive: Any, context: int, limit: int) -> Iterator[bytes]:
    """A response as P-DATA-TF PDUs.

    Args:
        command: what is answered.
        primitive: the answer, as a handler gave it.
        context: presentation context ID.
        limit: the peer's maximum length; 0: none.
    """
    message = _ANSWERS[command.field][1]()
    message.primitive_to_message(primitive)
    yield from _fragments(message, context, limit)


def _fragments(message: Any, context: int, limit: int) -> Iterator[bytes]:
    dataset: BytesIO | None = message.data_set
    commands = b"".join(
        bytes(value[1][1:])
        for part in message.encode_msg(context, 0)
        for value in part.presentation_data_value_list
        if value[1][0] & COMMAND
    )
    yield from p_data(context, commands, limit, command=True)
    if dataset is not None and (data := dataset.getvalue()):
        yield from p_data(context, data, limit, command=False)


def dataset_of(request: Request) -> Dataset:
    """The dataset of a request. Raises one of `UNREADABLE`, as reading its attributes may."""
    if sum(map(request.dataset.count, _ITEM_TAGS)) > ITEMS:
        raise ValueError(f"more than {ITEMS} items")
    form = transfer.encoding(request.transfer_syntax)
    found: Dataset = decode(BytesIO(request.dataset), form.implicit, form.little)
    return found


def responding(request: Any, status: int, *, sop_class: str = "", instance: str = "") -> Any:
    """The response primitive to a request: without a dataset, with this status."""
    answer = type(request)()
    answer.MessageIDBeingRespondedTo = request.MessageID
    answer.Status = int(status)
    if sop_class:
        answer.AffectedSOPClassUID = sop_class
    if instance:
        answer.AffectedSOPInstanceUID = instance
    return answer


class Channel:
    """The way back to a sender over its own association, on one presentation context. Thread-safe.

    Args:
        send: writes PDUs; raises OSError.
        context: presentation context ID.
        syntax: its transfer syntax.
        limit: the sender's maximum length; 0: none.
    """

    def __init__(
        self, send: Callable[[Iterable[bytes]], object], context: int, syntax: str, limit: int
    ) -> None:
        self._send, self._context, self.syntax, self._limit = send, context, syntax, limit
        self._answer = threading.Condition()
        self._next = 0
        self._answers: dict[int, int] = {}
        self.closed = False

    def report(self, primitive: N_EVENT_REPORT, wait: float) -> int | None:
        """Send an N-EVENT-REPORT. Blocks.

        Args:
            primitive: its message ID is set here.
            wait: seconds for the answer.

        Returns:
            The status; None: the association has ended, or there is no answer.
        """
        with self._answer:
            self._next += 1
            ident = primitive.MessageID = self._next
        message = dimse_messages.N_EVENT_REPORT_RQ()
        message.primitive_to_message(primitive)
        try:
            if self.closed:
                return None
            self._send(_fragments(message, self._context, self._limit))
        except OSError:
            return None
        with self._answer:
            self._answer.wait_for(lambda: self.closed or ident in self._answers, wait)
            return self._answers.pop(ident, None)

    def answered(self, command: Command) -> None:
        """A response has come."""
        with self._answer:
            if 0 < command.responded_to <= self._next:
                self._answers[command.responded_to] = command.status
                self._answer.notify_all()

    def close(self) -> None:
        """The association is over."""
        with self._answer:
            self.closed = True
            self._answer.notify_all()
