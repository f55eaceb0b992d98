"""Sentences that are written once, in English, where they happen, in Chinese by a table. Pure.

A table has a line for each, ``English | Chinese``; ``{word}`` stands for one without spaces, ``{tag}`` for a
DICOM tag, ``{more}`` may be empty, and any other name in braces for some text. What stands in such a place
(an address, a file, the words of another program) is looked up in turn or stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property

_PLACE = re.compile(r"\{(\w+)\}")
_PLACES = {"more": ".*", "word": r"\S+", "tag": r"\([0-9A-F]{4},[0-9A-F]{4}\)"}
_LONGEST = 500
"""Characters beyond which nothing is looked up: the time that takes grows faster than they do."""


class Sentences:
    """The translations of one program.

    Args:
        table: as above.
    """

    def __init__(self, table: str) -> None:
        self._table = table

    @cached_property
    def rules(self) -> tuple[tuple[re.Pattern[str], str], ...]:
        """Patterns and their translations, those with the most fixed letters first."""
        lines = self._table.strip("\n").splitlines()
        rows = [tuple(part.strip("\n") for part in line.split(" | ")) for line in lines]
        rows.sort(key=lambda row: -len(_PLACE.sub("", row[0])))
        return tuple((re.compile(_pattern(english), re.DOTALL), chinese) for english, chinese in rows)

    def told(self, text: str, language: str) -> str:
        """The text in a language: English as it is, Chinese as far as there is a translation.

        Args:
            text: of an error or a remark; several are parted by ``; ``.
            language: ``en`` or ``zh``.
        """
        if language != "zh" or not text or len(text) > _LONGEST:
            return text
        return "".join(self._parts(text))

    def _parts(self, text: str) -> Iterator[str]:
        whole = self._translated(text)
        if whole is not None:
            yield whole
            return
        for separator, joined in (("; ", "；"), (": ", "：")):
            first, found, rest = text.partition(separator)
            if found:
                yield from (self.told(first, "zh"), joined, self.told(rest, "zh"))
                return
        yield text

    def _translated(self, text: str) -> str | None:
        for pattern, chinese in self.rules:
            if (found := pattern.fullmatch(text)) is not None:
                parts = {name: self.told(value, "zh") for name, value in found.groupdict().items()}
                return chinese.format(**parts)
        return None


def _pattern(english: str) -> str:
    """The regular expression of a sentence."""
    parts = _PLACE.split(english)
    found = re.escape(parts[0])
    for name, after in zip(parts[1::2], parts[2::2], strict=True):
        found += f"(?P<{name}>{_PLACES.get(name, '.+?')}){re.escape(after)}"
    return found
