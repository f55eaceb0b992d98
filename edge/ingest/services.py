"""DIMSE-N services beside storage: each SOP class has a handler that is given pynetdicom's primitives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pynetdicom import dimse_messages
from pynetdicom.dimse_primitives import N_ACTION, N_CREATE, N_DELETE, N_EVENT_REPORT, N_GET, N_SET
from pynetdicom.pdu_primitives import P_DATA

from edge.ingest.acse import UNREADABLE
from edge.ingest.admission import Admitted
from edge.ingest.dimse import Command, Field
from edge.ingest.pdu import COMMAND, LAST, p_data
from gateway.errors import Malformed

DATASET_LIMIT = 16 << 20
"""Bytes of a dataset of a DIMSE-N request; it is held in memory."""

UNRECOGNIZED_OPERATION = 0x0211
NO_SUCH_SOP_CLASS = 0x0118
OUT_OF_RESOURCES = 0x0213
"""PS3.7 Annex C."""

_ANSWERS: Mapping[int, tuple[type, type]] = {
    Field.N_EVENT_REPORT_RQ: (N_EVENT_REPORT, dimse_messages.N_EVENT_REPORT_RSP),
    Field.N_GET_RQ: (N_GET, dimse_messages.N_GET_RSP),
    Field.N_SET_RQ: (N_SET, dimse_messages.N_SET_RSP),
    Field.N_ACTION_RQ: (N_ACTION, dimse_messages.N_ACTION_RSP),
    Field.N_CREATE_RQ: (N_CREATE, dimse_messages.N_CREATE_RSP),
    Field.N_DELETE_RQ: (N_DELETE, dimse_messages.N_DELETE_RSP),
}


@dataclass(frozen=True, slots=True)
class Request:
    """One DIMSE-N request.

    Attributes:
        sender: who sends it.
        address: its IP address.
        primitive: pynetdicom's, such as `N_CREATE`; its dataset attribute is a `BytesIO`.
        dataset: the dataset bytes as they came; empty if there is none.
        transfer_syntax: of the dataset.
    """

    sender: Admitted
    address: str
    primitive: Any
    dataset: bytes
    transfer_syntax: str


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
    dataset: BytesIO | None = message.data_set
    fragments = b"".join(
        bytes(value[1][1:])
        for part in message.encode_msg(context, 0)
        for value in part.presentation_data_value_list
        if value[1][0] & COMMAND
    )
    yield from p_data(context, fragments, limit, command=True)
    if dataset is not None and (data := dataset.getvalue()):
        yield from p_data(context, data, limit, command=False)


def known(command: Command) -> bool:
    """Whether this is a DIMSE-N request."""
    return command.field in _ANSWERS
