"""Person names as people read them. Pure."""

from __future__ import annotations

from edge.console.words import LANGUAGES

HAN = ("\u3400", "\u9fff")


def person(value: str, language: str) -> str:
    """A DICOM person name (PS3.5 §6.2.1.2), such as ``Zhang^XiaoDong=张^小东``, as the portal shows it.

    Args:
        value: its component groups.
        language: of whoever reads; Chinese readers see the Chinese form first.
    """
    alphabetic, _, rest = value.partition("=")
    groups = [_group(one) for one in (alphabetic, rest.partition("=")[0])]
    if language != LANGUAGES[0]:
        groups.reverse()
    return " ".join(one for one in groups if one)


def _group(group: str) -> str:
    family, given, middle, *_ = (*(part.strip() for part in group.split("^")), "", "")
    if any(HAN[0] <= letter <= HAN[1] for letter in family + given):
        return family + given + middle
    return ", ".join(part for part in (family, f"{given} {middle}".strip()) if part)
