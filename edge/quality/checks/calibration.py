"""Images on which nothing can be measured: the size of a pixel is not told (PS3.3 10.7, C.8.11.4)."""

from __future__ import annotations

from collections.abc import Iterator

from edge.quality.warning import CROSS_SECTIONAL, PROJECTION, QualityWarning, Study


def check(study: Study) -> Iterator[QualityWarning]:
    """Slices must tell it; radiographs should."""
    for uid, images in study.series.items():
        judged = [
            one for one in images if one.sop_class_uid in CROSS_SECTIONAL | PROJECTION and one.frames == 1
        ]
        absent = [one for one in judged if one.spaced is False]
        wrong = sum(one.spaced is None for one in judged)
        if wrong:
            yield study.warn("pixel-spacing-invalid", uid, images=wrong, of=len(images))
        if absent and absent[0].sop_class_uid in CROSS_SECTIONAL:
            yield study.warn("pixel-spacing-absent", uid, images=len(absent), of=len(images))
        elif absent:
            yield study.note("pixel-spacing-absent", uid, images=len(absent), of=len(images))
