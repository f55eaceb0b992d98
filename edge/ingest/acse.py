"""Association negotiation (PS3.8 §9.3.2, PS3.7 Annex D): what is asked, and what is agreed. Pure.

PDU coding and the choice of transfer syntaxes are pynetdicom's; nothing of its threads is used.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from pydicom import config
from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    AsynchronousOperationsWindowNegotiation,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassExtendedNegotiation,
)
from pynetdicom.presentation import PresentationContext, build_context, negotiate_as_acceptor
from pynetdicom.service_class import NonPatientObjectStorageServiceClass, ServiceClass, StorageServiceClass
from pynetdicom.sop_class import uid_to_service_class

from edge.ingest.pdu import MAX_PDU
from gateway.dicom import transfer
from gateway.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gateway.errors import Malformed

# What a sender proposes is compared, not judged: without this, pydicom warns at every odd UID.
config.settings.reading_validation_mode = config.IGNORE

VERIFICATION = "1.2.840.10008.1.1"
APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
CONTEXTS = 128
"""Presentation contexts of one association: IDs are the odd numbers of a byte."""

SERVICE_SYNTAXES = (transfer.EXPLICIT_LITTLE, transfer.IMPLICIT_LITTLE, transfer.EXPLICIT_BIG)
"""For verification and DIMSE-N: their datasets are read here, and never deflated."""

WINDOW = 16
"""Requests a sender may have under way; they are answered in order."""

STORAGE_SUPPORT = b"\2\0\3\0\0\0"
"""PS3.4 Table B.3-1: storage level 2 (full), signatures stay (bits are preserved), nothing is coerced."""

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
"""What pynetdicom raises for bytes that are no A-ASSOCIATE-RQ; found by fuzzing."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An A-ASSOCIATE-RQ.

    Attributes:
        calling: AE title of the sender, without padding.
        called: AE title it wants.
        primitive: pynetdicom's.
    """

    calling: str
    called: str
    primitive: Any

    @classmethod
    def read(cls, body: bytes) -> Asked:
        """From what follows the PDU's head. Raises Malformed."""
        pdu = A_ASSOCIATE_RQ()
        try:
            pdu.decode(b"\1\0" + len(body).to_bytes(4, "big") + body)
            primitive = pdu.to_primitive()
            calling, called = str(primitive.calling_ae_title).strip(), str(primitive.called_ae_title).strip()
            contexts = primitive.presentation_context_definition_list
            sound = 0 < len(contexts) <= CONTEXTS and all(one.transfer_syntax for one in contexts)
            name = str(primitive.application_context_name)
        except UNREADABLE as error:
            raise Malformed(f"the A-ASSOCIATE-RQ cannot be read: {type(error).__name__}") from error
        if not sound:
            raise Malformed(f"the A-ASSOCIATE-RQ has no presentation context, or more than {CONTEXTS}")
        if name != APPLICATION_CONTEXT:
            raise Malformed("the A-ASSOCIATE-RQ has another application context than DICOM's")
        return cls(calling, called, primitive)


@dataclass(frozen=True, slots=True)
class Agreed:
    """An association that is accepted.

    Attributes:
        reply: the A-ASSOCIATE-AC.
        contexts: abstract and transfer syntax by presentation context ID.
        peer_limit: the sender's maximum length; 0: none.
    """

    reply: bytes
    contexts: dict[int, tuple[str, str]]
    peer_limit: int


def agree(asked: Asked, services: frozenset[str], *, deflated: bool) -> Agreed:
    """Accept what can be accepted.

    Args:
        asked: by the sender.
        services: SOP classes of DIMSE-N services that are offered.
        deflated: whether syntaxes that deflate the whole dataset are taken.

    Raises:
        Malformed: items contradict each other.
    """
    request = asked.primitive
    items = {type(item): item for item in request.user_information}
    try:
        ours = supported(request.presentation_context_definition_list, services, deflated=deflated)
        roles = {
            item.sop_class_uid: (item.scu_role, item.scp_role)
            for item in request.user_information
            if isinstance(item, SCP_SCU_RoleSelectionNegotiation)
        }
        results, answers = negotiate_as_acceptor(request.presentation_context_definition_list, ours, roles)
        contexts = {
            one.context_id: (str(one.abstract_syntax), str(one.transfer_syntax[0]))
            for one in results
            if one.result == 0
        }
        length = items.get(MaximumLengthNotification)
        limit = 0 if length is None else int(length.maximum_length_received or 0)
        if 0 < limit < 64:
            raise Malformed(f"the sender's maximum length of {limit} bytes is too small to answer")
        extra = [*answers, *_extended(request, contexts), *_window(items)]
        return Agreed(_accept(request, results, extra), contexts, limit)
    except UNREADABLE as error:
        raise Malformed(f"the A-ASSOCIATE-RQ contradicts itself: {type(error).__name__}") from error


def _accept(request: Any, results: list[Any], extra: list[Any]) -> bytes:
    reply = A_ASSOCIATE()
    reply.application_context_name = APPLICATION_CONTEXT
    reply.calling_ae_title, reply.called_ae_title = request.calling_ae_title, request.called_ae_title
    reply.result, reply.result_source = 0, 1
    reply.presentation_context_definition_results_list = results
    longest, ours, version = (
        MaximumLengthNotification(),
        ImplementationClassUIDNotification(),
        ImplementationVersionNameNotification(),
    )
    longest.maximum_length_received = MAX_PDU
    ours.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    reply.user_information = [longest, ours, version, *extra]
    pdu = A_ASSOCIATE_AC()
    pdu.from_primitive(reply)
    data: bytes = pdu.encode()
    return data


def _extended(request: Any, contexts: dict[int, tuple[str, str]]) -> list[Any]:
    """Extended negotiation of accepted storage classes, PS3.4 B.3.1."""
    taken = {abstract for abstract, _ in contexts.values() if abstract != VERIFICATION}
    answers = {}
    for item in request.user_information:
        if isinstance(item, SOPClassExtendedNegotiation) and str(item.sop_class_uid) in taken:
            answer = SOPClassExtendedNegotiation()
            answer.sop_class_uid = item.sop_class_uid
            answer.service_class_application_information = STORAGE_SUPPORT
            answers[str(item.sop_class_uid)] = answer
    return list(answers.values())


def _window(items: dict[type, Any]) -> list[Any]:
    """Asynchronous operations window, PS3.7 D.3.3.3: no more than was asked for; 0 asks for no limit."""
    asked = items.get(AsynchronousOperationsWindowNegotiation)
    if asked is None:
        return []
    answer = AsynchronousOperationsWindowNegotiation()
    answer.maximum_number_operations_invoked = min(asked.maximum_number_operations_invoked or WINDOW, WINDOW)
    answer.maximum_number_operations_performed = 1
    return [answer]


def supported(
    asked: list[PresentationContext], services: frozenset[str] = frozenset(), *, deflated: bool
) -> list[PresentationContext]:
    """What is taken of the contexts `asked` for: verification, and every storage class in every syntax.

    A class is a storage class if the standard says so, or if the standard does not know it: private
    classes and those younger than this program are stored like the others.

    Args:
        asked: as proposed in the A-ASSOCIATE-RQ.
        services: SOP classes of DIMSE-N services that are offered.
        deflated: whether syntaxes that deflate the whole dataset are taken.
    """
    wanted: dict[str, list[str]] = {}
    for context in asked:
        if is_storage(context.abstract_syntax):
            syntaxes = wanted.setdefault(str(context.abstract_syntax), [])
            syntaxes += [
                str(uid)
                for uid in context.transfer_syntax
                if uid not in syntaxes and (deflated or not transfer.encoding(uid).deflated)
            ]
    contexts = [build_context(uid, list(SERVICE_SYNTAXES)) for uid in sorted({VERIFICATION, *services})]
    contexts += [
        build_context(uid, syntaxes) for uid, syntaxes in wanted.items() if syntaxes and uid not in services
    ]
    return contexts


def is_storage(abstract_syntax: Any) -> bool:
    """Whether instances of this class are to be stored."""
    service = uid_to_service_class(abstract_syntax)
    if service in (StorageServiceClass, NonPatientObjectStorageServiceClass):
        return True
    if service is not ServiceClass:
        return False
    name = UID(abstract_syntax).name
    return abstract_syntax not in UID_dictionary or ("Storage" in name and "Commitment" not in name)
