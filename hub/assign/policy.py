"""Who of the group gets the case? Pure: candidates in, a choice and its reasons out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Licence:
    """What a reader may do at the case's site.

    Args:
        every_site: the reader is bound to no site.
        here: there is a licence for this site.
        until: its last day, as ISO date; None: no end.
    """

    every_site: bool = True
    here: bool = False
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A member of the group.

    Args:
        name: login.
        display_name: for the reasons.
        available: takes cases now.
        capacity: weighted units that may be open at once.
        load: weighted units that are.
        licence: for the case's site.
        waited_since: when the last case was given, RFC 3339; empty: never. Breaks ties.
    """

    name: str
    display_name: str
    available: bool = True
    capacity: int = 50
    load: int = 0
    licence: Licence = Licence()
    waited_since: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """Whom, if anybody, and why: one sentence for each candidate passed over and one for the result."""

    reader: Candidate | None
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Need:
    """The case, as far as the choice goes.

    Args:
        group: of readers.
        site: whose study it is.
        weight: units of capacity it takes.
        today: ISO date.
        prefer: tried first.
        without: not to be chosen (whom it was just taken from).
    """

    group: str
    site: str
    weight: int
    today: str
    prefer: Sequence[str] = ()
    without: Collection[str] = ()


def choose(need: Need, candidates: Sequence[Candidate]) -> Choice:
    """The preferred, else the least loaded of those who can; among equals who has waited longest."""
    skipped: list[str] = []
    fit: list[Candidate] = []
    for one in sorted(candidates, key=lambda candidate: candidate.name):
        reason = obstacle(need, one)
        if reason is None:
            fit.append(one)
        else:
            skipped.append(f"{one.display_name} skipped: {reason}")
    if not fit:
        told = f"no reader of group {need.group} can be given this case now"
        empty = f"group {need.group} has no reader"
        return Choice(None, (*skipped, told if candidates else empty))
    preferred = [one for name in need.prefer for one in fit if one.name == name]
    if preferred:
        return Choice(preferred[0], (*skipped, f"{preferred[0].display_name} chosen: preferred by the rule"))
    best = min(fit, key=lambda one: (one.load, one.waited_since, one.name))
    return Choice(best, (*skipped, f"{best.display_name} chosen: {_comparison(best, fit)}"))


def obstacle(need: Need, one: Candidate) -> str | None:
    """Why this reader cannot be given the case; None if they can."""
    if one.name in need.without:
        return "it was just taken from them"
    if not one.available:
        return "away"
    licence = one.licence
    if not licence.every_site and not licence.here:
        return f"no licence for {need.site}"
    if not licence.every_site and licence.until is not None and licence.until < need.today:
        return f"licence for {need.site} ended {licence.until}"
    if one.load + need.weight > one.capacity:
        return f"at capacity: load {one.load} of {one.capacity}, the case weighs {need.weight}"
    return None


def _comparison(best: Candidate, fit: Sequence[Candidate]) -> str:
    if len(fit) == 1:
        return f"the only one who can, load {best.load}"
    loads = ", ".join(str(load) for load in sorted(one.load for one in fit))
    same = sum(one.load == best.load for one in fit)
    tail = "" if same == 1 else "; among equals the longest without a new case"
    return f"load {best.load} is the least of {loads}{tail}"
