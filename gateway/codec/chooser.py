"""Choosing for one instance after another: by figures, and by a probe of the image where there are none."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from gateway.codec.choose import Choice, choose
from gateway.codec.figures import Figures
from gateway.codec.plan import STRIP, Plan
from gateway.codec.stream import Buffer, Parameters, coder
from gateway.codec.way import RAW, WAYS, Way
from gateway.dicom.transfer import Read

PROBE = 256 << 10
"""Bytes looked at to see how well a way does; from the middle of the pixels."""
POOR, BETTER = 1.1, 1.1
"""Where even the ratios are so poor that nothing is coded, the next image may be another one: it is seen by
the fastest way's doing so many times better than it did."""


class Chooser:
    """Picks a way for each instance and learns from how it went.

    Args:
        figures: what was measured so far.
        timer: seconds of the CPU.
    """

    def __init__(self, figures: Figures | None = None, timer: Callable[[], float] = time.thread_time) -> None:
        self.figures = figures if figures is not None else Figures()
        self._timer = timer

    def choose(
        self,
        read: Read,
        size: int,
        plan: Plan,
        *,
        link: float,
        cores: float,
        waiting: int = 0,
        busy: float = 0.0,
        handling: float = 0.0,
        piece: int = STRIP,
        without: Collection[Way] = (),
    ) -> Choice:
        """The way that ends soonest.

        Args:
            read: the dataset bytes by offset.
            size: of the dataset.
            plan: as `gateway.codec.plan` gave it.
            link: bytes a second the line carries.
            cores: idle cores, perhaps part of one.
            waiting: bytes of its like behind it.
            busy: seconds for which the line has other things to carry.
            handling: seconds a byte costs besides, if it is coded at all.
            piece: bytes that are coded before any of them is sent, at most.
            without: ways that are not to be taken.
        """

        def ratio(way: Way) -> float:
            known = self.figures.ratio(plan.kind, way)
            return self._probe(way, read, size, plan) if known is None else known

        def probing(way: Way) -> float:
            if self.figures.knows(plan.kind, way):
                return 0.0
            return min(PROBE, size) / self.figures.speed(plan.kind, way)

        def chosen() -> Choice:
            return choose(
                [way for way in WAYS if way not in without and plan.fits(way)],
                size=size,
                waiting=waiting,
                link=link,
                cores=cores,
                busy=busy,
                handling=handling,
                piece=piece,
                speed=lambda way: self.figures.speed(plan.kind, way),
                ratio=ratio,
                probing=probing,
            )

        choice = chosen()
        if choice.way == RAW and self._shrinks(choice, read, size, plan):
            self.figures.forget(plan.kind)
            choice = chosen()
        return choice

    def _shrinks(self, choice: Choice, read: Read, size: int, plan: Plan) -> bool:
        """Whether an image shrinks though others of its kind did not."""
        weighed = [one for one in choice.estimates if one.way != RAW]
        if not weighed or max(one.ratio for one in weighed) > POOR:
            return False
        scout = max(weighed, key=lambda one: one.speed)
        return self._probe(scout.way, read, size, plan) > BETTER * scout.ratio

    def ended(self, plan: Plan, way: Way, *, plain: int, coded: int, seconds: float) -> None:
        """Tell how coding went: bytes before and after, and seconds of one core."""
        self.figures.observe(plan.kind, way, plain, coded, seconds)

    def _probe(self, way: Way, read: Read, size: int, plan: Plan) -> float:
        """Code a sample and keep the figures."""
        start, end = _sample(size, plan)
        sample, around = read(start, end - start), _shifted(plan, start, end)
        taken = _Count()
        before = self._timer()
        code(sample, way, around, taken)
        self.ended(plan, way, plain=len(sample), coded=taken.bytes, seconds=self._timer() - before)
        return len(sample) / max(taken.bytes, 1)


class _Count:
    def __init__(self) -> None:
        self.bytes = 0

    def __call__(self, data: Buffer) -> None:
        self.bytes += len(data)


def code(data: Buffer, way: Way, plan: Plan, sink: Callable[[Buffer], object]) -> Parameters:
    """Code bytes that are at hand at once."""
    writer = coder(way, sink, plan)
    writer.write(data)
    return writer.finish()


def _sample(size: int, plan: Plan) -> tuple[int, int]:
    """From where to where to probe: whole rows, a whole frame if its planes are apart, or a whole JPEG."""
    if plan.fragments:
        return plan.fragments[len(plan.fragments) // 2]
    if plan.form is None:
        start = max(size // 2 - PROBE // 2, 0)
        return start, min(start + PROBE, size)
    unit = plan.strip if plan.form.planar else plan.form.row
    units = (plan.end - plan.start) // unit
    count = max(min(PROBE // unit, units), 1)
    start = plan.start + (units - count) // 2 * unit
    return start, start + count * unit


def _shifted(plan: Plan, start: int, end: int) -> Plan:
    """The plan of the sample alone."""
    if plan.fragments:
        return Plan(kind=plan.kind, fragments=((0, end - start),))
    return Plan(kind=plan.kind, form=plan.form, start=0, end=end - start, strip=plan.strip)
