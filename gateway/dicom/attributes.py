"""The top-level attributes of a dataset as text, fast and without pydicom: for whoever must answer a sender.

Tolerant and bounded as `header`, which reads the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Literal

from gateway.dicom import tags, text, transfer
from gateway.dicom.transfer import Read
from gateway.dicom.walk import Element, Walk

TEXT = frozenset(("SH", "LO", "ST", "LT", "UC", "UT", "PN"))


def read_attributes(
    source: Read | bytes | memoryview,
    transfer_syntax_uid: str,
    *,
    default_charset: str | None = None,
    wanted: Container[int] = frozenset(tags.BY_TAG),
) -> tuple[dict[str, str], str]:
    r"""The top-level attributes of `tags.TABLE` as text, fast: nothing else is decoded.

    Returns:
        Keyword → text (several values joined by ``\``, padding removed), and the flaw as in `read_header`.
    """
    walk, source_flaw = opened(source, transfer_syntax_uid, wanted)
    found: dict[str, Element] = {}
    pixel = None
    for element in walk.elements():
        attribute = tags.BY_TAG.get(element.tag)
        if element.tag in tags.PIXELS:
            pixel = element
        elif attribute is not None and element.value is not None and element.tag in wanted:
            found[attribute.keyword] = element
    flaws = list(walk.flaws)
    if pixel is not None and pixel.length is not None and not reaches(walk, pixel):
        flaws.append(f"pixel data claims {pixel.length} bytes, more than there are")
    if walk.empty:
        flaws.append("no elements")
    declared_by = found.get("SpecificCharacterSet")
    declared = text.terms(declared_by.value if declared_by else None)
    values = {
        word: plain(
            found[word].value or b"",
            tags.BY_KEYWORD[word].vr,
            declared,
            default_charset,
            little=found[word].little,
        )
        for word in found
    }
    flaws += source_flaw()
    return values, "; ".join(flaws)[:1000]


def plain(value: bytes, vr: str, declared: tuple[str, ...], default: str | None, *, little: bool) -> str:
    """A value of an attribute of `tags.TABLE` as text; see `text.decode` for `declared` and `default`."""
    if vr == "US":
        order: Literal["little", "big"] = "little" if little else "big"
        return "\\".join(str(int.from_bytes(value[at : at + 2], order)) for at in range(0, len(value) - 1, 2))
    if vr in TEXT:
        return text.decode(value, declared, default, name=vr == "PN").text.strip(" \0")
    return value.decode("latin_1").strip(" \0")


def opened(
    source: Read | bytes | memoryview, transfer_syntax_uid: str, wanted: Container[int] | None
) -> tuple[Walk, Callable[[], list[str]]]:
    read = _reader(source) if isinstance(source, (bytes, bytearray, memoryview)) else source
    encoding = transfer.encoding(transfer_syntax_uid)
    if not encoding.deflated:
        return Walk(read, encoding, wanted), list
    inflated = transfer.Inflated(read, kept=transfer.KEPT)

    def flaws() -> list[str]:
        return ["deflated data cannot be inflated"] * inflated.damaged + [
            f"inflates beyond {transfer.MAX_INFLATED} bytes"
        ] * inflated.cut

    return Walk(inflated.read, encoding, wanted), flaws


def _reader(data: bytes | bytearray | memoryview) -> Read:
    view = memoryview(data)
    return lambda offset, n: bytes(view[offset : offset + n])


def reaches(walk: Walk, element: Element) -> bool:
    return walk.has(element.offset + (element.length or 0))
