"""What ``telerad bench line`` runs, and the goal of each. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from gateway.bench.figures import Figures
from gateway.bench.link import Shape


class Load(Enum):
    """What is sent."""

    CT = "ct"
    MR = "mr"
    NOISE = "noise"  # nothing makes it smaller: it fills a line for a known time


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to be reached.

    Attributes:
        figure: name of the field of `Figures`.
        value: to reach.
        words: how it is said.
        least: whether the figure must be at least that much; else at most.
    """

    figure: str
    value: float
    words: str
    least: bool = True

    def reached(self, figures: Figures) -> bool | None:
        """Whether; None if the figure could not be taken."""
        found: float | None = getattr(figures, self.figure)
        if found is None:
            return None
        return found >= self.value if self.least else found <= self.value


@dataclass(frozen=True, slots=True)
class Scenario:
    """One line, one study, one goal.

    Attributes:
        name: to choose it by.
        words: one line on it.
        shape: of the link.
        load: kind of study.
        count: of instances.
        congestion: ``bbr`` or ``cubic``.
        warm: whether connections have carried something before.
        stat: whether a STAT study of four CT slices comes while the other is on its way.
        goal: None: the figure is shown, nothing is asked of it.
    """

    name: str
    words: str
    shape: Shape
    load: Load
    count: int
    congestion: str = "bbr"
    warm: bool = False
    stat: bool = False
    goal: Goal | None = None


MBIT = 1_000_000
SCENARIOS = (
    Scenario(
        "far",
        "a minute at 100 ms without loss, warm",
        Shape(10 * MBIT, 0.1),
        Load.NOISE,
        143,
        warm=True,
        goal=Goal("steady", 0.95, "≥ 95 % of the link"),
    ),
    Scenario(
        "lossy",
        "a minute at 600 ms and 2 % loss, BBR, warm",
        Shape(10 * MBIT, 0.6, 0.02),
        Load.NOISE,
        143,
        warm=True,
        goal=Goal("steady", 0.90, "≥ 90 % of the link"),
    ),
    Scenario(
        "cubic",
        "600 ms and 2 % loss with CUBIC alone, warm",
        Shape(10 * MBIT, 0.6, 0.02),
        Load.NOISE,
        24,
        congestion="cubic",
        warm=True,
    ),
    Scenario(
        "satellite",
        "CT over 384 kbit/s and 715 ms",
        Shape(384_000, 0.715),
        Load.CT,
        20,
        goal=Goal("effective", 4.0, "≥ 400 % effective use"),
    ),
    Scenario(
        "small",
        "1,000 small MR at 300 ms",
        Shape(10 * MBIT, 0.3),
        Load.MR,
        1000,
        goal=Goal("ratio", 1.15, "≤ 1.15 × the line limit", least=False),
    ),
    Scenario(
        "warm",
        "the same, warm: within half an hour of another study",
        Shape(10 * MBIT, 0.3),
        Load.MR,
        1000,
        warm=True,
        goal=Goal("ratio", 1.15, "≤ 1.15 × the line limit", least=False),
    ),
    Scenario(
        "fast",
        "CT over 100 Mbit/s and 20 ms",
        Shape(100 * MBIT, 0.02),
        Load.CT,
        80,
        goal=Goal("effective", 1.0, "no later than uncoded"),
    ),
    Scenario(
        "fibre",
        "CT over 1 Gbit/s and 5 ms",
        Shape(1000 * MBIT, 0.005, queue=1 << 20),
        Load.CT,
        80,
    ),
    Scenario(
        "slow",
        "CT over 256 kbit/s and 300 ms",
        Shape(256_000, 0.3),
        Load.CT,
        12,
        goal=Goal("ratio", 1.15, "≤ 1.15 × the line limit", least=False),
    ),
    Scenario(
        "first",
        "first image over 1 Mbit/s",
        Shape(1 * MBIT, 0.1),
        Load.CT,
        20,
        goal=Goal("first_image", 3.0, "first image < 3 s", least=False),
    ),
    Scenario(
        "stat",
        "a STAT study overtakes a running study",
        Shape(10 * MBIT, 0.1),
        Load.NOISE,
        60,
        stat=True,
        goal=Goal("stat", 2.0, "STAT there within 2 s", least=False),
    ),
)
NAMES = tuple(scenario.name for scenario in SCENARIOS)
