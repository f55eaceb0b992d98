"""Names that are weapons: UIDs and AE titles that are paths, commands, markup, or no text at all (row 9)."""

import asyncio
import struct

import pytest
from structlog.testing import capture_logs

from edge.console.page import page
from edge.ingest import pdu
from edge.ingest.dimse import Command
from edge.ingest.pdu import Pdu
from tests.doubles.datasets import encode, sample
from tests.doubles.listeners import ExactSender, listening, until
from tests.doubles.proposals import proposal
from tests.unit.edge.ingest.test_attacks import CT, LE, SMALL, closed_within, connect, send_one, serves

HOSTILE = [
    "../../../../tmp/owned",
    "/etc/cron.d/owned",
    "1.2.3/../../x",
    "..",
    "1..2",
    "1.02",
    "con",
    "|sh -c true",
    "$(true)",
    "%2e%2e%2f",
]


@pytest.mark.parametrize("uid", HOSTILE)
def test_attack_09_a_hostile_uid_never_becomes_a_name(tmp_path, uid):
    around = set(tmp_path.parent.iterdir())
    data = encode(sample(instance=uid))
    with listening(tmp_path, SMALL) as world:
        assert send_one(world, data, instance=uid) == 0  # it is kept: what it means is for the reader to say
        names = [path.relative_to(tmp_path) for path in tmp_path.rglob("*")]
        assert all(name.parts[0] == "data" for name in names)
        assert not [name for name in names if uid.strip("./") and uid.strip("./") in str(name)]
        assert set(tmp_path.parent.iterdir()) == around
        ((entry, kept),) = world.instances()
        assert (entry.sop_instance_uid, kept) == (uid, data)
        assert serves(world)


@pytest.mark.parametrize("uid", [b"1.2.3\0../x", b"9" * 65, b"1.2\n3", "1.2.é".encode(), b"\x1b[2J", b""])
def test_attack_09_uids_that_are_none_are_answered_so(tmp_path, uid):
    with listening(tmp_path, SMALL) as world:
        sender = ExactSender(world.listener.port, [(CT, LE)])
        sender.association._reactor_checkpoint.clear()  # or its own loop would take the answer
        padded = uid + b"\0" * (len(uid) % 2)
        elements = (
            struct.pack("<HHLH", 0, 0x0100, 2, 1)
            + struct.pack("<HHLH", 0, 0x0110, 2, 7)
            + struct.pack("<HHLH", 0, 0x0800, 2, 0)
            + struct.pack("<HHL", 0, 0x0002, len(CT) + 1)
            + CT.encode()
            + b"\0"
            + struct.pack("<HHL", 0, 0x1000, len(padded))
            + padded
        )
        for one in (
            *pdu.p_data(1, elements, 0, command=True),
            *pdu.p_data(1, encode(sample()), 0, command=False),
        ):
            sender.raw.sendall(one)
        _, answer = sender.association.dimse.get_msg(block=True)
        sender.association._reactor_checkpoint.set()
        assert answer.Status == 0x0117
        sender.close()
        assert world.instances() == []


WORDS = ["../../x", "/etc/passwd", "%2e%2e%2f", "'; DROP--", "${x}", "|sh -c true", "<script>"]
"""AE titles that PS3.5 allows, whatever a shell, a browser or a file system would make of them."""

NO_WORDS = [
    b"CT\0../x",
    b"\0CT\0\0x",
    b"CT\x1b[2J\x1b[31m",
    b"CT\r\nHost: evil",
    b"CT\n{}",
    b"CT\t1",
    b"CT\x7f1",
    b"CT\x9b2J",  # CSI of C1
    b"CT\xff\xfe",
    "CT王".encode(),
    "CT王".encode("gb18030"),
    b"..\\..\\x",
    b" " * 16,
    bytes(16),
]
"""What is none (PS3.5 §6.2: no control characters, no backslash, the default repertoire, not spaces alone)."""

CALLED, CALLING = 10, 26
"""Where the titles stand in an A-ASSOCIATE-RQ (PS3.8 Table 9-11), from the first byte of its head."""


def asking(title, at):
    """An A-ASSOCIATE-RQ with these bytes as a title, as they are."""
    made = proposal([(CT, [LE])])
    return made[:at] + title.ljust(16) + made[at + 16 :]


def shown(world):
    """The edge's page, in both languages."""
    status = asyncio.run(world.spool.status())
    return "".join(page(status, None, world.clock.now(), language) for language in ("en", "zh"))


def logged(logs):
    """Every value that was logged."""
    return [str(value) for one in logs for value in one.values()]


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("at", [CALLED, CALLING], ids=["called", "calling"])
def test_attack_09_an_ae_title_that_is_no_text_is_not_let_in(tmp_path, at):
    with listening(tmp_path, SMALL) as world, capture_logs() as logs:
        for title in NO_WORDS:
            with connect(world.listener.port) as client:
                client.sendall(asking(title, at))
                assert client.recv(4096)[:1] != bytes((Pdu.ASSOCIATE_AC,)), title
                assert closed_within(client, 5)
        assert all(text.isprintable() for text in logged(logs))
        assert not [text for text in logged(logs) if "\\" in text]
        if not world.listener.pids:  # acceptors write it themselves
            told = [one["why"] for one in logs if one["event"] == "connection given up"]
            assert len(told) == len(NO_WORDS)
            assert all("AE title" in why for why in told)
        assert world.closed == []
        assert world.instances() == []
        assert serves(world)


@pytest.mark.usefixtures("both_ways")
def test_attack_09_such_a_title_is_let_in_nowhere_and_a_good_one_in_its_place_is(tmp_path):
    """The bytes around it are sound: it is the title that shuts the door."""
    with listening(tmp_path, SMALL) as world:
        for at in (CALLED, CALLING):
            for title in (b"CT1", b"CT1".ljust(16, b"\0"), b"  CT1", b"CT 1"):
                with connect(world.listener.port) as client:
                    client.sendall(asking(title, at))
                    assert client.recv(4096)[0] == Pdu.ASSOCIATE_AC, title


@pytest.mark.parametrize("title", WORDS)
def test_attack_09_a_hostile_ae_title_is_a_word_and_nothing_more(tmp_path, title):
    around = set(tmp_path.parent.iterdir())
    with listening(tmp_path, SMALL) as world, capture_logs() as logs:
        sender = ExactSender(world.listener.port, [(CT, LE)], calling=title, called=title)
        assert sender.send(CT, "1.2.3.4", LE, encode(sample())) == 0
        sender.release()
        until(lambda: world.closed)
        assert [(one["calling_ae"], one["called_ae"]) for one in world.closed] == [(title, title)]
        assert title in [one.get("calling_ae") for one in logs]  # as a value of its own, that can end no line
        assert all(text.isprintable() for text in logged(logs))
        assert "SAMPLE-77" in shown(world)  # its study is there
        assert title not in shown(world)
        names = [path.relative_to(tmp_path) for path in tmp_path.rglob("*")]
        assert all(name.parts[0] == "data" for name in names)
        assert title.encode() not in world.everything_on_disk()
        assert set(tmp_path.parent.iterdir()) == around
        ((entry, _),) = world.instances()
        assert entry.calling_ae == title
        assert serves(world)


def test_attack_09_command_sets_never_carry_control_characters_into_an_answer():
    command = Command(1, 1, "1.2\n", "1.2.3", has_dataset=True, data=b"")
    assert b"1.2" not in command.answer(0x0117)
