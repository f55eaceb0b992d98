"""What a check says: a kind with parameters, from which `words` and the portal make sentences. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from edge.quality.glimpse import Glimpse


class Severity(StrEnum):
    """How much it matters."""

    NOTE = "note"
    """Worth knowing; often as it should be."""
    WARNING = "warning"
    """Look again before the patient leaves."""


@dataclass(frozen=True, slots=True)
class QualityWarning:
    """One thing noticed. Its parameters hold numbers and codes, never a name.

    Args:
        study_uid: of which study.
        series_uid: of which series; empty: of the study as a whole.
        kind: the key of its words.
        severity: how much it matters.
        parameters: what stands in the words' places.
    """

    study_uid: str
    series_uid: str
    kind: str
    severity: Severity = Severity.WARNING
    parameters: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As the notice to the hub carries it."""
        return {
            "kind": self.kind,
            "severity": self.severity.value,
            "series": self.series_uid,
            "parameters": dict(self.parameters),
        }


@dataclass(frozen=True, slots=True)
class Study:
    """Everything seen of one study.

    Args:
        uid: its Study Instance UID.
        series: glimpses by Series Instance UID, in the order they came.
    """

    uid: str
    series: Mapping[str, list[Glimpse]]

    def warn(self, kind: str, series_uid: str = "", **parameters: object) -> QualityWarning:
        """A warning about it."""
        return self._made(Severity.WARNING, kind, series_uid, parameters)

    def note(self, kind: str, series_uid: str = "", **parameters: object) -> QualityWarning:
        """A note about it."""
        return self._made(Severity.NOTE, kind, series_uid, parameters)

    def _made(
        self, severity: Severity, kind: str, series_uid: str, parameters: Mapping[str, object]
    ) -> QualityWarning:
        words = {name: str(value)[:64] for name, value in parameters.items()}
        return QualityWarning(self.uid, series_uid, kind, severity, words)


CROSS_SECTIONAL = frozenset(
    (
        "1.2.840.10008.5.1.4.1.1.2",  # CT Image Storage
        "1.2.840.10008.5.1.4.1.1.4",  # MR Image Storage
        "1.2.840.10008.5.1.4.1.1.128",  # Positron Emission Tomography Image Storage
    )
)
"""Single-frame images that carry their place in the patient (PS3.3 C.7.6.2)."""

ENHANCED = frozenset(
    (
        "1.2.840.10008.5.1.4.1.1.2.1",  # Enhanced CT Image Storage
        "1.2.840.10008.5.1.4.1.1.4.1",  # Enhanced MR Image Storage
    )
)
"""Multi-frame images of slices; legacy converted ones are not meant."""

PROJECTION = frozenset(
    (
        "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography
        "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray, for presentation
        "1.2.840.10008.5.1.4.1.1.1.1.1",  # … for processing
        "1.2.840.10008.5.1.4.1.1.1.2",  # Digital Mammography X-Ray, for presentation
        "1.2.840.10008.5.1.4.1.1.1.2.1",  # … for processing
    )
)
"""Radiographs."""


def slices(images: list[Glimpse]) -> list[Glimpse]:
    """Those of a series that are slices of the patient: no localizers, nothing multi-frame."""
    return [
        one
        for one in images
        if one.sop_class_uid in CROSS_SECTIONAL and not one.localizer and one.frames == 1
    ]
