"""Fonts that embed: which TrueType face draws which character of a report.

reportlab draws a Paragraph in one face; a report mixes Latin, Greek, Cyrillic and Chinese. So each
text is cut into runs by the first face that has the character. A character no face has is spelt
out as ``[U+1F600]``: what was signed is never left out silently.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from html import escape
from itertools import groupby
from pathlib import Path

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont

from gateway.errors import UsageError

SHIPPED = Path(__file__).parent / "fonts"
"""Filled by the package's build from the Noto fonts (SIL OFL)."""

# Face by face: the shipped file, then Debian's packages fonts-noto-core, fonts-dejavu-core and
# fonts-wqy-zenhei. Noto CJK as Debian packs it has PostScript outlines, which reportlab cannot embed.
_SYSTEM = Path("/usr/share/fonts/truetype")
_PLACES: dict[tuple[str, bool], tuple[tuple[Path, int], ...]] = {
    ("Latin", False): (
        (SHIPPED / "NotoSans-Regular.ttf", 0),
        (_SYSTEM / "noto/NotoSans-Regular.ttf", 0),
        (_SYSTEM / "dejavu/DejaVuSans.ttf", 0),
    ),
    ("Latin", True): (
        (SHIPPED / "NotoSans-Bold.ttf", 0),
        (_SYSTEM / "noto/NotoSans-Bold.ttf", 0),
        (_SYSTEM / "dejavu/DejaVuSans-Bold.ttf", 0),
    ),
    ("Chinese", False): (
        (SHIPPED / "NotoSansSC-Regular.ttf", 0),
        (_SYSTEM / "wqy/wqy-zenhei.ttc", 0),
    ),
    ("Chinese", True): (
        (SHIPPED / "NotoSansSC-Bold.ttf", 0),
        (_SYSTEM / "wqy/wqy-zenhei.ttc", 0),
    ),
}
_ORDER = ("Latin", "Chinese")


@dataclass(frozen=True, slots=True)
class Face:
    """One registered face."""

    name: str
    glyphs: frozenset[int]


@cache
def face(script: str, *, bold: bool) -> Face:
    """Find, register and return a face (once a process).

    Args:
        script: ``Latin`` (with Greek and Cyrillic) or ``Chinese``.
        bold: its weight.

    Raises:
        UsageError: no usable font file on this machine.
    """
    name = f"{script}{'-Bold' if bold else ''}"
    for file, index in _PLACES[script, bold]:
        if not file.is_file():
            continue
        try:
            font = TTFont(name, str(file), subfontIndex=index)
        except TTFError:
            continue  # PostScript outlines: the next place may have TrueType ones
        pdfmetrics.registerFont(font)
        return Face(name, frozenset(font.face.charToGlyph))
    raise UsageError(
        f"no TrueType font for {script} text found; build the package with its fonts, "
        "or install fonts-noto-core and fonts-wqy-zenhei"
    )


def markup(text: str, *, bold: bool = False) -> str:
    """Text as reportlab paragraph markup: escaped, one ``font`` element a run, line feeds as breaks."""
    lines = (_line(line, bold=bold) for line in text.replace("\t", "    ").split("\n"))
    return "<br/>".join(lines)


def has_chinese(text: str) -> bool:
    """Whether lines may break between any two characters (CJK), rather than at spaces only."""
    return any(0x2E80 <= ord(character) <= 0x9FFF or ord(character) > 0x20000 for character in text)


def _line(text: str, *, bold: bool) -> str:
    runs = []
    for found, characters in groupby(text, key=lambda character: _name_for(character, bold=bold)):
        run, name = "".join(characters), found or face("Latin", bold=bold).name
        if not found:
            run = "".join(f"[U+{ord(character):04X}]" for character in run)
        kept = escape(run, quote=False).replace("  ", "\u00a0 ")
        runs.append(f'<font name="{name}">{kept}</font>')
    return "".join(runs)


@cache
def _name_for(character: str, *, bold: bool) -> str:
    for script in _ORDER:
        found = face(script, bold=bold)
        if ord(character) in found.glyphs:
            return found.name
    return ""
