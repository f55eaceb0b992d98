r"""A regular expression that cannot run away: parsed here, run as a set of states, never backtracking.

Time is bounded by (states × characters) whatever the pattern and the text, so a rule file can hang
no hub. The language is the plain part of everybody's: ``.``, classes ``[a-z]`` ``[^x]`` ``\d \w \s``
and ``\D \W \S``, ``( )``, ``|``, ``* + ? {2} {2,} {2,5}``, anchors ``^ $``, ``\`` before a sign that
should mean itself. No back-reference, no look-around, no flags: matching never regards case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

MAX_PATTERN = 200
"""Characters of a pattern."""

MAX_STATES = 2_000
"""States it may need; ``((a{50}){50}){50}`` does not fit."""

MAX_TEXT = 1_024
"""Characters of a text that are looked at."""

Test = Callable[[str], bool]


class PatternError(ValueError):
    """The pattern is not one of ours."""


@dataclass(frozen=True, slots=True)
class _Step:
    """A state: consume a sign that passes `test`, or stand at an anchor; then go on to `after`."""

    test: Test | None
    anchor: str
    after: tuple[int, ...]


_ACCEPT = -1


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern; `matches` finds it anywhere in a text."""

    source: str
    steps: tuple[_Step, ...]
    start: int

    def matches(self, text: str) -> bool:
        """Whether it occurs in `text`."""
        shown = text[:MAX_TEXT].lower()
        current = self._closure((self.start,), at=0, end=len(shown))
        for at, sign in enumerate(shown):
            if _ACCEPT in current:
                return True
            moved: list[int] = [self.start]  # it may begin at any place
            for number in current:
                step = self.steps[number]
                if step.test is not None and step.test(sign):
                    moved.extend(step.after)
            current = self._closure(moved, at=at + 1, end=len(shown))
        return _ACCEPT in current

    def _closure(self, numbers: Iterable[int], *, at: int, end: int) -> set[int]:
        reached: set[int] = set()
        waiting = list(numbers)
        while waiting:
            number = waiting.pop()
            if number in reached:
                continue
            if number == _ACCEPT:
                return {_ACCEPT}
            step = self.steps[number]
            if step.test is not None:
                reached.add(number)
            elif (step.anchor != "^" or at == 0) and (step.anchor != "$" or at == end):
                reached.add(number)
                waiting.extend(step.after)
        return {n for n in reached if self.steps[n].test is not None}


def compile_pattern(source: str) -> Pattern:
    """Compile `source`. Raises PatternError, in plain words."""
    if len(source) > MAX_PATTERN:
        raise PatternError(f"is longer than {MAX_PATTERN} characters")
    return _Builder().build(_Parser(source.lower(), source).whole(), source)


def compile_glob(source: str) -> Pattern:
    """A pattern that fits the whole text, where ``*`` is anything and ``?`` is one sign."""
    if len(source) > MAX_PATTERN:
        raise PatternError(f"is longer than {MAX_PATTERN} characters")
    parts: list[_Node] = [_Anchor("^")]
    for sign in source.lower():
        if sign == "*":
            parts.append(_Repeat(_Sign(_any_sign), 0, None))
        else:
            parts.append(_Sign(_any_sign if sign == "?" else _same(sign)))
    return _Builder().build(_Sequence((*parts, _Anchor("$"))), source)


@dataclass(frozen=True, slots=True)
class _Sign:
    test: Test


@dataclass(frozen=True, slots=True)
class _Anchor:
    which: str


@dataclass(frozen=True, slots=True)
class _Sequence:
    parts: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    parts: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class _Repeat:
    part: _Node
    least: int
    most: int | None


_Node = _Sign | _Anchor | _Sequence | _Choice | _Repeat


class _Parser:
    """Recursive descent; depth is bounded by the length of a pattern."""

    def __init__(self, text: str, source: str) -> None:
        self.text, self.source, self.place = text, source, 0

    def whole(self) -> _Node:
        node = self.choice()
        if self.place < len(self.text):
            raise PatternError(f"has a ')' too many at {self.place + 1}")
        return node

    def choice(self) -> _Node:
        parts = [self.sequence()]
        while self.take("|"):
            parts.append(self.sequence())
        return parts[0] if len(parts) == 1 else _Choice(tuple(parts))

    def sequence(self) -> _Node:
        parts: list[_Node] = []
        while self.place < len(self.text) and self.peek() not in "|)":
            parts.append(self.repeated())
        return _Sequence(tuple(parts))

    def repeated(self) -> _Node:
        node = self.atom()
        while self.place < len(self.text) and self.peek() in "*+?{":
            if isinstance(node, _Anchor | _Repeat):
                raise PatternError(f"repeats what cannot be repeated at {self.place + 1}")
            least, most = self.times()
            node = _Repeat(node, least, most)
        return node

    def times(self) -> tuple[int, int | None]:
        sign = self.next()
        if sign != "{":
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        inside, closed, _ = self.text[self.place :].partition("}")
        least, comma, most = inside.partition(",")
        if not closed or not _number(least) or not (most == "" or _number(most)):
            raise PatternError(f"has a '{{' without a count such as {{2}}, {{2,}} or {{2,5}} at {self.place}")
        self.place += len(inside) + 1
        upper = (int(most) if most else None) if comma else int(least)
        if upper is not None and upper < int(least):
            raise PatternError(f"has a count that ends before it begins: {{{inside}}}")
        return int(least), upper

    def atom(self) -> _Node:
        sign = self.next()
        if sign == "(":
            return self.group()
        if sign == "[":
            return _Sign(self.sign_class())
        if sign == "\\":
            return _Sign(self.escape())
        if sign in "^$":
            return _Anchor(sign)
        if sign in "*+?{":
            raise PatternError(f"repeats nothing at {self.place}")
        return _Sign(_any_sign if sign == "." else _same(sign))

    def group(self) -> _Node:
        if self.take("?") and not self.take(":"):
            raise PatternError(f"uses (?…) at {self.place}; there is no look-around and no flag here")
        node = self.choice()
        if not self.take(")"):
            raise PatternError("has a '(' that is never closed")
        return _Sequence((node,))

    def sign_class(self) -> Test:
        refuse = self.take("^")
        tests: list[Test] = []
        while not self.take("]"):
            tests.append(self.class_part())
        if not tests:
            raise PatternError("has an empty class []")
        return (lambda s: not any(t(s) for t in tests)) if refuse else (lambda s: any(t(s) for t in tests))

    def class_part(self) -> Test:
        first = self.next()
        if first == "\\":
            return self.escape()
        if (
            self.text[self.place : self.place + 1] == "-"
            and self.text[self.place + 1 : self.place + 2] != "]"
        ):
            self.place += 1
            last = self.next()
            if last == "\\" or last < first:
                raise PatternError(f"has a class range that ends before it begins: {first}-{last}")
            return lambda sign: first <= sign <= last
        return _same(first)

    def escape(self) -> Test:
        self.next()
        letter = self.source[self.place - 1] if len(self.source) == len(self.text) else ""
        if letter in _CLASSES and letter:
            return _CLASSES[letter]
        if letter.isalnum() or not letter:
            raise PatternError(f"uses \\{letter or self.text[self.place - 1]}, which is not known here")
        return _same(letter.lower())

    def peek(self) -> str:
        return self.text[self.place]

    def next(self) -> str:
        if self.place >= len(self.text):
            raise PatternError("ends too soon")
        self.place += 1
        return self.text[self.place - 1]

    def take(self, sign: str) -> bool:
        if self.text.startswith(sign, self.place):
            self.place += 1
            return True
        return False


class _Builder:
    """Nodes to states, from the end backwards (Thompson's construction)."""

    def __init__(self) -> None:
        self.steps: list[_Step] = []

    def build(self, node: _Node, source: str) -> Pattern:
        start = self.add(node, _ACCEPT)
        if start == _ACCEPT:
            start = self.state(_Step(None, "", (_ACCEPT,)))
        return Pattern(source, tuple(self.steps), start)

    def state(self, step: _Step) -> int:
        if len(self.steps) >= MAX_STATES:
            raise PatternError("repeats too much")
        self.steps.append(step)
        return len(self.steps) - 1

    def add(self, node: _Node, after: int) -> int:
        if isinstance(node, _Sign):
            return self.state(_Step(node.test, "", (after,)))
        if isinstance(node, _Anchor):
            return self.state(_Step(None, node.which, (after,)))
        if isinstance(node, _Choice):
            return self.state(_Step(None, "", tuple(self.add(part, after) for part in node.parts)))
        if isinstance(node, _Repeat):
            return self.repeat(node, after)
        for part in reversed(node.parts):
            after = self.add(part, after)
        return after

    def repeat(self, node: _Repeat, after: int) -> int:
        if node.most is None:
            loop = self.state(_Step(None, "", ()))
            self.steps[loop] = _Step(None, "", (self.add(node.part, loop), after))
            first = loop
        else:
            first = after
            for _ in range(node.most - node.least):
                first = self.state(_Step(None, "", (self.add(node.part, first), after)))
        for _ in range(node.least):
            first = self.add(node.part, first)
        return first


def _same(sign: str) -> Test:
    return lambda other: other == sign


def _any_sign(_: str) -> bool:
    return True


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 4


def _word(sign: str) -> bool:
    return sign.isalnum() or sign == "_"


_CLASSES: dict[str, Test] = {
    "d": str.isdigit,
    "D": lambda sign: not sign.isdigit(),
    "w": _word,
    "W": lambda sign: not _word(sign),
    "s": str.isspace,
    "S": lambda sign: not sign.isspace(),
}
