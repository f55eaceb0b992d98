"""Datasets of one layout read at a glance: the same answer as walking, whatever comes."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.verdict import WANTED
from gateway.dicom import alike as module
from gateway.dicom import transfer
from gateway.dicom.alike import Alike
from gateway.dicom.attributes import read_attributes
from tests.doubles.datasets import encode, sample

LE = transfer.EXPLICIT_LITTLE


def walked(data, charset=None):
    return read_attributes(data, LE, default_charset=charset, wanted=WANTED)


def glanced(reader, data, head=1 << 16):
    view = memoryview(data)
    return reader.read(data[:head], len(data), lambda at, n: bytes(view[at : at + n]), LE)


def series(count):
    for n in range(count):
        dataset = sample(bytes(600), instance=f"1.2.3.{7**n}")
        dataset.InstanceNumber = str(n)
        dataset.SliceLocation = f"-{3.25 * 7**n:.2f}"[:12]
        dataset.ImagePositionPatient = [str(n), "1." + "5" * n, "2"][: 1 + n % 3]
        dataset.PatientName = ["A^B", "Müller^Ö", "Yamada"][n % 3]
        dataset.SpecificCharacterSet = ["ISO_IR 100", "ISO_IR 192"][n % 2]
        yield encode(dataset)


def test_a_series_is_read_as_by_walking_and_walked_once(monkeypatch):
    walks = []
    monkeypatch.setattr(module, "read_attributes", lambda *_, **__: walks.append(1))
    reader = Alike(WANTED, None)
    for data in series(30):
        assert glanced(reader, data) == walked(data)
    assert walks == []


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32), changes=st.integers(0, 6), head=st.sampled_from([64, 700, 1 << 16]))
def test_whatever_becomes_of_the_bytes_the_answer_is_that_of_walking(seed, changes, head):
    reader, chance = Alike(WANTED, "GB18030"), random.Random(seed)
    for data in series(3):
        glanced(reader, data)
        odd = bytearray(data)
        for _ in range(changes):
            at = chance.randrange(min(len(odd), 900))
            match chance.randrange(4):
                case 0:
                    odd[at] = chance.randrange(256)
                case 1:
                    del odd[at : at + chance.randrange(1, 20)]
                case 2:
                    odd[at:at] = chance.randbytes(chance.randrange(1, 20))
                case _:
                    del odd[at + 600 :]
        assert glanced(reader, bytes(odd), head) == walked(bytes(odd), "GB18030")


@pytest.mark.parametrize("syntax", [transfer.IMPLICIT_LITTLE, transfer.EXPLICIT_BIG])
def test_other_encodings_are_walked(syntax):
    data = encode(sample(), syntax)
    reader = Alike(WANTED, None)
    view = memoryview(data)
    for _ in range(2):
        found = reader.read(data, len(data), lambda at, n: bytes(view[at : at + n]), syntax)
        assert found == read_attributes(data, syntax, wanted=WANTED)
