"""What a report's text may hold, so that what is shown and what is signed cannot differ.

Pure. `clean` is for people's input: it mends what editors and clipboards leave behind. `check` is
for what is signed: it refuses.
"""

from __future__ import annotations

import re
import unicodedata

from gateway.errors import Malformed

MAX_SECTION = 60_000
"""Characters of one section of a report; a long report has 6 000."""

MAX_FIELD = 1_024
"""Characters of any other field; the longest DICOM text we copy (LT) is cut here."""

# C0 and C1 but for tab and line feed; and the marks that reorder text on screen (UAX #9), by which a
# text can be shown as another than the one signed ("Trojan Source").
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]"
)
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")


def clean(text: str) -> str:
    """Mend typed or pasted text: one kind of line end, NFC, no control or reordering characters."""
    unified = _LINE_ENDS.sub("\n", text).replace("\u00ad", "")
    repaired = unified.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _FORBIDDEN.sub("", unicodedata.normalize("NFC", repaired))


def check(text: str, name: str, *, limit: int = MAX_FIELD, lines: bool = False) -> str:
    """Refuse text that must not be signed.

    Args:
        text: the text.
        name: of the field, for the message.
        limit: characters.
        lines: whether line feeds and tabs may be in it.

    Raises:
        Malformed: too long, or with characters that do not belong there.
    """
    if len(text) > limit:
        raise Malformed(f"{name} has {len(text)} characters; at most {limit} are allowed")
    found = _FORBIDDEN.search(text) or (None if lines else re.search("[\t\n\u2028\u2029]", text))
    if found:
        raise Malformed(f"{name} holds the control character U+{ord(found[0]):04X}")
    return text


def one_line(text: str, limit: int = MAX_FIELD) -> str:
    """Text of unknown origin (a DICOM header) as one clean line, cut to `limit` characters."""
    return " ".join(clean(text).split())[:limit]
