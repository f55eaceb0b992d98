r"""Text by its Specific Character Set (PS3.3 C.12.1.1.2, PS3.5 §6.1), and an honest guess where none is told.

Pure. Code extensions (ISO 2022) are decoded here and not by pydicom, whose decoder leaves the escape
sequence of ``ISO 2022 IR 58`` (``ESC $ ) A``, the Chinese example of PS3.5 Annex K) in the text.
Stored bytes are never altered; text is for the index and the eye.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from gateway.dicom.detect import LATIN, detect

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
MULTI_BYTE_ALONE = {"192": "utf_8", "GB18030": "gb18030", "GBK": "gbk", "GB2312": "gb18030"}
SINGLE = {
    "6": "ascii",
    "100": "latin_1",
    "101": "iso8859_2",
    "109": "iso8859_3",
    "110": "iso8859_4",
    "144": "iso8859_5",
    "127": "iso8859_6",
    "126": "iso8859_7",
    "138": "iso8859_8",
    "148": "iso8859_9",
    "203": "iso8859_15",
    "13": "shift_jis",
    "166": "iso8859_11",
    "149": "euc_kr",
    "58": "gb18030",
    "87": "iso2022_jp",
    "159": "iso2022_jp_2",
}
NO_CHARSETS = frozenset(("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"))
"""Python's codecs of text that are no character sets: some raise whatever is asked of them, or take a time
that grows with the square of the value's length."""

_G1 = {
    b"-A": "latin_1",
    b"-B": "iso8859_2",
    b"-C": "iso8859_3",
    b"-D": "iso8859_4",
    b"-L": "iso8859_5",
    b"-G": "iso8859_6",
    b"-F": "iso8859_7",
    b"-H": "iso8859_8",
    b"-M": "iso8859_9",
    b"-b": "iso8859_15",
    b"-T": "iso8859_11",
    b")I": "shift_jis",
    b"$)C": "euc_kr",
    b"$)A": "gb18030",
}
_G0 = {
    b"(B": None,
    b"(J": None,
    b"$B": ("iso2022_jp", b"\x1b$B"),
    b"$@": ("iso2022_jp", b"\x1b$@"),
    b"$(D": ("iso2022_jp_2", b"\x1b$(D"),
}
_ESCAPE = re.compile(rb"\x1b(\$\([A-Z]|\$\)[A-Z]|\$[@-B]|[()\-][A-Za-z])")
_TERM = re.compile(r"ISO[ _-]*(2022)?[ _-]*IR[ _-]*([0-9]+)", re.IGNORECASE)


class Origin(Enum):
    """What decided the character set."""

    PLAIN = "plain"  # only ASCII bytes: nothing to decide
    DECLARED = "declared"  # by the dataset
    DEFAULT = "default"  # by configuration, for a sender that declares none
    DETECTED = "detected"  # by the look of the bytes


@dataclass(frozen=True, slots=True)
class Decoded:
    """Decoded text, and how sure it is.

    `damaged`: some bytes could not be decoded and stand as U+FFFD. `suspect`: it decodes as declared,
    but looks like something else, or what was declared was proven wrong.
    """

    text: str
    origin: Origin
    codec: str
    damaged: bool = False
    suspect: bool = False


def terms(value: bytes | str | Sequence[str] | None) -> tuple[str, ...]:
    """The defined terms of (0008,0005), normalised: ``6``, ``100``, ``192``, ``GB18030``.

    A term with code extensions keeps a ``+``, such as ``+87``; unknown terms are kept in upper case.
    """
    if value is None:
        return ()
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    parts = value.split("\\") if isinstance(value, str) else list(value)
    found = tuple(_term(part.strip(" \0")) for part in parts)
    return found if any(found) else ()


def _term(text: str) -> str:
    match = _TERM.fullmatch(text)
    if match:
        return ("+" if match[1] else "") + str(int(match[2]))
    upper = text.upper()
    return {"UTF-8": "192", "UTF8": "192", "UTF_8": "192"}.get(upper, upper)


def decode(
    value: bytes, declared: Sequence[str] = (), default: str | None = None, *, name: bool = False
) -> Decoded:
    r"""Decode one text value (not yet split at ``\``).

    Args:
        value: the bytes as sent.
        declared: what `terms` made of (0008,0005); empty if it is absent or empty.
        default: the charset to take where none is declared, as a defined term or Python codec name.
        name: whether the value is a person's name (``^`` and ``=`` then reset code extensions).
    """
    if value.isascii() and b"\x1b" not in value:
        return Decoded(value.decode("ascii"), Origin.PLAIN, "ascii")
    if not declared or all(term in ("", "6", "+6") for term in declared):
        return _undeclared(value, default, escapes=b"\x1b" in value, name=name)
    if len(declared) == 1 and not _known(declared[0]):  # a word that nobody knows declares nothing
        return replace(_undeclared(value, default, escapes=b"\x1b" in value, name=name), suspect=True)
    if len(declared) > 1 or declared[0].startswith("+") or b"\x1b" in value:
        text, codec = _extended(value, declared, name=name), "iso2022"
    else:
        codec = _codec(declared[0])
        text = _strict(value, codec) or ""
        if not text:
            return _disproved(value, codec, default, name=name)
    lie = _lie(value, codec, name=name) if codec in SINGLE.values() else ""
    if lie:
        usual = None if default is None else _codec(_term(default))
        if lie == usual:
            return Decoded(value.decode(lie), Origin.DEFAULT, lie, suspect=True)
    return Decoded(text, Origin.DECLARED, codec, damaged=REPLACEMENT in text, suspect=bool(lie))


def _lie(value: bytes, codec: str, *, name: bool) -> str:
    """What the bytes look like where that is surely not `codec`, to which any bytes are right; else empty."""
    likely = detect(value, name=name)
    if likely == "utf_8" and codec != "utf_8":
        return likely
    return likely if codec == LATIN and likely != LATIN else ""


def _codec(term: str) -> str:
    return _known(term) or LATIN


def _known(term: str) -> str:
    """The Python codec of a defined term, or of that name; empty if there is none."""
    known = MULTI_BYTE_ALONE.get(term.upper()) or SINGLE.get(term.lstrip("+"))
    if known:
        return known
    try:
        "".encode(term)
        return "" if codecs.lookup(term).name in NO_CHARSETS else term
    except (LookupError, ValueError):
        return ""


def _strict(value: bytes, codec: str) -> str | None:
    try:
        return value.decode(codec)
    except (UnicodeDecodeError, LookupError):
        return None


def _undeclared(value: bytes, default: str | None, *, escapes: bool, name: bool) -> Decoded:
    if escapes:
        text = _extended(value, (), name=name)
        return Decoded(text, Origin.DETECTED, "iso2022", damaged=REPLACEMENT in text, suspect=True)
    if default is not None:
        codec = _codec(_term(default))
        text = value.decode(codec, "replace")
        return Decoded(text, Origin.DEFAULT, codec, damaged=REPLACEMENT in text)
    return _detected(value, name=name)


def _detected(value: bytes, *, name: bool) -> Decoded:
    codec = detect(value, name=name)
    return Decoded(value.decode(codec, "replace"), Origin.DETECTED, codec)


def _disproved(value: bytes, codec: str, default: str | None, *, name: bool) -> Decoded:
    """The declared set cannot be right; try what the sender usually means, then what it looks like."""
    if default is not None:
        usual = _codec(_term(default))
        text = _strict(value, usual)
        if text is not None:
            return Decoded(text, Origin.DEFAULT, usual, suspect=True)
    guess = _detected(value, name=name)
    if guess.codec != "latin_1":
        return Decoded(guess.text, Origin.DETECTED, guess.codec, suspect=True)
    return Decoded(value.decode(codec, "replace"), Origin.DECLARED, codec, damaged=True)


def _extended(value: bytes, declared: Sequence[str], *, name: bool) -> str:
    """ISO 2022 code extensions, PS3.5 §6.1.2.5: escape sequences designate G0 and G1."""
    first = SINGLE.get(declared[0].lstrip("+") or "6", "ascii") if declared else "ascii"
    initial = None if first == "ascii" or first.startswith("iso2022") else first
    resets = re.compile(rb"([\r\n\f\t\\^=])" if name else rb"([\r\n\f\t\\])")
    wide: tuple[str, bytes] | None = None
    high = initial
    out: list[str] = []
    parts = _ESCAPE.split(value)
    for number, part in enumerate(parts):
        if number % 2:
            if part in _G0:
                wide = _G0[part]
            else:
                high = _G1.get(part, high)
        elif wide is not None and part:
            out.append((wide[1] + part).decode(wide[0], "replace"))
        else:
            for piece in resets.split(part):
                out.append(piece.decode(high or "ascii", "replace"))
                if initial is not None and len(piece) == 1 and resets.fullmatch(piece):
                    high = initial
    return "".join(out)
