"""Instance numbers left out in a series that says nothing of where its slices lie."""

from __future__ import annotations

from collections.abc import Iterator

from edge.quality.planes import stacks
from edge.quality.warning import QualityWarning, Study, slices

FEWEST = 8
SHARE = 0.1
"""Of a series that is numbered through, at most this share may be missing; else it is numbered otherwise."""

NAMED = 5


def check(study: Study) -> Iterator[QualityWarning]:
    """Series whose numbers run through but for a few; where places are known, they decide (`spacing`)."""
    for uid, images in study.series.items():
        flat = slices(images)
        numbers = sorted({one.number for one in flat if one.number is not None})
        if len(numbers) < FEWEST or len(numbers) != len(flat) or stacks(flat):
            continue
        gaps = sorted(set(range(numbers[0], numbers[-1] + 1)) - set(numbers)) if _near(numbers) else []
        if gaps:
            named = ", ".join(map(str, gaps[:NAMED])) + (" …" if len(gaps) > NAMED else "")
            yield study.warn("numbers-missing", uid, missing=len(gaps), numbers=named)


def _near(numbers: list[int]) -> bool:
    """Whether only a few are left out; looked at before a range is made of what a header says."""
    span = numbers[-1] - numbers[0] + 1
    return 0 < span - len(numbers) <= max(1, int(span * SHARE))
