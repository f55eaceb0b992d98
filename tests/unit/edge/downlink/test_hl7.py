from __future__ import annotations

import dataclasses
from base64 import b64decode
from datetime import UTC, datetime

import hl7
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.downlink import oru
from edge.downlink.deliver_hl7 import Hl7Delivery
from edge.downlink.mllp import Deframer, frame
from gateway.clock import SystemClock
from gateway.errors import Malformed, Refused, Unavailable
from tests.doubles.delivery import ris, verified
from tests.doubles.report import CHINESE

AT = datetime(2026, 11, 22, 15, tzinfo=UTC)


async def test_the_message_reads_back_with_another_parser() -> None:
    found = await verified()
    data = oru.message(found, "TELERAD", AT)
    message = hl7.parse(data.decode())
    assert str(message.segment("MSH")[9]) == "ORU^R01^ORU_R01"
    assert str(message["MSH.F10"]) == found.report.report_id[:20]
    assert str(message["MSH.F18"]) == "UNICODE UTF-8"
    assert str(message["PID.F3.R1.C1"]) == "P-0042"
    assert str(message["PID.F5.R1.C1"]) == "Zhang"
    assert str(message["PID.F5.R2.C1"]) == "张"
    assert str(message["OBR.F3"]) == "A2026112201"
    observations = {str(segment[3][0][1]): segment for segment in message.segments("OBX")}
    pdf = next(segment for segment in message.segments("OBX") if str(segment[2]) == "ED")
    assert b64decode(str(pdf[5][0][4])) == found.pdf
    findings = hl7.parse(data.decode()).unescape(str(observations["Findings"][5]))
    assert "острая эпидуральная гематома" in findings
    assert findings.count("\r") == 2
    assert str(observations["Impressions"][8]) == "AA"


async def test_attack_23_nothing_a_person_writes_can_begin_a_field_or_segment() -> None:
    found = await verified()
    nasty = "a|b^c&d~e\\f\rOBX|1|TX|x\x0b\x1c\x00"
    report = dataclasses.replace(
        found.report,
        body=dataclasses.replace(CHINESE, findings="a|b^c&d~e\\f\nOBX|99|TX|x"),
        patient=dataclasses.replace(found.report.patient, patient_id="1|2^3"),
    )
    data = oru.message(dataclasses.replace(found, report=report), "TELERAD", AT)
    plain = oru.message(found, "TELERAD", AT)
    assert data.count(b"\r") == plain.count(b"\r")
    segments = data.split(b"\r")
    assert [s[:3] for s in segments] == [s[:3] for s in plain.split(b"\r")]
    assert b"1\\F\\2\\S\\3" in data
    assert oru.escape(nasty) == "a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\fOBX\\F\\1\\F\\TX\\F\\x"


@given(st.text())
def test_escaped_text_holds_no_delimiter_and_no_control_character(text: str) -> None:
    escaped = oru.escape(text)
    assert not set(escaped) & set("|^&~\r\n\x0b\x1c\x00")


@given(
    st.lists(st.binary(max_size=50).filter(lambda b: not {0x0B, 0x1C} & set(b)), max_size=5),
    st.integers(1, 7),
)
def test_messages_are_found_however_the_bytes_come(messages: list[bytes], step: int) -> None:
    stream = b"".join(frame(message) + b"\r\n" for message in messages)
    deframer, found = Deframer(), []
    for at in range(0, len(stream), step):
        found += deframer.feed(stream[at : at + step])
    assert found == messages


def test_attack_23_frames_are_bounded_and_strict() -> None:
    with pytest.raises(Malformed, match="more than 10"):
        Deframer(10).feed(b"\x0b" + b"x" * 11)
    with pytest.raises(Malformed, match="outside"):
        Deframer().feed(b"x\x0b")
    with pytest.raises(Malformed):
        frame(b"a\x1cb")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"MSH|^~\\&|\rMSA|AA|1\r", "AA"),
        (b"MSH|^~\\&|\r\nMSA|AE|1|words\r\n", "AE"),
        (b"MSH#^~\\&#\nMSA#AR#1", "AR"),
    ],
)
def test_answers_are_read(data: bytes, code: str) -> None:
    assert oru.read_answer(data).code == code


@pytest.mark.parametrize(
    "data", [b"", b"MSH", b"hello", b"MSH|^~\\&|\r", b"MSH|^~\\&|\rMSA|XX|1\r", b"\xff\xfe"]
)
def test_what_is_no_answer_is_told(data: bytes) -> None:
    with pytest.raises(Malformed):
        oru.read_answer(data)


def test_the_receiver_s_words_come_from_err_when_msa_has_none() -> None:
    answer = oru.read_answer(b"MSH|^~\\&|\rMSA|AE|1\rERR||PID^3|204|E|||no such patient\x07|user words\r")
    assert answer.words == "user words"


async def test_accepted() -> None:
    async with ris("AA") as receiver:
        delivery = Hl7Delivery("ris", "127.0.0.1", receiver.port, "TELERAD", SystemClock())
        found = await verified()
        assert await delivery.deliver(found) == "AA"
        await delivery.deliver(found)
    first, second = receiver.messages
    assert first.split(b"|")[9] == second.split(b"|")[9]
    assert len(first) > len(found.pdf)


@pytest.mark.parametrize("behaviour", ["AE", "AR"])
async def test_refused_in_the_receiver_s_own_words(behaviour: str) -> None:
    async with ris(behaviour) as receiver:
        delivery = Hl7Delivery("ris", "127.0.0.1", receiver.port, "TELERAD", SystemClock())
        with pytest.raises(Refused, match=f"{behaviour} 检查号 not known"):
            await delivery.deliver(await verified())


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("silence", "no answer within"),
        ("close", "closed without an answer"),
        ("rubbish", "outside of an MLLP frame"),
        ("huge", "more than"),
        ("no hl7", "no HL7 message"),
        ("other", "another message"),
    ],
)
async def test_no_clear_answer_means_try_again(behaviour: str, words: str) -> None:
    async with ris(behaviour) as receiver:
        delivery = Hl7Delivery(
            "ris", "127.0.0.1", receiver.port, "TELERAD", SystemClock(), answer_seconds=0.3
        )
        with pytest.raises(Unavailable, match=words):
            await delivery.deliver(await verified())


async def test_nobody_there() -> None:
    async with ris() as receiver:
        pass
    delivery = Hl7Delivery("ris", "127.0.0.1", receiver.port, "TELERAD", SystemClock())
    with pytest.raises(Unavailable, match="cannot be reached"):
        await delivery.deliver(await verified())
