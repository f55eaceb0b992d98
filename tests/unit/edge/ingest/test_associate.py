"""A-ASSOCIATE-RQ and -AC, judged by pynetdicom, which codes and negotiates them on its own."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC
from pynetdicom.pdu_primitives import (
    AsynchronousOperationsWindowNegotiation,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.presentation import build_context, negotiate_as_acceptor

from edge.ingest.acse import SERVICE_SYNTAXES, VERIFICATION, WINDOW, agree
from edge.ingest.associate import CONTEXTS, STORAGE_SUPPORT, Asked, Proposed
from edge.ingest.pdu import MAX_PDU
from gateway.dicom import transfer
from gateway.dicom.part10 import IMPLEMENTATION_CLASS_UID
from gateway.errors import Malformed
from tests.doubles.proposals import proposal

CT, MR, WORKLIST = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.31"
PRIVATE, COMMITMENT = "1.3.46.670589.11.0.0.12.1", "1.2.840.10008.1.20.1"
SYNTAXES = (
    transfer.IMPLICIT_LITTLE,
    transfer.EXPLICIT_LITTLE,
    transfer.EXPLICIT_BIG,
    transfer.DEFLATED_LITTLE,
    "1.2.840.10008.1.2.4.70",
)
SERVICES = frozenset({COMMITMENT})
HEAD = 68

proposals = st.lists(
    st.tuples(
        st.sampled_from((CT, MR, PRIVATE, WORKLIST, COMMITMENT, VERIFICATION)),
        st.lists(st.sampled_from(SYNTAXES), min_size=1, max_size=5, unique=True),
    ),
    min_size=1,
    max_size=CONTEXTS,
)


def request(*args, **more):
    """The body of an A-ASSOCIATE-RQ."""
    return proposal(*args, **more)[6:]


def answered(reply):
    """An A-ASSOCIATE-AC, read by pynetdicom."""
    pdu = A_ASSOCIATE_AC()
    pdu.decode(reply)
    return pdu.to_primitive()


def items(primitive, kind):
    return [one for one in primitive.user_information if isinstance(one, kind)]


@given(proposals, st.booleans())
def test_what_is_read_and_agreed_is_what_pynetdicom_reads_and_would_agree(contexts, deflated):
    asked = Asked.read(request(contexts))
    assert (asked.calling, asked.called, asked.user.limit) == ("CT1", "TELERAD", 16384)
    numbered = [Proposed(2 * n + 1, uid, tuple(found)) for n, (uid, found) in enumerate(contexts)]
    assert list(asked.contexts) == numbered

    agreed = agree(asked, SERVICES, deflated=deflated)
    reply = answered(agreed.reply)
    theirs = {}
    for one in numbered:  # each by itself: what a class is taken in then is what this context asks for
        if one.abstract in (VERIFICATION, COMMITMENT):
            ours = [build_context(one.abstract, list(SERVICE_SYNTAXES))]
        else:
            taken = [uid for uid in one.syntaxes if deflated or uid != transfer.DEFLATED_LITTLE]
            ours = [build_context(one.abstract, taken)] if taken else [build_context(one.abstract, ["1.2"])]
            ours = ours if one.abstract != WORKLIST else [build_context(VERIFICATION)]
        proposed = build_context(one.abstract, list(one.syntaxes))
        proposed.context_id = one.ident
        (theirs[one.ident],), _ = negotiate_as_acceptor([proposed], ours)
    given_back = {one.context_id: one for one in reply.presentation_context_definition_results_list}
    assert given_back.keys() == theirs.keys()
    for ident, one in given_back.items():
        assert one.result == theirs[ident].result
        if one.result == 0:
            assert one.transfer_syntax == theirs[ident].transfer_syntax
            assert agreed.contexts[ident] == (theirs[ident].abstract_syntax, one.transfer_syntax[0])
    assert agreed.contexts.keys() == {ident for ident, one in theirs.items() if one.result == 0}


def test_the_answer_says_who_we_are_and_repeats_what_the_standard_has_it_repeat():
    body = bytearray(request([(CT, [transfer.EXPLICIT_LITTLE])], calling="A B", called="C"))
    body[36:68] = bytes(range(32))
    agreed = agree(Asked.read(bytes(body)), SERVICES, deflated=False)
    assert agreed.reply[6:10] == b"\0\1\0\0"
    assert agreed.reply[10 : 6 + HEAD] == bytes(body[4:HEAD])
    reply = answered(agreed.reply)
    assert reply.application_context_name == "1.2.840.10008.3.1.1.1"
    assert [one.maximum_length_received for one in items(reply, MaximumLengthNotification)] == [MAX_PDU]
    (ours,) = items(reply, ImplementationClassUIDNotification)
    assert ours.implementation_class_uid == IMPLEMENTATION_CLASS_UID
    assert len(items(reply, ImplementationVersionNameNotification)) == 1
    assert not items(reply, AsynchronousOperationsWindowNegotiation)
    assert agreed.peer_limit == 16384


@pytest.mark.parametrize(("wanted", "given_back"), [(0, WINDOW), (5, 5), (300, WINDOW)])
def test_a_window_is_what_was_asked_for_and_no_more_than_ours(wanted, given_back):
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked, window.maximum_number_operations_performed = wanted, 7
    asked = Asked.read(request([(CT, [transfer.EXPLICIT_LITTLE])], [window]))
    (found,) = items(
        answered(agree(asked, SERVICES, deflated=False).reply), AsynchronousOperationsWindowNegotiation
    )
    assert (found.maximum_number_operations_invoked, found.maximum_number_operations_performed) == (
        given_back,
        1,
    )


def test_extended_negotiation_is_answered_for_classes_that_are_taken_and_roles_are_not():
    user = []
    for uid in (CT, WORKLIST, MR):
        one = SOPClassExtendedNegotiation()
        one.sop_class_uid, one.service_class_application_information = UID(uid), b"\2\0\3\0\0\0"
        user.append(one)
    role, identity = SCP_SCU_RoleSelectionNegotiation(), UserIdentityNegotiation()
    role.sop_class_uid, role.scu_role, role.scp_role = UID(CT), True, True
    identity.user_identity_type, identity.primary_field = 1, b"somebody"
    identity.positive_response_requested = True
    contexts = [(CT, [transfer.EXPLICIT_LITTLE]), (WORKLIST, [transfer.EXPLICIT_LITTLE])]
    asked = Asked.read(request(contexts, [*user, role, identity]))
    reply = answered(agree(asked, SERVICES, deflated=False).reply)
    (found,) = items(reply, SOPClassExtendedNegotiation)
    assert found.sop_class_uid == CT
    assert found.service_class_application_information == STORAGE_SUPPORT
    assert not items(reply, SCP_SCU_RoleSelectionNegotiation)


def item(kind, value):
    return struct.pack(">BxH", kind, len(value)) + value


APPLICATION = item(0x10, b"1.2.840.10008.3.1.1.1")
SYNTAX = item(0x40, b"1.2.840.10008.1.2")
CONTEXT = item(0x20, b"\1\0\0\0" + item(0x30, CT.encode()) + SYNTAX)
TITLES = b"\0\1\0\0" + b"TELERAD".ljust(16) + b"CT1".ljust(16) + bytes(32)


def test_padding_and_items_nobody_knows_are_borne():
    padded = item(0x20, b"\3\0\0\0" + item(0x30, MR.encode() + b"\0") + item(0x40, b"1.2.840.10008.1.2 "))
    titles = b"\0\1\0\0" + b"  TELERAD".ljust(16, b"\0") + b"CT1".ljust(16) + bytes(32)
    unknown = item(0x77, b"what comes with another edition")
    user = item(0x50, item(0x51, b"\0\0\x40\0") + item(0x5A, b"\1\2\3"))
    asked = Asked.read(titles + APPLICATION + unknown + CONTEXT + padded + user)
    assert (asked.called, asked.calling, asked.user.limit) == ("TELERAD", "CT1", 16384)
    assert [(one.ident, one.abstract, one.syntaxes) for one in asked.contexts] == [
        (1, CT, ("1.2.840.10008.1.2",)),
        (3, MR, ("1.2.840.10008.1.2",)),
    ]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (TITLES[:-1], "before its items"),
        (TITLES + APPLICATION, "no presentation context"),
        (TITLES + CONTEXT, "another application context"),
        (TITLES + item(0x10, b"1.2.3") + CONTEXT, "another application context"),
        (TITLES + APPLICATION + CONTEXT + CONTEXT, "the same ID"),
        (TITLES + APPLICATION + CONTEXT + b"\x50\0", "ends within an item"),
        (TITLES + APPLICATION + CONTEXT[:-1], "longer than what holds it"),
        (TITLES + APPLICATION + item(0x20, b"\2\0\0\0" + CONTEXT[8:]), "an even one"),
        (TITLES + APPLICATION + item(0x20, b"\1\0\0"), "no ID"),
        (TITLES + APPLICATION + item(0x20, b"\1\0\0\0" + SYNTAX), "lacks abstract"),
        (TITLES + APPLICATION + item(0x20, b"\1\0\0\0" + item(0x30, CT.encode())), "lacks abstract"),
        (TITLES + APPLICATION + item(0x20, b"\1\0\0\0" + item(0x30, b"1" * 65) + SYNTAX), "a UID"),
        (TITLES + APPLICATION + item(0x20, b"\1\0\0\0" + item(0x30, b"1.2\xff") + SYNTAX), "a UID"),
        (TITLES + APPLICATION + CONTEXT + item(0x50, item(0x51, b"\0\0\0")), "another length"),
        (TITLES + APPLICATION + CONTEXT + item(0x50, item(0x56, b"\0\x09\x31")), "within its SOP class"),
        (TITLES.replace(b"CT1", b"C\\1") + APPLICATION + CONTEXT, "an AE title"),
        (TITLES.replace(b"CT1", b"C\n1") + APPLICATION + CONTEXT, "an AE title"),
        (TITLES.replace(b"CT1", b"   ") + APPLICATION + CONTEXT, "an AE title"),
        (TITLES.replace(b"CT1", b"C\xe9T") + APPLICATION + CONTEXT, "an AE title"),
    ],
)
def test_what_cannot_be_read_says_why(body, why):
    with pytest.raises(Malformed, match=why):
        Asked.read(body)


def test_no_more_contexts_than_there_are_ids():
    many = b"".join(
        item(0x20, bytes((n % 256 | 1, 0, 0, 0)) + item(0x30, CT.encode()) + SYNTAX)
        for n in range(CONTEXTS + 1)
    )
    with pytest.raises(Malformed, match=f"more than {CONTEXTS}"):
        Asked.read(TITLES + APPLICATION + many)


def test_a_sender_that_takes_less_than_an_answer_is_told():
    short = Asked.read(TITLES + APPLICATION + CONTEXT + item(0x50, item(0x51, b"\0\0\0\x3f")))
    with pytest.raises(Malformed, match="63 bytes is too small"):
        agree(short, SERVICES, deflated=False)
