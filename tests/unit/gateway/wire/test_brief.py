"""Headers said briefly come out byte for byte; what is no such thing is refused, and a hub that cannot read it is spared."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gateway import canonical
from gateway.errors import Malformed
from gateway.model import ParcelId
from gateway.wire.brief import LONGEST, Abridger, Restorer, bare, spelled_out
from gateway.wire.messages import Announce, Ask, Brief

ONE, TWO, THREE = (ParcelId(f"{number:032x}") for number in (1, 2, 3))
HEADERS = [
    base64.b64decode(one["header"])
    for one in json.loads((Path(__file__).parents[3] / "vectors/tge1/accepted.json").read_text()).values()
]

texts = st.text(max_size=40) | st.binary(max_size=60).map(lambda data: base64.b64encode(data).decode())
texts |= st.binary(max_size=40).map(bytes.hex)
values = st.recursive(
    texts | st.booleans() | st.none(), lambda some: st.lists(some, max_size=4), max_leaves=8
)
objects = st.dictionaries(texts, values, max_size=5).map(canonical.dump)
nested = objects.map(lambda inner: canonical.dump({"payload": base64.b64encode(inner).decode()}))


def test_golden() -> None:
    """Written by hand from PROTOCOL.md."""
    inner = b'{"salt":"AAECAwQFBgcICQoLDA0ODw=="}'
    text = (
        b'{"hex":"000102030405060708","payload":"'
        + base64.b64encode(inner)
        + b'","site":"sitesitesitesit1-"}'
    )
    expected = (
        b'{"hex":\x01\x00\x00\x09' + bytes(range(9)) + b',"payload":\x03\x00\x00\x1d{"salt":\x02\x00\x00\x10'
        b"" + bytes(range(16)) + b'},"site":"sitesitesitesit1-"}'
    )
    assert bare(text) == expected
    assert spelled_out(expected) == text


@pytest.mark.parametrize("header", HEADERS)
def test_real_headers_come_out_as_they_were_and_small(header: bytes) -> None:
    abridger, restorer = Abridger(), Restorer()
    first = abridger.announce(ONE, header, brief=True)
    assert first == Announce(ONE, header)
    again = abridger.announce(TWO, header, brief=True)
    assert isinstance(again, Brief)
    assert len(again.packed) < 0.1 * len(header)
    assert [restorer.read(first), restorer.read(again)] == [first, Announce(TWO, header)]


@given(st.lists(objects | nested | st.binary(min_size=1, max_size=80), min_size=1, max_size=6))
def test_whatever_is_announced_comes_out(headers: list[bytes]) -> None:
    abridger, restorer = Abridger(), Restorer()
    for header in headers:
        assert restorer.read(abridger.announce(ONE, header, brief=True)) == Announce(ONE, header)


@given(objects | nested)
def test_bare_and_back(text: bytes) -> None:
    assert spelled_out(bare(text)) == text


def test_a_hub_that_does_not_read_it_gets_announces_and_may_learn_to_at_any_time() -> None:
    abridger, restorer = Abridger(), Restorer()
    for parcel, brief, kind in ((ONE, False, Announce), (TWO, False, Announce), (THREE, True, Brief)):
        message = abridger.announce(parcel, HEADERS[0], brief=brief)
        assert type(message) is kind
        assert restorer.read(message) == Announce(parcel, HEADERS[0])


def test_after_one_that_was_not_sent_the_next_goes_at_full_length() -> None:
    abridger = Abridger()
    abridger.announce(ONE, HEADERS[0], brief=True)
    abridger.forget()
    assert abridger.announce(TWO, HEADERS[0], brief=True) == Announce(TWO, HEADERS[0])


def test_one_too_long_goes_at_full_length_and_so_does_the_next() -> None:
    abridger, restorer = Abridger(), Restorer()
    long = b'{"chunks":"' + b"0" * LONGEST + b'"}'
    for header, kind in (
        (HEADERS[0], Announce),
        (long, Announce),
        (HEADERS[0], Announce),
        (HEADERS[0], Brief),
    ):
        message = abridger.announce(ONE, header, brief=True)
        assert type(message) is kind
        assert restorer.read(message) == Announce(ONE, header)


def packed(text: bytes, before: bytes) -> bytes:
    known = zstandard.ZstdCompressionDict(before, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    return zstandard.ZstdCompressor(dict_data=known).compress(text)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"no frame", "cannot be read"),
        (zstandard.ZstdCompressor().compress(b"x" * (LONGEST + 1)), "bytes"),
        (zstandard.ZstdCompressor(write_content_size=False).compress(b"{}"), "bytes"),
        (zstandard.ZstdCompressor().compress(b"{}") + b"more", "cannot be read"),
        (packed(b'{"a":\x01\x00\x00\x05abc}', bare(HEADERS[0])), "too little"),
        (packed(b"\x01\x00\x00\x00", bare(HEADERS[0])), "too little"),
        (packed(b"\x01\x00\x00\x07" + bytes(7), bare(HEADERS[0])), "too little"),
        (packed(b"\x02\x00\x00\x09" + bytes(9), bare(HEADERS[0])), "too little"),
        (packed(b"\x01\x02\x00\x00" + bytes(2 << 16), bare(HEADERS[0])), "too much"),
        (packed(b"x" * (LONGEST - 16) + b"\x01\x00\x00\x08" + bytes(8), bare(HEADERS[0])), "too much"),
        (packed(b'{"a":\x04\x00\x00\x01a}', bare(HEADERS[0])), "unknown mark"),
        (packed(b"\x03\x00\x00\x0e\x03\x00\x00\x0a" + b"a" * 10, bare(HEADERS[0])), "unknown mark"),
    ],
)
def test_what_cannot_be_spelled_out_is_refused(data: bytes, words: str) -> None:
    restorer = Restorer()
    restorer.read(Announce(ONE, HEADERS[0]))
    with pytest.raises(Malformed, match=words):
        restorer.read(Brief(TWO, data))


def test_nothing_is_brief_before_anything_was_announced() -> None:
    with pytest.raises(Malformed, match="without an ANNOUNCE"):
        Restorer().read(Brief(ONE, b"x"))
    assert Restorer().read(Ask(ONE)) == Ask(ONE)


@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_are_a_text_or_refused(data: bytes) -> None:
    restorer = Restorer()
    restorer.read(Announce(ONE, HEADERS[0]))
    for attempt in (data, packed(data, bare(HEADERS[0]))):
        try:
            found = restorer.read(Brief(TWO, attempt))
        except Malformed:
            continue
        assert isinstance(found, Announce)
