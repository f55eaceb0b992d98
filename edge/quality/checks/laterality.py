"""Left or right: absent where a body part has two sides, no code at all, or against the description.

Only of body parts with two sides, or none told: “RT” beside a chest is how the beam went.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from edge.quality.warning import PROJECTION, QualityWarning, Study

_PAIRED = """
ANKLE ARM BREAST CALCANEUS CLAVICLE ELBOW EYE FEMUR FINGER FOOT FOREARM HAND HIP HUMERUS KNEE LEG
PATELLA RADIUS SCAPULA SHOULDER THIGH THUMB TIBIA TOE ULNA WRIST ZYGOMA
"""
PAIRED = frozenset(_PAIRED.split())
"""Body parts with two sides (PS3.16 Annex L); ``EXTREMITY`` and the like are too wide to judge."""

CODES = frozenset(("L", "R", "B", "U"))
_BOTH = re.compile(r"\b(BOTH|BILAT\w*|BI|AMBO)\b|双|两侧", re.IGNORECASE)
_SIDES = {
    "L": re.compile(r"\b(LEFT|LT)\b|左", re.IGNORECASE),
    "R": re.compile(r"\b(RIGHT|RT)\b|右", re.IGNORECASE),
}


def check(study: Study) -> Iterator[QualityWarning]:
    """Radiographs for absence, every series for contradictions."""
    for uid, images in study.series.items():
        first = images[0]
        told = {one.laterality for one in images} - {""}
        wrong = sorted(told - CODES)
        if wrong:
            yield study.warn("laterality-invalid", uid, value=wrong[0][:16])
        silent = [one for one in images if one.sop_class_uid in PROJECTION and not one.laterality]
        if silent and first.body_part in PAIRED and not _BOTH.search(first.description):
            yield study.warn("laterality-absent", uid, part=first.body_part, images=len(silent))
        for one in images if first.body_part in PAIRED or not first.body_part else ():
            other = _contradicted(one.laterality, one.description)
            if other:
                yield study.warn("laterality-contradicts", uid, value=one.laterality, words=other)
                break


def _contradicted(laterality: str, description: str) -> str:
    """The side that the description names, if it is the other one and the only one."""
    if laterality not in _SIDES or _BOTH.search(description):
        return ""
    named = {side for side, words in _SIDES.items() if words.search(description)}
    other = {"L": "R", "R": "L"}[laterality]
    return other if named == {other} else ""
