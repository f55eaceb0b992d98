"""Reading YAML nodes one by one, noting what is wrong instead of stopping at it."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches

import yaml

_DURATION = re.compile(r"(\d{1,6})\s*(m|h|d)")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong in a rule file.

    Args:
        line: 1-based.
        message: what, and what to write instead.
        warning: the file can be used all the same.
    """

    line: int
    message: str
    warning: bool = False


class Notes:
    """What was noticed so far."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def fault(self, node: yaml.Node, message: str) -> None:
        """Something that makes the file unusable."""
        self._faults.append(Fault(line_of(node), message))

    def warn(self, node: yaml.Node, message: str) -> None:
        """Something that is probably not meant."""
        self.warn_at(line_of(node), message)

    def warn_at(self, line: int, message: str) -> None:
        """As `warn`, for a line."""
        self._faults.append(Fault(line, message, warning=True))

    def sorted(self) -> tuple[Fault, ...]:
        """All of them, by line."""
        return tuple(sorted(self._faults, key=lambda fault: fault.line))


def line_of(node: yaml.Node) -> int:
    """The 1-based line a node begins on."""
    return int(node.start_mark.line) + 1


def entries(
    node: yaml.Node, notes: Notes, known: AbstractSet[str] | None, where: str
) -> dict[str, yaml.Node]:
    """The entries of a mapping whose keys are `known` (None: any); others are noted."""
    if not isinstance(node, yaml.MappingNode):
        notes.fault(node, f"{where} must be a mapping (key: value)")
        return {}
    found: dict[str, yaml.Node] = {}
    for key, child in node.value:
        if known is not None and key.value not in known:
            notes.fault(key, f"{key.value!r} is not known in {where}; {_hint(key.value, known)}")
        else:
            found[key.value] = child
    return found


def _hint(word: str, known: AbstractSet[str]) -> str:
    close = get_close_matches(word, sorted(known), n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(sorted(known))}"


def scalar(node: yaml.Node | None, notes: Notes, where: str) -> str | None:
    """The text of a single value; None if there is none or it is something else."""
    if node is None:
        return None
    if not isinstance(node, yaml.ScalarNode) or (node.style is None and node.value in ("", "~", "null")):
        notes.fault(node, f"{where} must be a single value")
        return None
    return str(node.value)


def strings(node: yaml.Node, notes: Notes, where: str) -> tuple[str, ...]:
    """One value or a list of values."""
    if isinstance(node, yaml.SequenceNode):
        values = (scalar(child, notes, where) for child in node.value)
    else:
        values = (value for value in (scalar(node, notes, where),))
    return tuple(value for value in values if value is not None)


def duration(node: yaml.Node, notes: Notes, where: str) -> timedelta | None:
    """A time span: ``30m``, ``6h``, ``2d``."""
    text = scalar(node, notes, where)
    if text is None:
        return None
    match = _DURATION.fullmatch(text)
    if match is None or not int(match[1]):
        notes.fault(node, f"{where} must be a time span such as 30m, 6h or 2d, not {text!r}")
        return None
    return int(match[1]) * _UNITS[match[2]]
