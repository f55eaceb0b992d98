"""Drawings as SVG: a transfer's rate, bytes, use and choice of codecs over time; or any lines. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from reportlab.graphics import renderSVG
from reportlab.graphics.shapes import Drawing, Line, PolyLine, Rect, String
from reportlab.lib.colors import HexColor

from gateway.bench.figures import Packed, Sample, rates
from gateway.bench.link import Shape

WIDTH, PANEL, GAP = 760.0, 120.0, 34.0
LEFT, RIGHT, TOP = 70.0, 150.0, 46.0
COLOURS = ("#1f77b4", "#d95f02", "#2a9d5c", "#7b4fa3", "#b8860b", "#c2185b", "#607d8b", "#00838f")
INK, PALE = HexColor("#222222"), HexColor("#d8d8d8")

Points = list[tuple[float, float]]


def draw(
    title: str, shape: Shape | None, samples: Sequence[Sample], packed: Sequence[Packed], coded: int
) -> str:
    """The drawing as SVG text.

    Args:
        title: above it.
        shape: of the link; None if there was none: then nothing is said of what it carried.
        samples: in order of time.
        packed: parcels as the edge coded them; may be none.
        coded: payload bytes in all.
    """
    end = max([s.at for s in samples] + [p.at for p in packed] + [1.0])
    height = TOP + 4 * (PANEL + GAP) + 20
    drawing = Drawing(WIDTH, height)
    drawing.add(Rect(0, 0, WIDTH, height, fillColor=HexColor("#ffffff"), strokeColor=None))
    drawing.add(String(LEFT, height - 24, title, fontSize=13, fontName="Helvetica-Bold", fillColor=INK))
    floors = [height - TOP - PANEL - row * (PANEL + GAP) for row in range(4)]
    _rate(_Panel(drawing, floors[0], end, "rate, Mbit/s"), shape, samples)
    _bytes(_Panel(drawing, floors[1], end, "bytes, MB"), samples)
    _use(_Panel(drawing, floors[2], end, "utilisation, %"), shape, samples, coded)
    _codecs(_Panel(drawing, floors[3], end, "instances by codec"), packed)
    _under(drawing, floors[3] - 24, "seconds since the first C-STORE")
    text: str = renderSVG.drawToString(drawing)
    return text


def panels(title: str, under: str, lines: Sequence[tuple[str, Points]]) -> str:
    """Several single lines over the same axis, one above the other, as SVG text.

    Args:
        title: above them.
        under: what the axis counts.
        lines: name and points of each.
    """
    end = max([at for _, points in lines for at, _ in points] + [1.0])
    height = TOP + len(lines) * (PANEL + GAP) + 20
    drawing = Drawing(WIDTH, height)
    drawing.add(Rect(0, 0, WIDTH, height, fillColor=HexColor("#ffffff"), strokeColor=None))
    drawing.add(String(LEFT, height - 24, title, fontSize=13, fontName="Helvetica-Bold", fillColor=INK))
    floor = height - TOP - PANEL
    for name, points in lines:
        panel = _Panel(drawing, floor, end, name)
        panel.scale(max([value for _, value in points] + [1.0]))
        panel.line(points, COLOURS[0], name.partition(",")[0])
        floor -= PANEL + GAP
    _under(drawing, floor + PANEL + GAP - 24, under)
    text: str = renderSVG.drawToString(drawing)
    return text


class _Panel:
    """One set of axes. Time runs from 0 to `end`; `scale` sets what the height stands for."""

    def __init__(self, drawing: Any, floor: float, end: float, title: str) -> None:
        self.drawing, self.floor, self.end = drawing, floor, end
        self.most = 1.0
        self._keys = 0
        width = WIDTH - LEFT - RIGHT
        drawing.add(Rect(LEFT, floor, width, PANEL, fillColor=None, strokeColor=PALE))
        drawing.add(String(LEFT, floor + PANEL + 5, title, fontSize=10, fontName="Helvetica-Bold"))

    def scale(self, most: float) -> None:
        """Draw the axes for values up to `most`."""
        self.most = max(most * 1.08, 1e-9)
        for tick in _ticks(self.most):
            y = self.y(tick)
            self.drawing.add(Line(LEFT, y, WIDTH - RIGHT, y, strokeColor=PALE, strokeWidth=0.5))
            self.drawing.add(String(LEFT - 6, y - 3, f"{tick:g}", fontSize=8, textAnchor="end"))
        for tick in _ticks(self.end):
            x = self.x(tick)
            self.drawing.add(Line(x, self.floor, x, self.floor - 3, strokeColor=INK, strokeWidth=0.5))
            self.drawing.add(String(x, self.floor - 12, f"{tick:g}", fontSize=8, textAnchor="middle"))

    def x(self, at: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * max(0.0, at) / self.end

    def y(self, value: float) -> float:
        return self.floor + PANEL * min(value, self.most) / self.most

    def line(self, points: Points, colour: str, words: str, *, dashed: bool = False) -> None:
        """One line, and its key at the right."""
        if len(points) > 1:
            flat = [number for at, value in points for number in (self.x(at), self.y(value))]
            dash = [4, 3] if dashed else None
            self.drawing.add(
                PolyLine(flat, strokeColor=HexColor(colour), strokeWidth=1.3, strokeDashArray=dash)
            )
        self.key(colour, words)

    def bar(self, left: float, right: float, bottom: float, top: float, colour: str) -> None:
        """One block of a stacked bar."""
        x, y = self.x(left), self.y(bottom)
        width, height = max(1.0, self.x(right) - x), self.y(top) - y
        self.drawing.add(Rect(x, y, width, height, fillColor=HexColor(colour), strokeColor=None))

    def key(self, colour: str, words: str) -> None:
        """What a colour stands for."""
        y = self.floor + PANEL - 10 - 13 * self._keys
        self._keys += 1
        self.drawing.add(Rect(WIDTH - RIGHT + 10, y, 10, 7, fillColor=HexColor(colour), strokeColor=None))
        self.drawing.add(String(WIDTH - RIGHT + 25, y, words, fontSize=8, fillColor=INK))

    def remark(self, words: str) -> None:
        """Why there is nothing to draw."""
        x = LEFT + (WIDTH - LEFT - RIGHT) / 2
        self.drawing.add(String(x, self.floor + PANEL / 2, words, fontSize=9, textAnchor="middle"))


def _rate(panel: _Panel, shape: Shape | None, samples: Sequence[Sample]) -> None:
    found = [(at, rate / 1e6) for at, rate in rates(samples)]
    line = shape.rate / 1e6 if shape else 0.0
    panel.scale(max([value for _, value in found] + [line]))
    if shape is None:
        panel.remark("no simulated link: nobody counts its bytes")
        return
    panel.line([(0.0, line), (panel.end, line)], COLOURS[1], "rate of the link", dashed=True)
    panel.line(found, COLOURS[0], "out of the link")


def _bytes(panel: _Panel, samples: Sequence[Sample]) -> None:
    panel.scale(max([max(s.arrived, s.sealed) for s in samples] + [1]) / 1e6)
    panel.line([(s.at, s.sealed / 1e6) for s in samples], COLOURS[1], "sealed at the edge")
    if any(s.arrived for s in samples):
        panel.line([(s.at, s.arrived / 1e6) for s in samples], COLOURS[0], "out of the link")
    panel.line([(s.at, s.confirmed / 1e6) for s in samples], COLOURS[2], "with a receipt")


def _use(panel: _Panel, shape: Shape | None, samples: Sequence[Sample], coded: int) -> None:
    panel.scale(100.0)
    total = samples[-1].arrived if samples else 0
    if shape is None or not total:
        panel.remark("no simulated link: nothing to compare with")
        return
    part = min(1.0, coded / total)
    use = [(at, 100 * rate * part / shape.rate) for at, rate in rates(samples)]
    panel.line(use, COLOURS[0], "payload by rate")
    whole = [(s.at, 100 * s.arrived * part * 8 / shape.rate / s.at) for s in samples if s.at > 1]
    panel.line(whole, COLOURS[2], "the same since the start")


def _codecs(panel: _Panel, packed: Sequence[Packed]) -> None:
    names = sorted({name for one in packed for name in one.ways})
    if not names:
        panel.scale(1.0)
        panel.remark("this edge does not log how it codes")
        return
    width = panel.end / 60
    slots: dict[int, dict[str, int]] = {}
    for one in packed:
        slot = slots.setdefault(int(one.at / width), {})
        for name, count in one.ways.items():
            slot[name] = slot.get(name, 0) + count
    panel.scale(max(sum(slot.values()) for slot in slots.values()))
    for number, slot in slots.items():
        bottom = 0.0
        for index, name in enumerate(names):
            top = bottom + slot.get(name, 0)
            panel.bar(number * width, (number + 0.9) * width, bottom, top, COLOURS[index % len(COLOURS)])
            bottom = top
    for index, name in enumerate(names):
        panel.key(COLOURS[index % len(COLOURS)], name)


def _under(drawing: Any, y: float, words: str) -> None:
    x = LEFT + (WIDTH - LEFT - RIGHT) / 2
    drawing.add(String(x, y, words, fontSize=9, textAnchor="middle"))


def _ticks(most: float) -> list[float]:
    """Round numbers from 0 to `most`, three to eight of them."""
    power = 10.0 ** math.floor(math.log10(most))
    step = next(power * part for part in (1, 0.5, 0.25, 0.2, 0.1) if most / (power * part) >= 3)
    return [number * step for number in range(int(most / step) + 1)]
