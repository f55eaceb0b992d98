"""A hint that names may be drawn into the pixels, where nothing removes them."""

from __future__ import annotations

from collections.abc import Iterator

from edge.quality.warning import CROSS_SECTIONAL, PROJECTION, QualityWarning, Study

DRAWN = frozenset(("US", "ES", "OT", "SC", "XC"))
"""Modalities whose devices write onto the image as a rule, and secondary captures."""

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
WRITING = 0.02
"""Share of sharp steps in a corner that is else flat: some words."""


def check(study: Study) -> Iterator[QualityWarning]:
    """Declared (PS3.3 C.7.6.1.1.1), likely by what it is, or seen in a corner."""
    for uid, images in study.series.items():
        if any(one.burned_in == "YES" for one in images):
            yield study.note("burned-in", uid)
            continue
        silent = [one for one in images if one.burned_in != "NO"]
        drawn = [
            one for one in silent if one.modality in DRAWN or one.sop_class_uid.startswith(SECONDARY_CAPTURE)
        ]
        seen = [
            one
            for one in silent
            if one.sop_class_uid in CROSS_SECTIONAL | PROJECTION
            and one.pixels is not None
            and one.pixels.writing > WRITING
        ]
        if seen:
            yield study.note("burned-in-seen", uid, images=len(seen), of=len(images))
        elif any(one.rows for one in drawn):
            yield study.note("burned-in-likely", uid, modality=drawn[0].modality or "?")
