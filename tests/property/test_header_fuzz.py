"""No bytes make the header reader raise, read far, or lose what stands before the damage."""

import gzip

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dicom import transfer
from gateway.dicom.attributes import read_attributes
from gateway.dicom.header import read_header
from gateway.dicom.part10 import split
from gateway.dicom.text import decode, terms
from tests.doubles.datasets import encode, sample, shared_files

SYNTAXES = [
    transfer.IMPLICIT_LITTLE,
    transfer.EXPLICIT_LITTLE,
    transfer.EXPLICIT_BIG,
    transfer.DEFLATED_LITTLE,
]
GOOD = {syntax: encode(sample(), syntax) for syntax in SYNTAXES}


@st.composite
def damaged(draw):
    syntax = draw(st.sampled_from(SYNTAXES))
    data = bytearray(GOOD[syntax])
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, len(data) - 1))
        kind = draw(st.sampled_from(["flip", "cut", "insert", "delete"]))
        if kind == "flip":
            data[at] = draw(st.integers(0, 255))
        elif kind == "cut" and at > 0:
            del data[at:]
        elif kind == "insert":
            data[at:at] = draw(st.binary(max_size=16))
        else:
            del data[at : at + 4]
        if not data:
            break
    return syntax, bytes(data)


def check(data: bytes, syntax: str) -> None:
    header = read_header(data, syntax)
    values, flaw = read_attributes(data, syntax)
    assert isinstance(flaw, str)
    assert all(isinstance(value, str) for value in values.values())
    header.dataset.to_json_dict()
    if header.pixel_offset is not None:
        assert header.pixel_offset >= 8
    if (
        not transfer.encoding(syntax).deflated
        and header.pixel_length
        and "pixel data claims" not in header.flaw
    ):
        assert header.pixel_offset + header.pixel_length <= len(data)


@given(damaged())
@settings(max_examples=400, deadline=None)
def test_damaged_datasets(case):
    syntax, data = case
    check(data, syntax)


@given(st.binary(max_size=600), st.sampled_from(SYNTAXES))
@settings(max_examples=400, deadline=None)
def test_noise(data, syntax):
    check(data, syntax)
    parts = split(data)
    assert data.endswith(bytes(parts.dataset))


@given(
    st.binary(max_size=60),
    st.text(max_size=30),
    st.sampled_from([None, "GB18030", "latin_1", "nonsense"]),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_text_never_raises(value, declared, default, name):
    assert isinstance(decode(value, terms(declared), default, name=name).text, str)


def test_every_real_file():
    for file in shared_files():
        data = file.read_bytes()
        parts = split(gzip.decompress(data) if file.suffix == ".gz" else data)
        dataset = bytes(parts.dataset)
        header = read_header(dataset, parts.transfer_syntax_uid)
        header.dataset.to_json_dict()
        if "odd" not in file.parts:
            assert (file.name, header.flaw) == (file.name, "")
        for cut in (1, 7, len(dataset) // 3, len(dataset) // 2):
            read_header(dataset[:cut], parts.transfer_syntax_uid).dataset.to_json_dict()
