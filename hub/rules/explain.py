"""Why a study went where it went: every rule up to the one that matched, clause by clause. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hub.rules.evaluate import Decision, Verdict, decide, judge
from hub.rules.facts import StudyFacts
from hub.rules.tree import Rules

MARKS = {True: "✓", False: "✗"}


@dataclass(frozen=True, slots=True)
class Asked:
    """One rule that was asked, and what it answered."""

    name: str
    line: int
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Explanation:
    """Every rule that was asked, in order, and the decision."""

    file: str
    asked: tuple[Asked, ...]
    decision: Decision
    not_asked: int

    def text(self) -> str:
        """For people."""
        lines: list[str] = []
        for asked in self.asked:
            word = "matches" if asked.verdict.holds else "does not match"
            lines.append(f"{MARKS[asked.verdict.holds]} rule {asked.name} ({self.file}:{asked.line}) {word}")
            lines.extend(_lines(asked.verdict, "    "))
        if self.not_asked:
            lines.append(f"  ({self.not_asked} further rules were not asked: the first match decides)")
        found = self.decision
        told = [f"group {found.group}", f"priority {found.priority.word}", f"weight {found.weight}"]
        if found.deadline is not None:
            told.append(f"deadline {found.deadline} after completion")
        if found.prefer:
            told.append(f"prefer {', '.join(found.prefer)}")
        return "\n".join([*lines, f"→ {found.rule}: {', '.join(told)}", *(f"  {why}" for why in found.why)])

    def document(self) -> dict[str, Any]:
        """For programs."""
        found = self.decision
        return {
            "file": self.file,
            "rules": [
                {"name": asked.name, "line": asked.line, **_document(asked.verdict)} for asked in self.asked
            ],
            "not_asked": self.not_asked,
            "decision": {
                "rule": found.rule,
                "group": found.group,
                "priority": found.priority.word,
                "deadline_seconds": found.deadline.total_seconds() if found.deadline is not None else None,
                "weight": found.weight,
                "prefer": list(found.prefer),
                "hold": found.hold,
                "why": list(found.why),
            },
        }


def explain(rules: Rules, facts: StudyFacts) -> Explanation:
    """Ask the rules as `decide` does, keeping every answer."""
    asked: list[Asked] = []
    for rule in rules.rules:
        asked.append(Asked(rule.name, rule.line, judge(rule.when, facts, rules)))
        if asked[-1].verdict.holds:
            break
    return Explanation(rules.file, tuple(asked), decide(rules, facts), len(rules.rules) - len(asked))


def _lines(verdict: Verdict, indent: str) -> list[str]:
    own = f"{indent}{MARKS[verdict.holds]} {verdict.says}"
    return [own, *(line for part in verdict.parts for line in _lines(part, indent + "    "))]


def _document(verdict: Verdict) -> dict[str, Any]:
    document: dict[str, Any] = {"holds": verdict.holds, "clause": verdict.says, "line": verdict.line}
    if verdict.parts:
        document["parts"] = [_document(part) for part in verdict.parts]
    return document
