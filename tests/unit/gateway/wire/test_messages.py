"""Messages and frames: golden vectors both ways, byte by byte; what is wrong is refused."""

from __future__ import annotations

import hashlib
import json
import re
import struct
import zlib
from pathlib import Path

import pytest

from gateway.errors import Malformed
from gateway.model import ParcelId, Sha256
from gateway.wire import messages as m
from gateway.wire.chunks import Range
from gateway.wire.frames import Decoder, encode

PARCEL = ParcelId("00112233445566778899aabbccddeeff")
DATA = b"sealed"
MESSAGES = {
    "announce": m.Announce(PARCEL, b'{"kind":"tge1-header"}'),
    "brief": m.Brief(PARCEL, b"packed"),
    "chunk": m.Chunk(PARCEL, 7, Sha256(hashlib.sha256(DATA).hexdigest()), DATA),
    "ask": m.Ask(PARCEL),
    "end": m.End(2000),
    "receipt": m.Receipt(PARCEL, b'{"kind":"tge1-receipt"}'),
    "have-some": m.Have(PARCEL, 12, (Range(0, 3), Range(7, 5))),
    "have-all": m.Have(PARCEL, 12),
    "unknown": m.Unknown(PARCEL),
    "refused": m.Refused(PARCEL, m.Code.CONFLICT, "another header is kept under this parcel identifier"),
    "later": m.Later(m.EVERY_PARCEL, 30, "磁盘已满"),
    "done": m.Done(),
    "pulse": m.Pulse(),
}
VECTORS = json.loads((Path(__file__).parents[3] / "vectors/wire/frames.json").read_text())


def decode(data: bytes, step: int | None = None) -> list[m.Message]:
    decoder, found = Decoder(), []
    for start in range(0, len(data), step or max(1, len(data))):
        decoder.feed(data[start : start + (step or len(data))])
        while (message := decoder.next()) is not None:
            found.append(message)
    decoder.finish()
    return found


def frame(kind: int, payload: bytes) -> bytes:
    check = zlib.crc32(struct.pack(">IB", len(payload), kind) + payload)
    return struct.pack(">IBI", len(payload), kind, check) + payload


def test_every_kind_has_a_vector() -> None:
    assert {m.KINDS[type(message)] for message in MESSAGES.values()} == set(m.Kind)
    assert set(VECTORS["good"]) == set(MESSAGES)


@pytest.mark.parametrize("name", MESSAGES)
def test_golden(name: str) -> None:
    golden = bytes.fromhex(VECTORS["good"][name])
    assert encode(MESSAGES[name]) == golden
    assert decode(golden) == [MESSAGES[name]]


@pytest.mark.parametrize("name", VECTORS["bad"])
def test_golden_bad(name: str) -> None:
    vector = VECTORS["bad"][name]
    with pytest.raises(Malformed, match=vector["fails"]):
        decode(bytes.fromhex(vector["hex"]))


@pytest.mark.parametrize("step", [1, 2, 3, 7, 9, 10, 64, 1000])
def test_any_cut_of_the_stream(step: int) -> None:
    stream = b"".join(map(encode, MESSAGES.values()))
    assert decode(stream, step) == list(MESSAGES.values())


def test_need_more_is_a_value() -> None:
    decoder = Decoder()
    assert decoder.next() is None
    decoder.feed(encode(MESSAGES["ask"])[:-1])
    assert decoder.next() is None
    with pytest.raises(Malformed, match="inside a frame"):
        decoder.finish()


def test_any_flipped_bit_outside_chunk_data_is_found() -> None:
    for name, message in MESSAGES.items():
        good = encode(message)
        guarded = len(good) - (len(DATA) if name == "chunk" else 0)
        for position in range(guarded * 8):
            bad = bytearray(good)
            bad[position // 8] ^= 1 << position % 8
            with pytest.raises(Malformed):
                decode(bytes(bad))


def test_flipped_chunk_data_is_left_to_the_digest() -> None:
    bad = bytearray(encode(MESSAGES["chunk"]))
    bad[-1] ^= 1
    (chunk,) = decode(bytes(bad))
    assert isinstance(chunk, m.Chunk)
    assert hashlib.sha256(chunk.data).hexdigest() != chunk.digest


def test_an_unknown_kind_is_skipped_above_0x80_only() -> None:
    stream = frame(0xF0, b"of a later version") + encode(MESSAGES["done"])
    assert decode(stream) == [m.Done()]
    with pytest.raises(Malformed, match="unknown kind"):
        decode(frame(0x20, b""))


@pytest.mark.parametrize(("kind", "limit"), list(m.MAX_PAYLOAD.items()))
def test_a_length_beyond_the_limit_is_refused_at_once(kind: m.Kind, limit: int) -> None:
    decoder = Decoder()
    decoder.feed(struct.pack(">IBI", limit + 1, kind, 0))
    with pytest.raises(Malformed, match="claims"):
        decoder.next()


@pytest.mark.parametrize(
    "make",
    [
        lambda: m.Announce(ParcelId("A" * 32), b"x"),
        lambda: m.Announce(PARCEL, b""),
        lambda: m.Brief(PARCEL, b""),
        lambda: m.Brief(PARCEL, b"x" * (m.MAX_BRIEF + 1)),
        lambda: m.Chunk(PARCEL, -1, Sha256("0" * 64), b"x"),
        lambda: m.Chunk(PARCEL, 0, Sha256("0" * 63), b"x"),
        lambda: m.Chunk(PARCEL, 0, Sha256("0" * 64), b""),
        lambda: m.End(-1),
        lambda: m.End(m.MAX_LINGER + 1),
        lambda: m.Receipt(PARCEL, b""),
        lambda: m.Have(PARCEL, 0),
        lambda: m.Have(PARCEL, 4, (Range(3, 2),)),
        lambda: m.Have(PARCEL, 4, (Range(2, 1), Range(1, 1))),
        lambda: m.Have(PARCEL, 4, (Range(2, 0),)),
        lambda: m.Refused(PARCEL, 0, ""),
        lambda: m.Refused(PARCEL, 1, "x" * 1001),
        lambda: m.Later(PARCEL, 0, ""),
        lambda: m.Later(PARCEL, m.MAX_LATER + 1, ""),
    ],
)
def test_what_cannot_be_sent_cannot_be_made(make: object) -> None:
    with pytest.raises(Malformed):
        make()  # type: ignore[operator]


def test_codes_below_128_need_a_person() -> None:
    assert [code.name for code in m.Code if m.heals(code)] == ["DAMAGED", "FRAMING", "UNSUPPORTED"]


def test_words_are_shortened_at_a_character() -> None:
    assert m.shorten("é" * 800) == "é" * 500


def test_every_example_of_the_specification_is_a_vector() -> None:
    text = (Path(__file__).parents[4] / "gateway/wire/PROTOCOL.md").read_text()
    examples = [
        line.replace(" ", "") for line in text.splitlines() if re.fullmatch(r"[0-9a-f]{8}( [0-9a-f]+)+", line)
    ]
    assert len(examples) == 7
    assert set(examples) <= set(VECTORS["good"].values())


def test_every_refusal_code_is_in_the_specification() -> None:
    text = (Path(__file__).parents[4] / "gateway/wire/PROTOCOL.md").read_text()
    assert dict(re.findall(r"^\| (\d+) \| ([A-Z_]+) \|", text, re.MULTILINE)) == {
        str(int(c)): c.name for c in m.Code
    }
