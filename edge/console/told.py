"""What stations tell in plain English, in Chinese for the page. Pure.

Errors are written once, in English, where they happen; here each sentence that can reach the page has its
translation, and what stands in its places (an address, a file, the words of another program) is looked up
in turn or stays as it is. `tests/unit/edge/console/test_told.py` holds that no sentence is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_TABLE = Path(__file__).with_name("told.zh.txt").read_text("utf-8")
"""``English | Chinese``, a line each; ``{word}`` stands for one without spaces, ``{tag}`` for a DICOM tag,
``{more}`` may be empty."""

_PLACE = re.compile(r"\{(\w+)\}")
_PLACES = {"more": ".*", "word": r"\S+", "tag": r"\([0-9A-F]{4},[0-9A-F]{4}\)"}
_LONGEST = 500
"""Characters beyond which nothing is looked up: the time that takes grows faster than they do."""


@cache
def _rules() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Patterns and their translations, those with the most fixed letters first."""
    rows = [tuple(part.strip("\n") for part in line.split(" | ")) for line in _TABLE.strip("\n").splitlines()]
    rows.sort(key=lambda row: -len(_PLACE.sub("", row[0])))
    return tuple((re.compile(_pattern(english), re.DOTALL), chinese) for english, chinese in rows)


def _pattern(english: str) -> str:
    """The regular expression of a sentence."""
    parts = _PLACE.split(english)
    found = re.escape(parts[0])
    for name, after in zip(parts[1::2], parts[2::2], strict=True):
        found += f"(?P<{name}>{_PLACES.get(name, '.+?')}){re.escape(after)}"
    return found


def told(text: str, language: str) -> str:
    """The text in a language: English as it is, Chinese as far as there is a translation.

    Args:
        text: of an error or a remark; several are parted by ``; ``.
        language: ``en`` or ``zh``.
    """
    if language != "zh" or not text or len(text) > _LONGEST:
        return text
    return "".join(_parts(text))


def _parts(text: str) -> Iterator[str]:
    whole = _translated(text)
    if whole is not None:
        yield whole
        return
    for separator, joined in (("; ", "；"), (": ", "：")):
        first, found, rest = text.partition(separator)
        if found:
            yield from (told(first, "zh"), joined, told(rest, "zh"))
            return
    yield text


def _translated(text: str) -> str | None:
    for pattern, chinese in _rules():
        if (found := pattern.fullmatch(text)) is not None:
            return chinese.format(**{name: told(value, "zh") for name, value in found.groupdict().items()})
    return None
