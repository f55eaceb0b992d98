"""Images with nothing on them, and images whose brightest or darkest part was cut off."""

from __future__ import annotations

from collections.abc import Iterator

from edge.quality.glimpse import Glimpse
from edge.quality.warning import CROSS_SECTIONAL, ENHANCED, PROJECTION, QualityWarning, Study

PET = "1.2.840.10008.5.1.4.1.1.128"
CLIPPED = {"CT": 0.08, "MR": 0.04}
"""Share of a slice at the largest value that can be stored."""

CLIPPED_PROJECTION = 0.5
"""Of a radiograph: where nothing is between tube and detector, it is saturated by right."""

FEWEST_BITS = 10
"""Below, saturation is how an image is made ready for a screen."""


def check(study: Study) -> Iterator[QualityWarning]:
    """Every series of what is taken with radiation or a magnet; positron emission may well show nothing."""
    for uid, images in study.series.items():
        measured = [one for one in images if _judged(one)]
        blank = sum(one.pixels is not None and one.pixels.blank for one in measured)
        if blank:
            yield study.warn("blank", uid, images=blank, of=len(images))
        clipped = [share for one in measured if (share := _share(one)) > 0]
        if clipped:
            yield study.warn("clipped", uid, images=len(clipped), of=len(images), share=f"{max(clipped):.0%}")


def _judged(one: Glimpse) -> bool:
    return one.original and one.sop_class_uid in (CROSS_SECTIONAL | ENHANCED | PROJECTION) - {PET}


def _share(one: Glimpse) -> float:
    """How much of the image is cut off; 0 if no more than is usual."""
    if one.pixels is None or one.pixels.blank or one.pixels.stored < FEWEST_BITS:
        return 0.0
    if one.sop_class_uid in PROJECTION:
        worst, allowed = max(one.pixels.top, one.pixels.bottom), CLIPPED_PROJECTION
    else:
        worst, allowed = one.pixels.top, CLIPPED.get(one.modality, 1.0)
    return worst if worst > allowed else 0.0
