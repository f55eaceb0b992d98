"""Header chains: gaps are waited for, two histories are told."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.custody.chain import Link, check_fits, examine
from gateway.envelope.kem import KemKeys
from gateway.envelope.layout import NO_PREVIOUS
from gateway.envelope.unseal import open_header
from gateway.errors import Unverified
from gateway.model import Sha256
from tests.doubles.parcels import seal
from tests.doubles.signers import NOW, MemoryAuthority


def digest(text: str) -> Sha256:
    return Sha256(hashlib.sha256(text.encode()).hexdigest())


def chain(length: int, name: str = "edge") -> list[Link]:
    links, previous = [], NO_PREVIOUS
    for number in range(1, length + 1):
        links.append(Link(number, digest(f"{name}{number}"), previous))
        previous = links[-1].digest
    return links


CHAIN = chain(12)


@given(st.permutations(CHAIN))
def test_order_of_arrival_does_not_matter(links):
    found = examine(links)
    assert found.whole
    assert found.last == CHAIN[-1]


@given(st.sets(st.integers(1, 12)))
def test_exactly_what_is_not_there_is_missing(present):
    found = examine([link for link in CHAIN if link.sequence in present])
    missing = {number for first, last in found.missing for number in range(first, last + 1)}
    assert missing == set(range(1, max(present, default=0))) - present
    assert not found.faults


def test_the_same_header_twice_is_no_fault():
    assert examine([*CHAIN, CHAIN[3]]).whole


def test_no_header_at_all():
    found = examine([])
    assert found.last is None
    assert found.whole


@pytest.mark.parametrize(
    ("links", "says"),
    [
        ([*CHAIN, Link(4, digest("x"), CHAIN[2].digest)], "two different headers of number 4"),
        ([CHAIN[0], Link(2, digest("x"), digest("y"))], "header 2 names another header 1"),
        ([Link(1, digest("x"), digest("y"))], "does not begin the chain"),
        ([*CHAIN[:3], Link(4, digest("x"), NO_PREVIOUS)], "does not begin the chain"),
        ([*CHAIN[:2], *chain(4, "other")[2:]], "header 3 names another header 2"),
    ],
)
def test_two_histories_are_told(links, says):
    found = examine(links)
    assert not found.whole
    assert any(says in fault for fault in found.faults), found.faults


def test_a_header_is_compared_with_its_neighbours_on_arrival():
    link = CHAIN[5]
    check_fits(link, same=None, before=CHAIN[4], after=CHAIN[6])
    check_fits(link, same=link, before=None, after=None)
    other = Link(6, digest("other"), CHAIN[4].digest)
    with pytest.raises(Unverified, match="two different"):
        check_fits(other, same=link, before=None, after=None)
    with pytest.raises(Unverified, match="header 7 names another"):
        check_fits(other, same=None, before=CHAIN[4], after=CHAIN[6])
    with pytest.raises(Unverified, match="names another header 5"):
        check_fits(link, same=None, before=Link(5, digest("z"), CHAIN[3].digest), after=None)


def test_links_of_real_headers():
    authority, keys, links = MemoryAuthority(), KemKeys.generate("hub"), []
    device, previous = authority.device(), NO_PREVIOUS
    for number in (1, 2, 3):
        signed = seal(keys, [b"data"]).signed(device, sequence=number, previous=previous)
        links.append(Link.of(open_header(signed, authority.trust, NOW)))
        previous = links[-1].digest
    assert examine(links).whole
    assert not examine([links[0], links[2]]).whole
