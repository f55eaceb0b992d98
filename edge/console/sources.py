"""What the page shows besides the spool, as handed in by `edge.app`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from edge.conversing import Talks
from edge.importing import Importer, KnownStudy
from edge.shown import ReportShown, StudyTaken, StudyWarning


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything has an empty default, so that each can be left out.

    Attributes:
        importer: takes files and discs; None: the page offers no import.
        warnings: about studies.
        reports: signed reports under way and delivered.
        certificate_until: when this edge's certificate ends.
        troubles: what is wrong with this edge, in plain words, such as a folder that is away.
        talks: with the reader; None: the page offers no messages.
        taken: how a study was taken, by its UID.
        known: orders and studies to choose patient and order of a picture from.
        orders: whether orders are asked for.
    """

    importer: Importer | None = None
    warnings: Callable[[], Sequence[StudyWarning]] = tuple
    reports: Callable[[], Sequence[ReportShown]] = tuple
    certificate_until: Callable[[], datetime | None] = lambda: None
    troubles: Callable[[], Sequence[str]] = tuple
    talks: Talks | None = None
    taken: Callable[[str], StudyTaken] = lambda _: StudyTaken()
    known: Callable[[], Sequence[KnownStudy]] = tuple
    orders: bool = False

    @property
    def nav(self) -> tuple[str, ...]:
        """Keys of the pages besides the first."""
        return (("import",) if self.importer else ()) + (("messages",) if self.talks else ())

    @property
    def unread(self) -> int:
        """The reader's messages that nobody here has looked at."""
        return sum(one.unread for one in self.talks.conversations()) if self.talks else 0
