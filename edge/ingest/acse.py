"""Association negotiation: what is agreed of what a sender asks (PS3.7 Annex D, PS3.8 §9.3.3). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from pydicom import config
from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID
from pynetdicom.service_class import NonPatientObjectStorageServiceClass, ServiceClass, StorageServiceClass
from pynetdicom.sop_class import uid_to_service_class

from edge.ingest.associate import Answer, Asked, Proposed, accept
from gateway.dicom import transfer
from gateway.errors import Malformed

# What a sender proposes is compared, not judged: without this, pydicom warns at every odd UID.
config.settings.reading_validation_mode = config.IGNORE

VERIFICATION = "1.2.840.10008.1.1"

SERVICE_SYNTAXES = (transfer.EXPLICIT_LITTLE, transfer.IMPLICIT_LITTLE, transfer.EXPLICIT_BIG)
"""For verification and DIMSE-N: their datasets are read here, and never deflated."""

WINDOW = 16
"""Requests a sender may have under way; they are answered in order."""

LEAST_LIMIT = 64
"""Bytes of a PDU that an answer needs."""

ACCEPTED, NO_ABSTRACT_SYNTAX, NO_TRANSFER_SYNTAX = 0, 3, 4
"""Results of a presentation context, PS3.8 Table 9-18."""


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

    Roles are not negotiated: a sender is the SCU of what it proposes, as is the default (PS3.7 D.3.3.4).

    Args:
        asked: by the sender.
        services: SOP classes of DIMSE-N services that are offered.
        deflated: whether syntaxes that deflate the whole dataset are taken.

    Raises:
        Malformed: the sender takes less than an answer has.
    """
    limit = asked.user.limit
    if 0 < limit < LEAST_LIMIT:
        raise Malformed(f"the sender's maximum length of {limit} bytes is too small to answer")
    answers = [answer(one, services, deflated=deflated) for one in asked.contexts]
    contexts = {
        one.ident: (one.abstract, given.syntax)
        for one, given in zip(asked.contexts, answers, strict=True)
        if given.result == ACCEPTED
    }
    taken = {abstract for abstract, _ in contexts.values() if abstract != VERIFICATION}
    extended = [uid for uid in asked.user.extended if uid in taken]  # PS3.4 B.3.1
    window = asked.user.window
    if window is not None:  # no more than was asked for; 0 asks for no limit (PS3.7 D.3.3.3)
        window = min(window or WINDOW, WINDOW)
    return Agreed(accept(asked, answers, window, extended), contexts, limit)


def answer(one: Proposed, services: frozenset[str], *, deflated: bool) -> Answer:
    """What becomes of one context: verification, and every storage class in every syntax, are taken.

    A class is a storage class if the standard says so, or if the standard does not know it: private
    classes and those younger than this program are stored like the others. Of several syntaxes the sender's
    first is taken; of a service, ours.

    Args:
        one: as proposed.
        services: SOP classes of DIMSE-N services that are offered.
        deflated: whether syntaxes that deflate the whole dataset are taken.
    """
    if one.abstract == VERIFICATION or one.abstract in services:
        fitting = [syntax for syntax in SERVICE_SYNTAXES if syntax in one.syntaxes]
    elif is_storage(one.abstract):
        fitting = [uid for uid in one.syntaxes if deflated or not transfer.encoding(uid).deflated]
    else:
        return Answer(one.ident, NO_ABSTRACT_SYNTAX, one.syntaxes[0])
    if not fitting:
        return Answer(one.ident, NO_TRANSFER_SYNTAX, one.syntaxes[0])
    return Answer(one.ident, ACCEPTED, fitting[0])


@lru_cache(maxsize=1024)
def is_storage(abstract_syntax: str) -> bool:
    """Whether instances of this class are to be stored."""
    service = uid_to_service_class(abstract_syntax)
    if service in (StorageServiceClass, NonPatientObjectStorageServiceClass):
        return True
    if service is not ServiceClass:
        return False
    name = UID(abstract_syntax).name
    return abstract_syntax not in UID_dictionary or ("Storage" in name and "Commitment" not in name)
