"""The typed tree of a rule file. Pure data; `language` builds it, `evaluate` walks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta, tzinfo
from enum import Enum
from typing import TypeAlias

from gateway.model import Priority
from hub.rules.pattern import Pattern


class How(Enum):
    """How a text is compared; all without regard to case."""

    EQUALS = "equals"
    CONTAINS = "contains"
    GLOB = "glob"
    REGEX = "regex"


class Unit(Enum):
    """Of an age, in completed units; NONE for plain counts."""

    NONE = ""
    DAYS = "d"
    WEEKS = "w"
    MONTHS = "m"
    YEARS = "y"


@dataclass(frozen=True, slots=True)
class Text:
    """One of the study's values of `fact` fits one of `values`."""

    fact: str
    how: How
    values: tuple[str, ...]
    line: int
    patterns: tuple[Pattern, ...] = ()  # for GLOB and REGEX, beside `values`


@dataclass(frozen=True, slots=True)
class Range:
    """``low ≤ fact ≤ high``; None: no limit on that side."""

    fact: str
    low: int | None
    high: int | None
    unit: Unit
    line: int
    words: str  # as written


@dataclass(frozen=True, slots=True)
class Hours:
    """The study became complete between two times of day, in minutes; over midnight if start > end."""

    start: int
    end: int
    line: int
    words: str


@dataclass(frozen=True, slots=True)
class Weekdays:
    """The study became complete on one of these days; Monday is 0."""

    days: frozenset[int]
    line: int
    words: str


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds. With no part: true."""

    parts: tuple[Condition, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Any:
    """At least one part holds. With no part: false."""

    parts: tuple[Condition, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Condition
    line: int


Condition: TypeAlias = Text | Range | Hours | Weekdays | All | Any | Not


@dataclass(frozen=True, slots=True)
class Action:
    """What follows from a match.

    Args:
        group: the reading group.
        line: where it stands.
        priority: raises the study's priority to at least this.
        deadlines: time to a signed report from the study's completion, by final priority.
        weight: units of a reader's capacity.
        prefer: readers tried first, if they could be chosen at all.
        hold: why the case waits for a person to take it, instead of being assigned.
    """

    group: str
    line: int
    priority: Priority | None = None
    deadlines: Mapping[Priority, timedelta] = field(default_factory=dict)
    weight: int = 1
    prefer: tuple[str, ...] = ()
    hold: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its name, its condition, what follows."""

    name: str
    when: Condition
    then: Action
    line: int


@dataclass(frozen=True, slots=True)
class Rules:
    """A whole file.

    Args:
        rules: in order; the first that matches decides.
        default: what follows if none does.
        zone: in which hours and weekdays are meant.
        groups: readers by group, where the file declares them.
        file: its name, for explanations.
    """

    rules: tuple[Rule, ...]
    default: Action
    zone: tzinfo
    groups: Mapping[str, tuple[str, ...]]
    file: str
