"""What the technician's page and the station that talks with the reader say to each other. Pure.

`edge.dialogue` carries the messages, `edge.console` shows them; neither knows the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.message import Purpose, Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One message as the page shows it.

    Attributes:
        ident: of the message.
        ours: whether this hospital wrote it.
        purpose: what it is for.
        need: what a request asks for; empty otherwise.
        text: plain.
        author: the reader's name; empty for ours.
        at: when it was written or told, RFC 3339.
        seen: whether the other side has looked.
        waits: a request that is not answered yet.
        at_hub: False while it is on its way there.
    """

    ident: str
    ours: bool
    purpose: Purpose
    need: str
    text: str
    author: str
    at: str
    seen: bool
    waits: bool
    at_hub: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """All messages about one study, oldest first.

    Attributes:
        study_uid: which study.
        subject: whom it is about, as the hub told; None: the page knows better.
        lines: the messages.
    """

    study_uid: str
    subject: Subject | None
    lines: tuple[Line, ...]

    @property
    def unread(self) -> int:
        """The reader's messages nobody here has looked at."""
        return sum(not line.ours and not line.seen for line in self.lines)

    @property
    def waits(self) -> bool:
        """Whether the reader waits for an answer."""
        return any(line.waits for line in self.lines)


class Talks(Protocol):
    """The station, as the page sees it."""

    def conversations(self) -> Sequence[Conversation]:
        """Those with something unread or unanswered first, then the newest."""

    def about(self, study_uid: str) -> Conversation | None:
        """One of them; without messages if nothing was said about a study that is here.

        Returns:
            None if this edge knows nothing of the study.
        """

    async def say(self, study_uid: str, purpose: str, text: str, ident: str) -> None:
        """Write to the reader; durable when this returns. The same `ident` again changes nothing.

        Raises:
            Malformed: no text, too long a one, or no such purpose or identifier.
            StorageFull: the disk is below its reserve.
        """

    def seen(self, study_uid: str) -> None:
        """Somebody has looked at the reader's messages about a study."""
