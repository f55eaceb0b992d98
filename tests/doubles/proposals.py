"""A-ASSOCIATE-RQ of a modality, coded by pynetdicom."""

from collections.abc import Iterable, Sequence
from typing import Any

from pydicom.uid import UID
from pynetdicom import build_context
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)


def proposal(
    contexts: Iterable[tuple[str, Sequence[str]]],
    user: Sequence[Any] = (),
    calling: str = "CT1",
    called: str = "TELERAD",
) -> bytes:
    """The whole PDU.

    Args:
        contexts: abstract syntax and transfer syntaxes of each.
        user: further items of the user information.
        calling: AE title of who asks.
        called: of who is asked.
    """
    made = A_ASSOCIATE()
    made.application_context_name = UID("1.2.840.10008.3.1.1.1")
    made.calling_ae_title, made.called_ae_title = calling, called
    made.presentation_context_definition_list = [build_context(uid, list(found)) for uid, found in contexts]
    for number, context in enumerate(made.presentation_context_definition_list):
        context.context_id = 2 * number + 1
    longest, ours = MaximumLengthNotification(), ImplementationClassUIDNotification()
    longest.maximum_length_received, ours.implementation_class_uid = 16384, UID("1.2.3")
    made.user_information = [longest, ours, *user]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(made)
    return bytes(pdu.encode())
