"""The part after ``when``: facts, comparisons, and ``all``, ``any``, ``not``."""

from __future__ import annotations

import re

import yaml

from gateway.model import Priority
from hub.rules.evaluate import DAY_NAMES
from hub.rules.nodes import Notes, entries, line_of, scalar, strings
from hub.rules.pattern import Pattern, PatternError, compile_glob, compile_pattern
from hub.rules.tree import All, Any, Condition, Hours, How, Not, Range, Text, Unit, Weekdays

WORDS = frozenset({"modality", "body_part", "site", "sex", "sending_ae"})
"""Facts that are codes: a plain value must be equal."""

PROSE = frozenset({"description", "series_description", "referring", "institution"})
"""Facts that people type: a plain value must occur."""

FACTS = WORDS | PROSE | {"priority", "age", "instances", "time", "weekday"}
COMBINATORS = frozenset({"all", "any", "not"})
MAX_DEPTH = 20

_COMPARISON = re.compile(r"(<=|>=|<|>|=)\s*(\d{1,9})\s*([a-z]?)")
_BETWEEN = re.compile(r"(\d{1,9})\s*([a-z]?)\s*\.\.\s*(\d{1,9})\s*([a-z]?)")
_HOURS = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)\s*-\s*([01]?\d|2[0-4]):([0-5]\d)")


class ConditionReader:
    """Reads conditions, noting faults."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self.uses_time_from: int | None = None
        """The first line that needs the time zone."""

    def read(self, node: yaml.Node, depth: int = 0) -> Condition | None:
        """A condition; None if there was a fault. Several entries of one mapping must all hold."""
        if depth > MAX_DEPTH:
            self._notes.fault(node, f"conditions are nested more than {MAX_DEPTH} deep")
            return None
        if isinstance(node, yaml.SequenceNode):
            self._notes.fault(node, "a list needs 'all:' or 'any:' before it")
            return None
        found = entries(node, self._notes, FACTS | COMBINATORS, "a condition")
        whole = isinstance(node, yaml.MappingNode) and len(found) == len(node.value)
        parts = [self._entry(name, child, depth) for name, child in found.items()]
        kept = tuple(part for part in parts if part is not None)
        if not whole or len(kept) != len(parts):
            return None
        return kept[0] if len(kept) == 1 else All(kept, line_of(node))

    def _entry(self, name: str, node: yaml.Node, depth: int) -> Condition | None:
        if name == "all" or name == "any":  # noqa: PLR1714  # reads like the language
            return self._list(name, node, depth)
        if name == "not":
            inner = self.read(node, depth + 1)
            return Not(inner, line_of(node)) if inner is not None else None
        if name in ("age", "instances"):
            return self._range(name, node)
        if name == "time":
            return self._hours(node)
        if name == "weekday":
            return self._weekdays(node)
        return self._text(name, node)

    def _list(self, name: str, node: yaml.Node, depth: int) -> Condition | None:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self._notes.fault(node, f"{name} needs a list of conditions (lines that begin with '-')")
            return None
        parts = [self.read(child, depth + 1) for child in node.value]
        kept = tuple(part for part in parts if part is not None)
        if len(kept) != len(parts):
            return None
        return All(kept, line_of(node)) if name == "all" else Any(kept, line_of(node))

    def _text(self, fact: str, node: yaml.Node) -> Condition | None:
        if not isinstance(node, yaml.MappingNode):
            how = How.CONTAINS if fact in PROSE else How.EQUALS
            return self._comparison(fact, how, node)
        known = {how.value for how in How}
        found = entries(node, self._notes, known, fact)
        if len(found) != len(node.value):
            return None
        if len(found) != 1:
            self._notes.fault(node, f"{fact}: say one of equals, contains, glob, regex")
            return None
        word, child = next(iter(found.items()))
        return self._comparison(fact, How(word), child)

    def _comparison(self, fact: str, how: How, node: yaml.Node) -> Condition | None:
        values = strings(node, self._notes, fact)
        if not values:
            if isinstance(node, yaml.SequenceNode) and not node.value:
                self._notes.fault(node, f"{fact}: the list is empty")
            return None
        if fact == "priority" and not self._priorities(node, how, values):
            return None
        patterns = tuple(self._pattern(fact, how, value, node) for value in values)
        good = tuple(pattern for pattern in patterns if pattern is not None)
        if how in (How.GLOB, How.REGEX) and len(good) != len(values):
            return None
        return Text(fact, how, values, line_of(node), good)

    def _priorities(self, node: yaml.Node, how: How, values: tuple[str, ...]) -> bool:
        wrong = [value for value in values if value.upper() not in Priority.__members__]
        if wrong or how is not How.EQUALS:
            self._notes.fault(node, "priority is compared with stat, urgent, routine or prior")
            return False
        return True

    def _pattern(self, fact: str, how: How, value: str, node: yaml.Node) -> Pattern | None:
        try:
            if how is How.REGEX:
                return compile_pattern(value)
            return compile_glob(value) if how is How.GLOB else None
        except PatternError as error:
            self._notes.fault(node, f"{fact}: the pattern {value!r} {error}")
            return None

    def _range(self, fact: str, node: yaml.Node) -> Condition | None:
        text = scalar(node, self._notes, fact)
        if text is None:
            return None
        low: int | None
        high: int | None
        between, single = _BETWEEN.fullmatch(text.strip()), _COMPARISON.fullmatch(text.strip())
        if between:
            low, high, letters = int(between[1]), int(between[3]), {between[2] or between[4], between[4]}
        elif single:
            (low, high), letters = _bounds(single[1], int(single[2])), {single[3]}
        else:
            return self._no_range(fact, node, text)
        letter = letters.pop()
        allowed = {""} if fact == "instances" else {"d", "w", "m", "y"}
        if letters or letter not in allowed or (low is not None and high is not None and low > high):
            return self._no_range(fact, node, text)
        return Range(fact, low, high, Unit(letter), line_of(node), text.strip())

    def _no_range(self, fact: str, node: yaml.Node, text: str) -> Condition | None:
        examples = '"< 16y", ">= 65y" or "3m..24m"' if fact == "age" else '"> 500" or "1..5"'
        self._notes.fault(node, f"{fact} must be a comparison such as {examples}, not {text!r}")
        return None

    def _hours(self, node: yaml.Node) -> Condition | None:
        text = scalar(node, self._notes, "time")
        if text is None:
            return None
        match = _HOURS.fullmatch(text.strip())
        start, end = (
            (int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])) if match else (0, 0)
        )
        if start == end or max(start, end) > 24 * 60:
            self._notes.fault(node, f'time must be a span such as "18:00-07:00", not {text!r}')
            return None
        self._needs_zone(node)
        return Hours(start, end, line_of(node), text.strip())

    def _weekdays(self, node: yaml.Node) -> Condition | None:
        texts = strings(node, self._notes, "weekday")
        days: set[int] = set()
        for text in texts:
            first, _, last = text.strip().lower().partition("-")
            if first not in DAY_NAMES or (last or first) not in DAY_NAMES:
                self._notes.fault(node, f"weekday must be of {', '.join(DAY_NAMES)} or mon-fri, not {text!r}")
                return None
            start, end = DAY_NAMES.index(first), DAY_NAMES.index(last or first)
            days |= {day % 7 for day in range(start, (end if end >= start else end + 7) + 1)}
        if not days:
            return None
        self._needs_zone(node)
        return Weekdays(frozenset(days), line_of(node), ", ".join(texts))

    def _needs_zone(self, node: yaml.Node) -> None:
        if self.uses_time_from is None:
            self.uses_time_from = line_of(node)


def _bounds(sign: str, amount: int) -> tuple[int | None, int | None]:
    return {
        "<": (None, amount - 1),
        "<=": (None, amount),
        ">": (amount + 1, None),
        ">=": (amount, None),
        "=": (amount, amount),
    }[sign]
