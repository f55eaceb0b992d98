"""Any bytes on the wire: never an unhandled error, never a wrong byte kept."""

import json
import socket
import threading
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import UID
from pynetdicom import DEFAULT_TRANSFER_SYNTAXES
from pynetdicom.pdu_primitives import (
    AsynchronousOperationsWindowNegotiation,
    SOPClassExtendedNegotiation,
)

from edge.config import Ingest
from edge.ingest.acse import agree
from edge.ingest.associate import Asked
from edge.ingest.association import Association, Terms
from edge.ingest.desk import Desk
from edge.ingest.dimse import RESPONSE, Command, Field
from edge.ingest.pdu import COMMAND, LAST, Pdu, head_of, pdvs
from edge.ingest.store import Reception
from gateway.errors import Malformed
from tests.doubles.datasets import encode, sample
from tests.doubles.proposals import proposal
from tests.doubles.spools import SpoolWorld

CT, LE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
GOLDEN = json.loads((Path(__file__).parents[1] / "vectors/dimse/golden.json").read_text())


def asked():
    window, extended = AsynchronousOperationsWindowNegotiation(), SOPClassExtendedNegotiation()
    window.maximum_number_operations_invoked = 0
    window.maximum_number_operations_performed = 5
    extended.sop_class_uid, extended.service_class_application_information = UID(CT), b"\2\0\3\0\0\0"
    return proposal([(CT, [LE]), ("1.2.840.10008.1.1", DEFAULT_TRANSFER_SYNTAXES)], [window, extended])


ASKED = asked()
RELEASE = bytes((Pdu.RELEASE_RQ, 0, 0, 0, 0, 4, 0, 0, 0, 0))


def element(number, data):
    return (
        number.to_bytes(4, "little")[2:]
        + number.to_bytes(2, "little")
        + len(data).to_bytes(4, "little")
        + data
    )


def store(number):
    def us(value):
        return value.to_bytes(2, "little")

    uid = f"1.2.3.{number}".encode()
    return (
        element(0x0002, CT.encode() + b"\0")
        + element(0x0100, us(1))
        + element(0x0110, us(number + 1))
        + element(0x0800, us(0))
        + element(0x1000, uid + b"\0" * (len(uid) % 2))
    )


def message(number, data, cuts):
    """P-DATA-TF PDUs of one C-STORE, its fragments and PDUs cut where told."""
    values = [(COMMAND | LAST, store(number))]
    at = 0
    for cut in cuts:
        values.append((0, data[at : at + cut]))
        at += cut
    values.append((LAST, data[at:]))
    out, pending = b"", b""
    for place, (control, piece) in enumerate(values):
        pending += (len(piece) + 2).to_bytes(4, "big") + bytes((1, control)) + piece
        if place % 3 == 2 or place == len(values) - 1:
            out += bytes((Pdu.DATA, 0)) + len(pending).to_bytes(4, "big") + pending
            pending = b""
    return out


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = SpoolWorld(tmp_path_factory.mktemp("fuzz") / "data")
    yield world
    world.spool.close()


def converse(world, sent):
    """Say all this to an association; what it answers, PDU by PDU. Raises what escapes its loop."""
    listening = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listening.getsockname())
    served, _ = listening.accept()
    listening.close()
    desk = Desk(Ingest(open=True), world.spool, lambda _: None, {})
    reception = Reception(world.spool.intake, world.clock)
    association = Association(served, "127.0.0.1", Terms(reception, desk, None))
    answers = bytearray()

    def talk():
        try:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            while more := client.recv(1 << 16):
                answers.extend(more)
        except OSError:
            pass
        finally:
            client.close()

    talking = threading.Thread(target=talk)
    talking.start()
    association.run()
    talking.join(10)
    pdus, at = [], 0
    while at < len(answers):
        _, length = head_of(bytes(answers[at : at + 6]))
        pdus.append((answers[at], bytes(answers[at + 6 : at + 6 + length])))
        at += 6 + length
    assert at == len(answers)
    return pdus


def kept(world):
    """SOP Instance UID and dataset of all in the spool, sorted; it is emptied."""
    found = []
    while items := world.spool.to_pack(100):
        for item in items:
            world.packer.seal(item)
            manifest, datasets = world.content(item.parcel_id)
            uids = [entry.sop_instance_uid for entry in manifest.instances]
            found += zip(uids, datasets, strict=True)
            world.spool.confirmed.confirm(item.parcel_id, world.receipt(item.parcel_id))
    return sorted(found)


KEEPING = {0x0000, 0xB007, 0xC000}
"""Statuses that say that the bytes are kept (`edge.verdict`)."""


def statuses(answers):
    """SOP Instance UID and status of every C-STORE response, in order."""
    found = []
    for kind, body in answers:
        source = BytesIO(body)
        for _, control, size in pdvs(len(body), source.read) if kind == Pdu.DATA else ():
            assert control == COMMAND | LAST  # the fragments of a response are never split here
            response = Command.read(source.read(size))
            if response.field == Field.C_STORE_RQ | RESPONSE:
                found.append((response.sop_instance, response.status))
    return found


def spoken(said):
    """Datasets that are whole in what was said: read here again, by PS3.8 §9.3.5 and Annex E alone."""
    found, data, at = [], b"", 0
    while at + 6 <= len(said):
        kind, end = said[at], at + 6 + int.from_bytes(said[at + 2 : at + 6], "big")
        at += 6
        if kind != Pdu.DATA:
            at = end
        while at < min(end, len(said)):
            length, control = int.from_bytes(said[at : at + 4], "big"), said[at + 5 : at + 6]
            if control and not control[0] & COMMAND:
                data += said[at + 6 : at + 4 + length]
                if control[0] & LAST:
                    found.append(data)
                    data = b""
            at += 4 + length
    return found


FUZZ = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@FUZZ
@given(
    st.lists(
        st.tuples(st.binary(max_size=3000), st.lists(st.integers(0, 700), max_size=9)), min_size=1, max_size=3
    )
)
def test_what_was_sent_is_kept_however_it_was_cut(world, sent):
    datasets = [encode(sample(pixels, instance=f"1.2.3.{n}")) for n, (pixels, _) in enumerate(sent)]
    said = b"".join(message(n, datasets[n], cuts) for n, (_, cuts) in enumerate(sent))
    answers = converse(world, ASKED + said + RELEASE)
    assert [kind for kind, _ in answers] == [Pdu.ASSOCIATE_AC, *[Pdu.DATA] * len(sent), Pdu.RELEASE_RP]
    uids = [f"1.2.3.{n}" for n in range(len(sent))]
    assert statuses(answers) == [(uid, 0x0000) for uid in uids]
    assert kept(world) == sorted(zip(uids, datasets, strict=True))


@FUZZ
@given(
    at=st.floats(0, 1),
    cut=st.integers(0, 40),
    put=st.binary(max_size=40),
    first=st.booleans(),
)
def test_bent_conversations_end_well(world, at, cut, put, first):
    datasets = [encode(sample(b"p" * 500, instance=f"1.2.3.{n}")) for n in range(2)]
    said = ASKED + message(0, datasets[0], [100, 0, 300]) + message(1, datasets[1], [700]) + RELEASE
    end = len(ASKED) if first else len(said)
    place = int(at * (end - 1))
    bent = said[:place] + put + said[place + cut :]
    answers = converse(world, bent)
    assert all(kind in set(Pdu) for kind, _ in answers)
    there = kept(world)
    # each that was answered as kept is there, once, and nothing that was not
    assert [uid for uid, _ in there] == sorted(uid for uid, told in statuses(answers) if told in KEEPING)
    assert all(data in spoken(bent) for _, data in there)


@FUZZ
@given(st.binary(max_size=400))
def test_any_bytes_are_a_command_or_malformed(data):
    try:
        command = Command.read(data)
    except Malformed:
        return
    Command.read(command.answer(0))


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, len(ASKED) - 7), cut=st.integers(0, 30), put=st.binary(max_size=30))
def test_any_bytes_are_an_association_request_or_malformed(at, cut, put):
    body = ASKED[6:]
    bent = body[:at] + put + body[at + cut :]
    with suppress(Malformed):
        agree(Asked.read(bent), frozenset(), deflated=False)


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_golden_conversations(world, name):
    one = GOLDEN[name]
    said = b"".join(
        {"ASKED": ASKED, "RELEASE": RELEASE}.get(part) or bytes.fromhex(part) for part in one["said"]
    )
    assert [Pdu(kind).name for kind, _ in converse(world, said)] == one["answered"]
    kept(world)
