"""What stations tell the technician's page besides the spool's status. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Words = Mapping[str, str]
"""The same in each language: ``en`` and ``zh``."""


@dataclass(frozen=True, slots=True)
class StudyWarning:
    """Something about a study that a technician should look at; it holds nothing back.

    Attributes:
        study_uid: which study.
        kind: a word for the kind, such as ``slices-missing``.
        words: what is wrong, in plain words.
        at: when it was found, RFC 3339.
    """

    study_uid: str
    kind: str
    words: Words
    at: str


@dataclass(frozen=True, slots=True)
class ReportShown:
    """One signed report on its way into the hospital.

    Attributes:
        study_uid: empty if it was opened before the last start.
        state: as `edge.downlink.states.State` says it.
        at: when that was last so, RFC 3339.
        delivered: names of the destinations that have it.
        waiting: names of those that lack it, each with its words.
        reason: why the whole of it does not hold; empty otherwise.
    """

    report_id: str
    study_uid: str
    state: str
    at: str
    delivered: tuple[str, ...] = ()
    waiting: tuple[tuple[str, str], ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Hint:
    """Something about a series or a study that is worth knowing.

    Attributes:
        words: the sentence.
        warns: whether to look again before the patient leaves.
        series_uid: of which series; empty: of the study as a whole.
    """

    words: Words
    warns: bool
    series_uid: str = ""


@dataclass(frozen=True, slots=True)
class SeriesTaken:
    """How one series was taken.

    Attributes:
        title: modality, number and description.
        images: how many were looked at.
        parameters: name and value each, in the order in which to show them.
        brief: those of the parameters that tell the most, shorter.
    """

    series_uid: str
    title: str
    images: int
    parameters: tuple[tuple[Words, str], ...] = ()
    brief: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StudyTaken:
    """How a study was taken, as far as its images say."""

    series: tuple[SeriesTaken, ...] = ()
    hints: tuple[Hint, ...] = ()

    @property
    def brief(self) -> tuple[str, ...]:
        """What tells the most of the largest series that tells anything."""
        told = [one for one in self.series if one.brief]
        return max(told, key=lambda one: one.images).brief if told else ()
