"""How each series was taken, for the technologist and the reader: kVp, mAs, dose, sequence, TE/TR. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edge.quality.glimpse import ACQUISITION, Glimpse
from edge.quality.warning import QualityWarning, Severity, Study
from edge.quality.words import TAKEN, sentences
from edge.shown import Hint, SeriesTaken, StudyTaken

MOST = 50
"""Series told of one study."""

MAY_BE_ZERO = ("DeviationIndex", "DiffusionBValue")
"""Of every other parameter, a zero says that the device did not know it."""

BRIEF = {
    "KVP": "{} kVp",
    "Exposure": "{} mAs",
    "CTDIvol": "CTDIvol {} mGy",
    "EntranceDoseInmGy": "{} mGy",
    "OrganDose": "{} dGy",
    "ImageAndFluoroscopyAreaDoseProduct": "{} dGy·cm²",
    "MagneticFieldStrength": "{} T",
    "SequenceName": "{}",
    "RepetitionTime": "TR {} ms",
    "EchoTime": "TE {} ms",
}
"""What tells the most, in as few letters as can be, alike in every language."""
MOST_BRIEF = 4
GAUSS = 100.0
"""No magnet of so many tesla takes images of people."""


def acquisition(study: Study) -> list[dict[str, Any]]:
    """Series that say how they were taken, each with its parameters; a range where its images differ."""
    shown = [
        {"series": uid, "parameters": parameters}
        for uid, images in study.series.items()
        if (parameters := _of(images))
    ]
    return shown[:MOST]


def to_show(study: Study, noticed: Sequence[QualityWarning]) -> StudyTaken:
    """All series of a study as the technologist's page shows them, with what was noticed.

    Args:
        study: as seen.
        noticed: what the checks say of it.
    """
    return StudyTaken(
        tuple(_series(uid, images) for uid, images in list(study.series.items())[:MOST]),
        tuple(Hint(sentences(one), one.severity is Severity.WARNING, one.series_uid) for one in noticed),
    )


def _series(uid: str, images: list[Glimpse]) -> SeriesTaken:
    first, found = images[0], _of(images)
    return SeriesTaken(
        uid,
        " · ".join(filter(None, (first.modality, first.title))),
        len(images),
        tuple((dict(zip(("en", "zh"), TAKEN[name], strict=True)), value) for name, value in found.items()),
        tuple(words.format(found[name]) for name, words in BRIEF.items() if name in found)[:MOST_BRIEF],
    )


def _of(images: list[Glimpse]) -> dict[str, str]:
    found = {}
    for name in ACQUISITION:
        values = {one.taken[name] for one in images if name in one.taken}
        if name not in MAY_BE_ZERO:
            values = {value for value in values if value.strip("0. ")}
        if name == "MagneticFieldStrength":
            values = {_tesla(value) for value in values}
        if values:
            found[name] = _range(values)
    return found


def _tesla(value: str) -> str:
    """Some devices write gauss (0018,0087)."""
    try:
        field = float(value)
    except ValueError:
        return value
    return f"{field / 1e4:.3g}" if field > GAUSS else value


def _range(values: set[str]) -> str:
    """One value, or from – to where they are numbers; else the first few."""
    if len(values) == 1:
        return _short(next(iter(values)))
    try:
        numbers = sorted(float(value) for value in values)
    except ValueError:
        several = sorted(values)
        return ", ".join(several[:3]) + (" …" if len(several) > 3 else "")
    first, last = _written(numbers[0]), _written(numbers[-1])
    return first if first == last else f"{first}–{last}"


def _short(value: str) -> str:
    try:
        return _written(float(value))
    except ValueError:
        return value


def _written(number: float) -> str:
    """Four digits that count: devices write doses with six."""
    return f"{float(f'{number:.4g}'):g}" if abs(number) < 1000 else f"{number:g}"
