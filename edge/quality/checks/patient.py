"""One study, several patients: the images of somebody else are among them, or a name was corrected.

Only that they differ is said, never what they are.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from edge.quality.glimpse import Glimpse
from edge.quality.warning import QualityWarning, Study


def check(study: Study) -> Iterator[QualityWarning]:
    """All series of the study together."""
    images = [one for series in study.series.values() for one in series]
    identifiers = {one.patient.identifier for one in images} - {""}
    if len(identifiers) > 1:
        yield study.warn("patient-mismatch", _odd_one(study), patients=len(identifiers))
        return
    for kind, values in (
        ("patient-name-differs", {_plain(one.patient.name) for one in images}),
        ("patient-birth-differs", {one.patient.birth_date for one in images}),
        ("patient-sex-differs", {one.patient.sex.upper() for one in images}),
    ):
        told = values - {""}
        if len(told) > 1:
            yield study.warn(kind, _odd_one(study), values=len(told))


def _plain(name: str) -> str:
    """The alphabetic group without case and delimiters (PS3.5 §6.2.1)."""
    alphabetic = name.split("=", maxsplit=1)[0]
    return "".join(unicodedata.normalize("NFKC", alphabetic).casefold().replace("^", " ").split())


def _key(one: Glimpse) -> tuple[str, ...]:
    return one.patient.identifier, _plain(one.patient.name), one.patient.birth_date, one.patient.sex


def _odd_one(study: Study) -> str:
    """The series that differs from the first, if one does as a whole; else the study is meant."""
    first = _key(next(iter(study.series.values()))[0])
    odd = [uid for uid, images in study.series.items() if all(_key(one) != first for one in images)]
    return odd[0] if len(odd) == 1 else ""
