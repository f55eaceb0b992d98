"""The vectors of FORMAT.md's segmented codecs, whatever the versions of the libraries that made them."""

from __future__ import annotations

import json
from base64 import b64decode
from itertools import chain
from pathlib import Path

import pytest

from gateway.codec.segment import Kind
from gateway.errors import Malformed
from tests.doubles.images import kinds, restore
from tests.interop.segments import Refused, read_segments

FILE = Path(__file__).parents[3] / "vectors/codec/segmented.json"
VECTORS = json.loads(FILE.read_text())


@pytest.mark.parametrize("name", VECTORS["accepted"])
@pytest.mark.parametrize("step", [1, 100_000])
def test_accepted(name, step):
    vector = VECTORS["accepted"][name]
    plain, coded = b64decode(vector["plain"]), b64decode(vector["coded"])
    assert restore(coded, len(plain), vector["codec"], step) == plain
    assert read_segments(coded, vector["codec"], len(plain)) == plain


@pytest.mark.parametrize("name", VECTORS["refused"])
def test_refused(name):
    vector = VECTORS["refused"][name]
    coded = b64decode(vector["coded"])
    with pytest.raises(Malformed):
        restore(coded, vector["length"], vector["codec"])
    with pytest.raises(Refused):
        read_segments(coded, vector["codec"], vector["length"])


def test_there_are_vectors_of_every_codec_and_kind():
    assert {vector["codec"] for vector in VECTORS["accepted"].values()} == {
        "jxl",
        "htj2k",
        "jpegls",
        "jpeg-jxl",
    }
    whole = (b64decode(vector["coded"]) for vector in VECTORS["accepted"].values())
    assert set(chain.from_iterable(map(kinds, whole))) == set(Kind) - {Kind.SHARED}  # that needs a parcel
    assert len(VECTORS["refused"]) >= 19
