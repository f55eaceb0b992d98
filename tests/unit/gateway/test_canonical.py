"""Canonical JSON: one value, one byte string."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import canonical
from gateway.errors import Malformed

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-canonical.MAX_INTEGER, canonical.MAX_INTEGER)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_round_trip_and_one_form(value: object) -> None:
    data = canonical.dump(value)
    assert canonical.load(data) == value
    assert canonical.dump(json.loads(data)) == data


def test_keys_are_sorted_by_utf16_as_rfc_8785_says() -> None:
    assert canonical.dump({"\ufb33": 1, "\U0001f600": 2, "1": 3, "\r": 4}) == (
        '{"\\r":4,"1":3,"\U0001f600":2,"\ufb33":1}'.encode()
    )


@pytest.mark.parametrize("value", [1.5, 2**53, {1: 2}, {"a": {3}}, "\ud800", float("nan"), b"x"])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(Malformed):
        canonical.dump(value)


@pytest.mark.parametrize(
    "data", [b'{"a": 1}', b'{"b":1,"a":2}', b'{"a":1,"a":1}', b"1.0", b"nope", b"[" * 5000]
)
def test_bytes_that_are_not_the_one_form_are_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        canonical.load(data)


OWN = st.recursive(
    st.text(st.characters(exclude_categories=["Cs"])) | st.integers(0, canonical.MAX_INTEGER),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="ascii")), inner),
)


@given(OWN)
def test_what_is_put_together_here_has_the_same_form_unchecked(value):
    assert canonical.dump_own(value) == canonical.dump(value)


def test_a_lone_surrogate_is_refused_unchecked_too():
    with pytest.raises(Malformed):
        canonical.dump_own({"a": "\ud800"})
