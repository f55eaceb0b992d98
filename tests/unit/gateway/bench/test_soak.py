"""What a soak makes of its looks at the edge."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from gateway.bench.soak import Look, by_tenths, drawn

LOOKS = [Look(at / 10, at * 10, 100_000_000 + at * 1000) for at in range(101)]
"""100 instances a second."""


def test_each_tenth_has_its_rate_and_its_most_memory() -> None:
    tenths = by_tenths(LOOKS, 1000)
    assert [one.instances for one in tenths] == list(range(100, 1001, 100))
    assert [one.rate for one in tenths] == pytest.approx([100.0] * 10)
    assert tenths[-1].memory == 100_100_000


def test_a_rate_that_falls_is_seen() -> None:
    slow = [*LOOKS[:51], *(Look(5 + at / 2, 500 + at * 10, 1) for at in range(1, 51))]
    tenths = by_tenths(slow, 1000)
    assert tenths[0].rate == pytest.approx(100.0)
    assert tenths[-1].rate == pytest.approx(20.0)


def test_looks_may_be_few() -> None:
    (only,) = by_tenths([LOOKS[0], LOOKS[-1]], 1000)
    assert (only.instances, only.rate) == (1000, pytest.approx(100.0))


def test_rate_and_memory_are_drawn() -> None:
    root = ET.fromstring(drawn(LOOKS))
    texts = ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
    for wanted in (
        "1000 instances into one edge",
        "instances a second",
        "memory of the edge's processes, MB",
    ):
        assert any(wanted in text for text in texts), texts
    assert sum(1 for _ in root.iter("{http://www.w3.org/2000/svg}polyline")) == 2
