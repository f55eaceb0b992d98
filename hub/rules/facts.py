"""What a study is asked: the facts rules speak of, and nothing else. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from gateway.errors import UsageError
from gateway.model import Priority
from hub.rules.tree import Unit


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """One study as the rules see it. Texts are as indexed; empty means not known.

    Args:
        site: by the edge's certificate.
        priority: as it travelled.
        modality: every modality in the study, (0008,0060).
        body_part: every body part, (0018,0015).
        description: (0008,1030).
        series_description: of every series, (0008,103E).
        sex: (0010,0040).
        birth: from (0010,0030), if it can be read.
        on: the day for the age: the study's date, or the day it became complete.
        instances: how many.
        referring: (0008,0090).
        institution: (0008,0080), else what the edge's settings say of the sender.
        sending_ae: AE titles it was sent from.
        at: when it became complete, aware.
    """

    site: str = ""
    priority: Priority = Priority.ROUTINE
    modality: tuple[str, ...] = ()
    body_part: tuple[str, ...] = ()
    description: str = ""
    series_description: tuple[str, ...] = ()
    sex: str = ""
    birth: date | None = None
    on: date = date(1970, 1, 1)
    instances: int = 0
    referring: str = ""
    institution: str = ""
    sending_ae: tuple[str, ...] = ()
    at: datetime = field(default=datetime(1970, 1, 1, tzinfo=UTC))

    def texts(self, fact: str) -> tuple[str, ...]:
        """The values of a text fact; empty if nothing is known."""
        if fact == "priority":
            return (self.priority.word,)
        value: str | tuple[str, ...] = getattr(self, fact)
        values = value if isinstance(value, tuple) else (value,)
        return tuple(one for one in values if one)

    def age(self, unit: Unit) -> int | None:
        """Completed units of life; None if the birth date is not known or lies after the study."""
        if self.birth is None or self.birth > self.on:
            return None
        days = (self.on - self.birth).days
        months = (self.on.year - self.birth.year) * 12 + self.on.month - self.birth.month
        months -= self.on.day < self.birth.day
        return {Unit.WEEKS: days // 7, Unit.MONTHS: months, Unit.YEARS: months // 12}.get(unit, days)


LISTS = frozenset({"modality", "body_part", "series_description", "sending_ae"})
SINGLES = frozenset({"site", "description", "sex", "referring", "institution"})
NAMES = sorted(LISTS | SINGLES | {"priority", "age", "instances", "at"})
"""What ``--fact`` and rules may name."""


def read_facts(given: Mapping[str, str], now: datetime) -> StudyFacts:
    """Facts from ``name=value`` words of a command line; lists are separated by commas.

    Args:
        given: such as ``{"modality": "CT,SR", "age": "45y"}``.
        now: when the study is taken to have become complete, unless ``at`` says otherwise.

    Raises:
        UsageError: an unknown name or a value that does not fit.
    """
    values: dict[str, object] = {"on": now.date(), "at": now}
    for name, text in given.items():
        if name in LISTS:
            values[name] = tuple(part.strip() for part in text.split(",") if part.strip())
        elif name in SINGLES:
            values[name] = text
        elif name == "priority":
            if text.upper() not in Priority.__members__:
                raise UsageError(f"priority={text}: use stat, urgent, routine or prior")
            values[name] = Priority[text.upper()]
        elif name == "instances":
            values[name] = _whole(name, text)
        elif name == "age":
            values["birth"] = born(text, now.date())
        elif name == "at":
            values["at"] = _moment(text)
        else:
            raise UsageError(f"unknown fact {name!r}; known are: {', '.join(NAMES)}")
    return StudyFacts(**values)  # type: ignore[arg-type]  # each was read as its own type above


def born(age: str, on: date) -> date:
    """The latest birthday somebody of `age` (``45y``, ``3m``, ``10d``) can have. Raises UsageError."""
    amount, unit = _whole("age", age[:-1]), age[-1:]
    if unit in ("d", "w"):
        return on - timedelta(days=amount * (7 if unit == "w" else 1))
    if unit not in ("m", "y"):
        raise UsageError(f"age={age}: use a number and d, w, m or y, such as 45y")
    months = on.year * 12 + on.month - 1 - amount * (12 if unit == "y" else 1)
    if months < 12:
        raise UsageError(f"age={age}: nobody is that old")
    return date(months // 12, months % 12 + 1, min(on.day, 28))


def dicom_date(text: str) -> date | None:
    """A DA value (PS3.5 §6.2) as a date; None if it is none. The ACR-NEMA form with dots is read too."""
    digits = text.strip().replace(".", "")
    if len(digits) != 8 or not (digits.isascii() and digits.isdigit()):
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UsageError(f"{name}={text}: not a whole number")
    return int(text)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"at={text}: use a time such as 2026-11-22T18:30+08:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
