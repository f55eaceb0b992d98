"""Rules and facts in, a decision out, with the reasons. Pure.

Something that is not known fits no condition: with no birth date, ``age: "< 16y"`` does not hold,
and neither does ``age: ">= 16y"``. ``not`` turns that round like any other answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from gateway.model import Priority
from hub.rules.facts import StudyFacts
from hub.rules.tree import All, Any, Condition, Hours, How, Not, Range, Rule, Rules, Text, Unit, Weekdays

DAY_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DEFAULT_RULE = "default"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a condition holds, in words.

    Args:
        holds: the answer.
        says: the condition and the value found, as one clause of a sentence.
        line: where the condition stands.
        parts: the verdicts it was made of.
    """

    holds: bool
    says: str
    line: int
    parts: tuple[Verdict, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What the rules say of a study.

    Args:
        rule: name of the rule that decided, or ``default``.
        group: of readers.
        priority: final.
        deadline: time from the study's completion to a signed report; None: none.
        weight: units of capacity.
        prefer: readers tried first.
        hold: why it waits for a person, or None.
        why: sentences.
    """

    rule: str
    group: str
    priority: Priority
    deadline: timedelta | None
    weight: int
    prefer: tuple[str, ...]
    hold: str | None
    why: tuple[str, ...]


def decide(rules: Rules, facts: StudyFacts) -> Decision:
    """The first rule that matches decides; if none does, the default."""
    for rule in rules.rules:
        verdict = judge(rule.when, facts, rules)
        if verdict.holds:
            why = f"rule {rule.name} ({rules.file}:{rule.line}) matched: {reasons(verdict)}"
            return _decision(rule, why, facts)
    why = f"no rule matched; default ({rules.file}:{rules.default.line})"
    return _decision(Rule(DEFAULT_RULE, All((), 0), rules.default, rules.default.line), why, facts)


def reasons(verdict: Verdict) -> str:
    """The clauses that made it hold, without those that did not matter."""
    if not verdict.parts:
        return verdict.says
    return "; ".join(reasons(part) for part in verdict.parts if part.holds) or verdict.says


def _decision(rule: Rule, why: str, facts: StudyFacts) -> Decision:
    then = rule.then
    priority = min(facts.priority, then.priority) if then.priority is not None else facts.priority
    sentences = [why]
    if priority != facts.priority:
        sentences.append(f"priority raised from {facts.priority.word} to {priority.word} by rule {rule.name}")
    if then.hold:
        sentences.append(f"held for a person: {then.hold}")
    return Decision(
        rule=rule.name,
        group=then.group,
        priority=priority,
        deadline=then.deadlines.get(priority),
        weight=then.weight,
        prefer=then.prefer,
        hold=then.hold,
        why=tuple(sentences),
    )


def judge(condition: Condition, facts: StudyFacts, rules: Rules) -> Verdict:
    """Whether `condition` holds for `facts`, with every part judged, also those that no longer matter."""
    if isinstance(condition, All | Any):
        parts = tuple(judge(part, facts, rules) for part in condition.parts)
        every = isinstance(condition, All)
        holds = all(part.holds for part in parts) if every else any(part.holds for part in parts)
        return Verdict(holds, "all of" if every else "any of", condition.line, parts)
    if isinstance(condition, Not):
        inner = judge(condition.part, facts, rules)
        return Verdict(not inner.holds, f"not ({_flat(inner)})", condition.line)
    if isinstance(condition, Text):
        return _text(condition, facts)
    if isinstance(condition, Range):
        return _range(condition, facts)
    return (
        _hours(condition, facts, rules)
        if isinstance(condition, Hours)
        else _weekdays(condition, facts, rules)
    )


def _flat(verdict: Verdict) -> str:
    if not verdict.parts:
        return verdict.says
    return f"{verdict.says} {', '.join(_flat(part) for part in verdict.parts)}"


def _text(condition: Text, facts: StudyFacts) -> Verdict:
    found = facts.texts(condition.fact)
    fitting = [value for value in found if fits(condition, value)]
    shown = ", ".join(fitting or found) or "not known"
    wanted = " or ".join(condition.values)
    verb = {How.EQUALS: "is", How.CONTAINS: "contains", How.GLOB: "is like", How.REGEX: "matches"}[
        condition.how
    ]
    name = condition.fact.replace("_", " ")
    if fitting and condition.how is How.EQUALS:
        return Verdict(True, f"{name} is {shown}", condition.line)
    says = f"{name} {verb} {wanted} (it is {shown})"
    return Verdict(bool(fitting), says, condition.line)


def fits(condition: Text, value: str) -> bool:
    """Whether one value fits, without regard to case."""
    if condition.patterns:
        return any(pattern.matches(value) for pattern in condition.patterns)
    folded = value.casefold().strip()
    if condition.how is How.EQUALS:
        return any(folded == wanted.casefold().strip() for wanted in condition.values)
    return any(wanted.casefold() in folded for wanted in condition.values)


def _range(condition: Range, facts: StudyFacts) -> Verdict:
    found = facts.instances if condition.fact == "instances" else facts.age(condition.unit)
    holds = (
        found is not None
        and (condition.low is None or found >= condition.low)
        and (condition.high is None or found <= condition.high)
    )
    unit = condition.unit.value if condition.unit is not Unit.NONE else ""
    shown = "not known" if found is None else f"{found}{unit}"
    return Verdict(holds, f"{condition.fact} {condition.words} (it is {shown})", condition.line)


def _hours(condition: Hours, facts: StudyFacts, rules: Rules) -> Verdict:
    local = facts.at.astimezone(rules.zone)
    minute = local.hour * 60 + local.minute
    if condition.start <= condition.end:
        holds = condition.start <= minute < condition.end
    else:  # over midnight
        holds = minute >= condition.start or minute < condition.end
    return Verdict(holds, f"time {condition.words} (it is {local:%H:%M})", condition.line)


def _weekdays(condition: Weekdays, facts: StudyFacts, rules: Rules) -> Verdict:
    today = facts.at.astimezone(rules.zone).weekday()
    says = f"weekday {condition.words} (it is {DAY_NAMES[today]})"
    return Verdict(today in condition.days, says, condition.line)
