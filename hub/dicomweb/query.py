"""A QIDO-RS query string, read (PS3.18 §8.3.4 and §10.6.1). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from pydicom.datadict import tag_for_keyword

from gateway.errors import Malformed
from hub.archive.matching import BY_NAME, LIMIT, Attribute, Match, Search, match_of

MAX_PARAMETERS = 200
MAX_VALUE = 64 * 1024
"""Characters of one value: a list of a thousand UIDs fits."""

MAX_LIMIT = 5000

_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_NAME = re.compile(r"[A-Za-z0-9]{1,64}(\.[A-Za-z0-9]{1,64})*")
_OTHER = frozenset({"accept", "charset", "site", "emptyvaluematching", "multiplevaluematching"})

NOT_FUZZY = "The fuzzymatching parameter is not supported. Only literal matching has been performed."
"""PS3.18 §8.3.4.2 words it so."""


@dataclass(frozen=True, slots=True)
class Query:
    """What was asked.

    Args:
        search: matches, limit and offset.
        fields: tags asked for beyond what is always given.
        every_field: ``includefield=all``.
        warnings: what is not done as asked, for the Warning header.
    """

    search: Search
    fields: frozenset[str] = frozenset()
    every_field: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class _Reading:
    matches: dict[Attribute, Match] = field(default_factory=dict)
    fields: set[str] = field(default_factory=set)
    every_field: bool = False
    limit: int = LIMIT
    offset: int = 0
    warnings: list[str] = field(default_factory=list)


def parse(parameters: Iterable[tuple[str, str]]) -> Query:
    """Read decoded key and value pairs, in their order.

    Raises:
        Malformed: a value cannot be what its attribute needs, or a name is none.
    """
    reading = _Reading()
    for number, (name, value) in enumerate(parameters):
        if number >= MAX_PARAMETERS or len(value) > MAX_VALUE:
            raise Malformed("the query is too long")
        _take(reading, name, value)
    search = Search(reading.matches, min(reading.limit, MAX_LIMIT), reading.offset)
    return Query(search, frozenset(reading.fields), reading.every_field, tuple(reading.warnings))


def _take(reading: _Reading, name: str, value: str) -> None:
    if name == "limit":
        reading.limit = _count(name, value)
    elif name == "offset":
        reading.offset = _count(name, value)
    elif name == "fuzzymatching":
        if value.strip().lower() == "true":
            reading.warnings.append(NOT_FUZZY)
    elif name == "includefield":
        _include(reading, value)
    elif name not in _OTHER:
        _match(reading, name, value)


def _include(reading: _Reading, value: str) -> None:
    for name in filter(None, (part.strip() for part in value.split(","))):
        if name == "all":
            reading.every_field = True
        elif (tag := tag_of(name)) is not None:
            reading.fields.add(tag)
        else:
            raise Malformed(f"includefield: {name[:80]!r} is no attribute")


def _match(reading: _Reading, name: str, value: str) -> None:
    attribute = BY_NAME.get(name.upper() if _TAG.fullmatch(name) else name)
    if attribute is None:
        if tag_of(name) is None:
            raise Malformed(f"{name[:80]!r} is no attribute")
        reading.warnings.append(f"{name} is not searched by; results are not limited by it.")
        return
    match = match_of(attribute, value)
    if match is not None:
        reading.matches[attribute] = match


def tag_of(name: str) -> str | None:
    """Eight hexadecimal digits for a tag or keyword; for a path through sequences, its first; else None."""
    if not _NAME.fullmatch(name):
        return None
    first = name.partition(".")[0]
    if _TAG.fullmatch(first):
        return first.upper()
    tag = tag_for_keyword(first)
    return None if tag is None else f"{int(tag):08X}"


def _count(name: str, value: str) -> int:
    text = value.strip()
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise Malformed(f"{name}: {value[:40]!r} is no whole number")
    return int(text)
