"""DICOM files (PS3.10 §7): a header put before dataset bytes, and taken off again, exactly.

Pure. `wrap(…) + dataset` is a file; ``split(file).dataset`` is the dataset, byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import pack, unpack_from

from gateway.dicom import transfer
from gateway.dicom.walk import LONG, SHORT

IMPLEMENTATION_CLASS_UID = "2.25.226107452178113390237011863297016042311"
"""A UUID-derived UID (PS3.5 B.2) that names this program."""

IMPLEMENTATION_VERSION_NAME = "TELERAD_1"
MAGIC = b"DICM"
PREAMBLE = 128


@dataclass(frozen=True, slots=True)
class Part10:
    """A file taken apart. `dataset` is a view of the given bytes; `meta` holds group 2 as text.

    `preamble`: ``""`` when zeros or TIFF, else what is suspicious about it (a polyglot, CVE-2019-11687);
    `opening`: its 128 bytes, empty when there is none or all are zero.
    """

    dataset: memoryview
    transfer_syntax_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    meta: dict[int, str] = field(default_factory=dict)
    preamble: str = ""
    opening: bytes = b""
    flaw: str = ""


def wrap(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """The 128 zero bytes, ``DICM`` and group 2 that make dataset bytes a file.

    The preamble is always zeros, whatever came in: a served file never starts with a foreign program.
    """
    body = b"".join(
        (
            pack("<HH2sHL", 2, 0x0001, b"OB", 0, 2) + b"\x00\x01",
            _ui(0x0002, sop_class_uid),
            _ui(0x0003, sop_instance_uid),
            _ui(0x0010, transfer_syntax_uid),
            _ui(0x0012, IMPLEMENTATION_CLASS_UID),
            _short(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME, b" "),
        )
    )
    return bytes(PREAMBLE) + MAGIC + pack("<HH2sHL", 2, 0, b"UL", 4, len(body)) + body


def _ui(element: int, uid: str) -> bytes:
    return _short(element, b"UI", uid, b"\0")


def _short(element: int, vr: bytes, value: str, padding: bytes) -> bytes:
    data = value.encode("ascii", "replace")
    data += padding * (len(data) % 2)
    return pack("<HH2sH", 2, element, vr, len(data)) + data


def split(file: bytes | bytearray | memoryview) -> Part10:
    """Take a file apart. Never raises: a file without header is all dataset, its syntax a guess."""
    view = memoryview(file)
    flaws: list[str] = []
    at = 0
    if bytes(view[PREAMBLE : PREAMBLE + 4]) == MAGIC and not _is_data(bytes(view[: PREAMBLE + 12])):
        at = PREAMBLE + 4
    elif bytes(view[:4]) == MAGIC:
        at = 4
        flaws.append("no preamble")
    else:
        flaws.append("no DICM prefix")
    start = at
    meta: dict[int, str] = {}
    while (found := _meta_element(view, at)) is not None:
        element, value, at = found
        meta[element] = value
    if at == start:
        flaws.append("no file meta information")
    syntax = meta.get(0x0010, "")
    if not syntax:
        if at > start:
            flaws.append("no transfer syntax")
        syntax = _guess(bytes(view[at : at + 8]))
    opening = bytes(view[:PREAMBLE]) if start > 4 else b""
    return Part10(
        dataset=view[at:],
        transfer_syntax_uid=syntax,
        sop_class_uid=meta.get(0x0002, ""),
        sop_instance_uid=meta.get(0x0003, ""),
        meta=meta,
        preamble=_preamble(opening),
        opening=opening if any(opening) else b"",
        flaw="; ".join(flaws),
    )


def _meta_element(view: memoryview, at: int) -> tuple[int, str, int] | None:
    """One element of group 2 at `at` (explicit little endian; some writers leave out the VR)."""
    if len(view) - at < 8:
        return None
    group, element = unpack_from("<HH", view, at)
    if group != 2:
        return None
    vr = bytes(view[at + 4 : at + 6])
    if vr in LONG:
        if len(view) - at < 12:
            return None
        (length,), value_at = unpack_from("<L", view, at + 8), at + 12
    elif vr in SHORT:
        (length,), value_at = unpack_from("<H", view, at + 6), at + 8
    else:
        (length,), value_at = unpack_from("<L", view, at + 4), at + 8
    end = value_at + length
    if end > len(view):
        return None
    return element, bytes(view[value_at:end]).decode("latin_1").strip(" \0"), end


def _is_data(head: bytes) -> bool:
    """Whether ``DICM`` at 128 is part of a value: no group 2 follows, and an element is at the start."""
    follows = head[PREAMBLE + 4 : PREAMBLE + 6]
    return follows not in (b"", b"\x02\x00") and head[:2] in (b"\x02\x00", b"\x08\x00", b"\x00\x08")


def _guess(head: bytes) -> str:
    """The transfer syntax a dataset without one seems to have."""
    if len(head) < 8:
        return transfer.IMPLICIT_LITTLE
    if not (head[4:6].isalpha() and head[4:6].isupper()):
        return transfer.IMPLICIT_LITTLE
    little = int.from_bytes(head[:2], "little") <= int.from_bytes(head[:2], "big")
    return transfer.EXPLICIT_LITTLE if little else transfer.EXPLICIT_BIG


def _preamble(preamble: bytes) -> str:
    if not any(preamble) or preamble[:4] in (b"II*\0", b"MM\0*"):
        return ""
    for magic, kind in ((b"MZ", "a Windows program"), (b"\x7fELF", "a Linux program"), (b"#!", "a script")):
        if preamble.startswith(magic):
            return f"begins like {kind}"
    if b"<" in preamble[:16]:
        return "begins like a web page"
    return "is not empty"
