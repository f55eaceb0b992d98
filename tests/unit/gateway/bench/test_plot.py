from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from gateway.bench.figures import Packed, Sample
from gateway.bench.link import Shape
from gateway.bench.plot import _ticks, draw

SVG = "{http://www.w3.org/2000/svg}"
SAMPLES = [Sample(at / 5, at * 100_000, 9_000_000, at * 80_000, 3, at) for at in range(100)]


def drawn(*arguments) -> tuple[list[str], int]:
    root = ET.fromstring(draw(*arguments))
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    return texts, sum(1 for _ in root.iter(f"{SVG}polyline"))


def test_four_panels_with_lines_and_codecs() -> None:
    packed = [Packed(1.0, 10, 5, {"jxl": 3, "zstd": 1}), Packed(9.0, 10, 5, {"jxl": 4})]
    texts, lines = drawn("far: a < b & c", Shape(10_000_000, 0.1), SAMPLES, packed, 9_000_000)
    for wanted in ("far: a < b & c", "rate, Mbit/s", "bytes, MB", "utilisation, %", "instances by codec"):
        assert any(wanted in text for text in texts), texts
    assert {"jxl", "zstd", "with a receipt"} <= {text.strip() for text in texts}
    assert lines >= 7


def test_what_nobody_counted_is_said_not_drawn() -> None:
    nothing = [Sample(s.at, 0, s.sealed, s.confirmed, s.waiting, s.instances) for s in SAMPLES]
    texts, _ = drawn("x", None, nothing, [], 9)
    assert any("nobody counts" in text for text in texts)
    assert any("does not log" in text for text in texts)


@pytest.mark.parametrize("samples", [[], SAMPLES[:1]])
def test_too_little_still_makes_a_drawing(samples) -> None:
    drawn("x", Shape(), samples, [], 9)


@pytest.mark.parametrize("most", [0.001, 0.3, 1, 7, 99, 100, 12345.0])
def test_ticks_are_few_and_inside(most) -> None:
    ticks = _ticks(most)
    assert 4 <= len(ticks) <= 11
    assert ticks[0] == 0
    assert ticks[-1] <= most * 1.0001
