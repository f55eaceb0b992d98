"""Slices that do not say how they lie, or say what cannot be (PS3.3 C.7.6.2.1.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edge.quality.warning import CROSS_SECTIONAL, QualityWarning, Study

TOLERANCE = 0.01


def check(study: Study) -> Iterator[QualityWarning]:
    """Slices of every series."""
    for uid, images in study.series.items():
        flat = [one for one in images if one.sop_class_uid in CROSS_SECTIONAL and one.frames == 1]
        absent = sum(not one.orientation for one in flat)
        if absent:
            yield study.warn("orientation-absent", uid, images=absent, of=len(images))
        wrong = sum(bool(one.orientation) and not _possible(one.orientation) for one in flat)
        if wrong:
            yield study.warn("orientation-invalid", uid, images=wrong, of=len(images))


def _possible(cosines: Sequence[float]) -> bool:
    """Two directions of length one at a right angle."""
    row, column = cosines[:3], cosines[3:]
    lengths = (sum(each * each for each in row), sum(each * each for each in column))
    product = sum(a * b for a, b in zip(row, column, strict=True))
    return all(abs(length - 1) <= 2 * TOLERANCE for length in lengths) and abs(product) <= TOLERANCE
