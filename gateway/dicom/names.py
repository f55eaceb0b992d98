"""What the standard calls its UIDs (PS3.6 Annex A)."""

from __future__ import annotations

from collections.abc import Callable

from pydicom._uid_dict import UID_dictionary

PRIVATE = {"1.2.840.113619.5.2": "GE Private Implicit VR Big Endian"}


def name_of(uid: str) -> str:
    """The name of a UID; the UID itself where the standard knows none."""
    return str(UID_dictionary[uid][0]) if uid in UID_dictionary else PRIVATE.get(uid, uid)


def transfer_syntaxes() -> list[str]:
    """Every transfer syntax of the standard that carries datasets, retired ones too."""
    return _of("Transfer Syntax")


def storage_classes(is_storage: Callable[[str], bool]) -> list[str]:
    """The SOP classes of the standard that are stored."""
    return [uid for uid in _of("SOP Class") if is_storage(uid)]


def _of(kind: str) -> list[str]:
    return sorted(uid for uid, entry in UID_dictionary.items() if entry[1] == kind)
