"""A rule file, read: YAML to the typed tree, with every fault told, each with its line.

The whole file is read even when it is wrong, so that one check shows all there is to mend. A
fault makes the file unusable; a warning does not. LANGUAGE.md describes the language.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, timedelta, tzinfo
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

import yaml

from gateway.config import compose
from gateway.errors import ConfigError
from gateway.model import Priority
from hub.rules.conditions import ConditionReader
from hub.rules.nodes import Fault, Notes, duration, entries, line_of, scalar, strings
from hub.rules.tree import Action, All, Rule, Rules

T = TypeVar("T")

MAX_RULES = 1_000
MAX_WEIGHT = 1_000
NAME_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of reading a file: the rules, unless there is a fault; and all that was noticed."""

    rules: Rules | None
    notes: tuple[Fault, ...]

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What makes the file unusable."""
        return tuple(note for note in self.notes if not note.warning)


def read(text: bytes, *, file: Path) -> Reading:
    """Read a rule file; never raises for what is in it."""
    try:
        root = compose(text, file=file)
    except ConfigError as error:
        said = f"{error.key}: {error.message}" if error.key else error.message
        return Reading(None, (Fault(error.line or 1, said),))
    return _Reader(file).read(root)


class _Reader:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.notes = Notes()
        self.conditions = ConditionReader(self.notes)
        self.groups: dict[str, tuple[str, ...]] = {}

    def read(self, root: yaml.Node) -> Reading:
        parts = entries(root, self.notes, {"time_zone", "groups", "rules", "default"}, "a rule file")
        zone = self.zone(parts.get("time_zone"))
        if "groups" in parts:
            self.read_groups(parts["groups"])
        rules = self.rules(parts["rules"]) if "rules" in parts else []
        if "rules" not in parts:
            self.notes.fault(root, "rules is missing: a list of rules, which may be empty ([])")
        default = self.action(parts["default"], "default") if "default" in parts else None
        if "default" not in parts:
            self.notes.fault(root, "default is missing: what happens to a study that no rule matches")
        if "time_zone" not in parts and self.conditions.uses_time_from is not None:
            self.notes.warn_at(
                self.conditions.uses_time_from, "time or weekday without time_zone: UTC is meant"
            )
        told = self.notes.sorted()
        if default is None or any(not note.warning for note in told):
            return Reading(None, told)
        return Reading(Rules(tuple(rules), default, zone, self.groups, self.file.name), told)

    def zone(self, node: yaml.Node | None) -> tzinfo:
        name = scalar(node, self.notes, "time_zone") if node is not None else None
        if name is None or node is None or name == "UTC":
            return UTC
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):  # OSError: a name that is a folder
            self.notes.fault(node, f"time_zone {name!r} is not known; use a name such as Asia/Shanghai")
            return UTC

    def read_groups(self, node: yaml.Node) -> None:
        for name, child in entries(node, self.notes, None, "groups").items():
            readers = strings(child, self.notes, f"groups.{name}")
            self.groups[name] = readers
            if not readers:
                self.notes.warn(child, f"group {name} has no reader")

    def rules(self, node: yaml.Node) -> list[Rule]:
        if not isinstance(node, yaml.SequenceNode):
            self.notes.fault(node, "rules must be a list (lines that begin with '-')")
            return []
        if len(node.value) > MAX_RULES:
            self.notes.fault(node, f"there are more than {MAX_RULES} rules")
        read_ones: list[Rule] = []
        seen: dict[str, int] = {}
        for child in node.value[:MAX_RULES]:
            rule = self.rule(child, seen)
            if rule is not None:
                read_ones.append(rule)
        for place, rule in enumerate(read_ones[:-1]):
            if isinstance(rule.when, All) and not rule.when.parts:
                after = read_ones[place + 1]
                self.notes.warn_at(after.line, f"never reached: rule {rule.name} above matches every study")
                break
        return read_ones

    def rule(self, node: yaml.Node, seen: dict[str, int]) -> Rule | None:
        parts = entries(node, self.notes, {"name", "when", "then"}, "a rule")
        for missing in {"name", "when", "then"} - parts.keys():
            if isinstance(node, yaml.MappingNode):
                self.notes.fault(node, f"the rule has no {missing!r}")
        name = scalar(parts.get("name"), self.notes, "name") if "name" in parts else None
        if name is not None:
            self.check_name(parts["name"], name, seen)
        when = self.conditions.read(parts["when"]) if "when" in parts else None
        then = self.action(parts["then"], f"rule {name}") if "then" in parts else None
        if name is None or when is None or then is None:
            return None
        return Rule(name, when, then, line_of(node))

    def check_name(self, node: yaml.Node, name: str, seen: dict[str, int]) -> None:
        if not name.strip() or len(name) > NAME_LENGTH or name == "default":
            self.notes.fault(node, f"a rule's name is 1 to {NAME_LENGTH} characters and not 'default'")
        if name in seen:
            self.notes.fault(node, f"there is another rule {name!r} on line {seen[name]}")
        seen.setdefault(name, line_of(node))

    def action(self, node: yaml.Node, where: str) -> Action | None:
        known = {"group", "priority", "deadline", "weight", "prefer", "hold"}
        parts = entries(node, self.notes, known, where)
        group = scalar(parts["group"], self.notes, "group") if "group" in parts else None
        if "group" not in parts and isinstance(node, yaml.MappingNode):
            self.notes.fault(node, f"{where}: group is missing")
        elif group is not None:
            self.check_group(parts["group"], group)
        return Action(
            group=group or "",
            line=line_of(node),
            priority=self.optional(parts.get("priority"), self.priority),
            deadlines=self.optional(parts.get("deadline"), self.deadlines) or {},
            weight=self.optional(parts.get("weight"), self.weight) or 1,
            prefer=self.prefer(parts.get("prefer")),
            hold=scalar(parts.get("hold"), self.notes, "hold"),
        )

    @staticmethod
    def optional(node: yaml.Node | None, reading: Callable[[yaml.Node], T | None]) -> T | None:
        return None if node is None else reading(node)

    def check_group(self, node: yaml.Node, group: str) -> None:
        if not group.strip() or len(group) > NAME_LENGTH:
            self.notes.fault(node, f"a group's name is 1 to {NAME_LENGTH} characters")
        elif self.groups and group not in self.groups:
            self.notes.warn(node, f"group {group} is not among the groups declared above")

    def priority(self, node: yaml.Node) -> Priority | None:
        word = scalar(node, self.notes, "priority")
        if word is not None and word.upper() not in Priority.__members__:
            self.notes.fault(node, f"priority must be stat, urgent, routine or prior, not {word!r}")
            return None
        return Priority[word.upper()] if word is not None else None

    def deadlines(self, node: yaml.Node) -> dict[Priority, timedelta]:
        if isinstance(node, yaml.ScalarNode):
            same = duration(node, self.notes, "deadline")
            return dict.fromkeys(Priority, same) if same is not None else {}
        read_ones: dict[Priority, timedelta] = {}
        words = {priority.word for priority in Priority}
        for word, child in entries(node, self.notes, words, "deadline").items():
            time = duration(child, self.notes, f"deadline.{word}")
            if time is not None:
                read_ones[Priority[word.upper()]] = time
        return read_ones

    def weight(self, node: yaml.Node) -> int | None:
        text = scalar(node, self.notes, "weight")
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= MAX_WEIGHT):
            self.notes.fault(node, f"weight must be a whole number from 1 to {MAX_WEIGHT}, not {text!r}")
            return None
        return int(text)

    def prefer(self, node: yaml.Node | None) -> tuple[str, ...]:
        return strings(node, self.notes, "prefer") if node is not None else ()
