"""What stations tell the technician's page besides the spool's status. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class StudyWarning(Protocol):
    """Something about a study that a technician should look at; it holds nothing back."""

    @property
    def study_uid(self) -> str:
        """Which study."""

    @property
    def kind(self) -> str:
        """A word for the kind, such as ``missing-slices``."""

    @property
    def words(self) -> str:
        """What is wrong and what to do, in plain words."""

    @property
    def at(self) -> str:
        """When it was found, RFC 3339."""


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
