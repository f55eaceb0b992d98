"""The table of checks: each looks at one study and says what it noticed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edge.quality.checks import (
    blank,
    burned_in,
    calibration,
    count,
    exposure,
    laterality,
    numbers,
    orientation,
    patient,
    spacing,
)
from edge.quality.warning import QualityWarning, Severity, Study

Check = Callable[[Study], Iterator[QualityWarning]]

CHECKS: tuple[Check, ...] = (
    patient.check,
    spacing.check,
    numbers.check,
    count.check,
    blank.check,
    laterality.check,
    orientation.check,
    calibration.check,
    exposure.check,
    burned_in.check,
)
"""In the order in which a technologist would act on them."""


def judge(study: Study) -> list[QualityWarning]:
    """What all checks say, warnings before notes."""
    if not study.series:
        return []
    found = [one for check in CHECKS for one in check(study)]
    return sorted(found, key=lambda one: one.severity is not Severity.WARNING)
