"""An edge's headers, one after another: none left out, none replaced. Pure.

Parcels travel by priority, so they arrive in another order than they were signed in: a gap is
something to wait for, while two headers of one number, or a neighbour that names another digest,
can never be mended and are told at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.envelope.layout import FIRST_SEQUENCE, NO_PREVIOUS
from gateway.envelope.unseal import OpenedHeader
from gateway.errors import Unverified
from gateway.model import Sha256


@dataclass(frozen=True, slots=True, order=True)
class Link:
    """One header as the chain sees it.

    Attributes:
        sequence: its number, from 1.
        digest: its own.
        previous: the digest it names.
    """

    sequence: int
    digest: Sha256
    previous: Sha256

    @classmethod
    def of(cls, opened: OpenedHeader) -> Link:
        """The link of a verified header."""
        return cls(opened.header.sequence, opened.digest, opened.header.previous)


@dataclass(frozen=True, slots=True)
class Findings:
    """What a look at all headers of one edge found.

    Attributes:
        last: the highest link, None if there is none at all.
        missing: gaps as (first, last) numbers, both included.
        faults: what can never be mended, in plain words.
    """

    last: Link | None
    missing: tuple[tuple[int, int], ...]
    faults: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether the chain is gap-free and without fault."""
        return not self.missing and not self.faults


def check_fits(link: Link, *, same: Link | None, before: Link | None, after: Link | None) -> None:
    """That a header that arrived fits the neighbours that are here already.

    Args:
        link: the one that arrived.
        same: what is known under its own number.
        before: what is known under the number before.
        after: what is known under the number after.

    Raises:
        Unverified: the edge signed two histories.
    """
    for fault in _faults(link, same=same, before=before, after=after):
        raise Unverified(fault)


def _faults(link: Link, *, same: Link | None, before: Link | None, after: Link | None) -> Iterable[str]:
    number = link.sequence
    if number < FIRST_SEQUENCE or (number == FIRST_SEQUENCE) != (link.previous == NO_PREVIOUS):
        yield f"header {number} does not begin the chain as the first one must"
    if same is not None and same != link:
        yield f"the edge signed two different headers of number {number}"
    if before is not None and before.digest != link.previous:
        yield f"header {number} names another header {number - 1} than the one that is here"
    if after is not None and after.previous != link.digest:
        yield f"header {number + 1} names another header {number} than this one"


def examine(links: Iterable[Link]) -> Findings:
    """Look at all headers of one edge, in any order; the same one twice is no fault."""
    known: dict[int, Link] = {}
    faults: list[str] = []
    for link in sorted(set(links)):
        faults += _faults(
            link, same=known.get(link.sequence), before=known.get(link.sequence - 1), after=None
        )
        known.setdefault(link.sequence, link)
    missing, expected = [], FIRST_SEQUENCE
    for number in sorted(known):
        if number > expected:
            missing.append((expected, number - 1))
        expected = max(expected, number + 1)
    last = known[max(known)] if known else None
    return Findings(last, tuple(missing), tuple(faults))
