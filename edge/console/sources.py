"""What the page shows besides the spool, as handed in by `edge.app`.

Messages to the reader and answers to what a reader asks for come in here too, as one more source with
its own routes beside `edge.console.imports`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from edge.importing import Importer
from edge.shown import ReportShown, StudyWarning


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything has an empty default, so that each can be left out.

    Attributes:
        importer: takes files and discs; None: the page offers no import.
        warnings: about studies.
        reports: signed reports under way and delivered.
        certificate_until: when this edge's certificate ends.
        troubles: what is wrong with this edge, in plain words, such as a folder that is away.
    """

    importer: Importer | None = None
    warnings: Callable[[], Sequence[StudyWarning]] = tuple
    reports: Callable[[], Sequence[ReportShown]] = tuple
    certificate_until: Callable[[], datetime | None] = lambda: None
    troubles: Callable[[], Sequence[str]] = tuple
