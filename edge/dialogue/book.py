"""Conversations in memory. Pure. Nothing of it reaches the disk: texts may name patients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from edge.conversing import Conversation, Line
from gateway.message import ANSWERS, Purpose, SiteMessage, Subject, Told

SITE = "site"
MOST_STUDIES = 300
"""Conversations kept; the hub has them all."""


class Book:
    """What was said about which study.

    Attributes:
        newest: number of the newest message the hub told; None before the first.
        since: up to when we know what was seen and answered, as the hub said.
    """

    def __init__(self) -> None:
        self.newest: int | None = None
        self.since = "0"
        self._told: dict[str, dict[str, Told]] = {}
        self._ours: dict[str, dict[str, SiteMessage]] = {}
        self._subjects: dict[str, Subject] = {}
        self._seen: dict[str, int] = {}

    def learn(
        self, told: Iterable[Told], subjects: Mapping[str, Subject], *, newest: int | None = None
    ) -> None:
        """Take in what the hub tells; what we know already is brought up to date.

        Args:
            told: messages.
            subjects: by study, whom they are about.
            newest: if these are all open conversations: the number of the hub's newest message for us.
        """
        if newest is not None:
            self._told, self.newest = {}, newest
        self._subjects.update(subjects)
        for one in told:
            self._told.setdefault(one.study, {})[one.id] = one
            self._ours.get(one.study, {}).pop(one.id, None)
            self.newest = max(self.newest or 0, one.number)
        self._forget()

    def update(self, study: str, ident: str, *, seen: bool, waits: bool) -> None:
        """Something happened to a message that the hub told before."""
        known = self._told.get(study, {})
        if ident in known:
            known[ident] = replace(known[ident], seen=seen, waits=waits)

    def knows(self, ident: str) -> bool:
        """Whether a message with this identifier is here."""
        return any(ident in one for kept in (self._told, self._ours) for one in kept.values())

    def add(self, message: SiteMessage) -> None:
        """One of ours, on its way to the hub."""
        self._ours.setdefault(message.study, {})[message.id] = message

    def look(self, study: str) -> int | None:
        """Somebody looked at a study's messages. Returns the newest number that is news to the hub."""
        numbers = [one.number for one in self._told.get(study, {}).values() if self._unseen(one)]
        if not numbers:
            return None
        self._seen[study] = max(numbers)
        return max(numbers)

    def about(self, study: str) -> Conversation:
        """All that was said about a study, which may be nothing."""
        told = sorted(self._told.get(study, {}).values(), key=lambda one: one.number)
        ours = self._ours.get(study, {}).values()
        answering = any(one.purpose in ANSWERS for one in ours)
        answered = max((one.number for one in told if one.purpose in ANSWERS), default=0)
        lines = [self._line(one, waits=one.waits and not answering and one.number > answered) for one in told]
        return Conversation(
            study_uid=study,
            subject=self._subjects.get(study),
            lines=(*lines, *(_own_line(one) for one in ours)),
        )

    def all(self) -> list[Conversation]:
        """Those that need somebody first, then the newest."""
        found = [self.about(study) for study in {**self._told, **self._ours}]
        found = [one for one in found if one.lines]
        found.sort(key=lambda one: one.lines[-1].at, reverse=True)
        return sorted(found, key=lambda one: (not one.waits, not one.unread))

    def _unseen(self, one: Told) -> bool:
        return one.sender != SITE and not one.seen and one.number > self._seen.get(one.study, 0)

    def _line(self, one: Told, *, waits: bool) -> Line:
        return Line(
            ident=one.id,
            ours=one.sender == SITE,
            purpose=Purpose(one.purpose),
            need=one.need,
            text=one.text,
            author=one.author,
            at=one.at,
            seen=not self._unseen(one) if one.sender != SITE else one.seen,
            waits=waits,
            at_hub=True,
        )

    def _forget(self) -> None:
        """Conversations beyond `MOST_STUDIES` in which nothing waits, the oldest first."""
        surplus = len(self._told) - MOST_STUDIES
        if surplus > 0:
            quiet = [one for one in reversed(self.all()) if not one.waits and not one.unread]
            for conversation in quiet[:surplus]:
                self._told.pop(conversation.study_uid, None)


def _own_line(one: SiteMessage) -> Line:
    return Line(
        ident=one.id,
        ours=True,
        purpose=one.purpose,
        need="",
        text=one.text,
        author="",
        at=one.at,
        seen=False,
        waits=False,
        at_hub=False,
    )
