"""Whether an edge's key was used where its data folder is not: a chain of numbers, turn by turn. Pure.

With an answer now and then the hub gives the next number (`NEXT_HEADER`), which only it can make. The edge
writes it down durably and shows it with every request from then on (`TURN_HEADER`). So there is one newest
number, and it lies where the edge's data folder lies. Whoever copied that folder shows an older one once the
true edge has taken its next, or takes the next one first, and then it is the true edge that shows the older:
either way two hold the key, whatever word, address or hour they use.

=====================  ==========================================================================
shown                  means
=====================  ==========================================================================
the newest             all is well; a request may be told the next
the newest plus one    it was written down and is the newest from now on: the first of several wins
the one before         all is well for `GRACE`: requests overtake one another
more than that         this hub was restored from an older database: the edge is right
less, or another       **two hold the key**, or the edge's folder was restored from an older copy
=====================  ==========================================================================

Power cuts: an edge that wrote the next number down shows it; one that did not shows the newest, and is told
another next. Both are well. After an alarm the edge is told a next number, so a folder that was restored is
told of once; two that go on are told of at each other's turns.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

TURN_HEADER = "Telerad-Turn"
NEXT_HEADER = "Telerad-Next-Turn"
PERIOD = 600.0
"""Seconds after which the next number is told."""

GRACE = 300.0
"""Seconds for which the number before may still arrive."""

OFFERS = 5
"""Answers with a next number, all unheeded for longer than `GRACE`, after which that is told."""

TAG_BYTES = 8
_TEXT = re.compile(r"([1-9][0-9]{0,14})\.([0-9a-f]{16})\.([0-9a-f]{64})")

COPY = "its key is used in two places at once"
STALE = f"{COPY}, or its data folder was restored from an older copy: it showed turn {{shown}} of {{newest}}"
FORK = f"{COPY}: two showed turn {{newest}}, and not the same one"
NONE = f"{COPY}, or an older program runs there: it showed no turn after turn {{newest}}"
UNHEEDED = "it does not write down its turns: its disk cannot be written, or a copied key is used with care"


@dataclass(frozen=True, slots=True)
class Turn:
    """A number and the tag that tells it from others of that number. None was shown: 0 and empty."""

    number: int = 0
    tag: str = ""

    def text(self, seal: str) -> str:
        """As it stands in a header."""
        return f"{self.number}.{self.tag}.{seal}"


def read(text: str) -> tuple[Turn, str] | None:
    """A turn and its seal; None if the text is none."""
    match = _TEXT.fullmatch(text)
    return None if match is None else (Turn(int(match[1]), match[2]), match[3])


class Chain:
    """The turns of one edge.

    Args:
        newest: as it was kept; None: the first that is shown is believed.
        now: seconds, of a clock that only goes forward.

    Attributes:
        newest: to be kept whenever it changes.
    """

    def __init__(self, newest: Turn | None, now: float) -> None:
        self.newest = newest
        self._before: Turn | None = None
        self._since = now
        self._run: str | None = None
        self._offers, self._first_offer = 0, now

    def show(self, shown: Turn, run: str, now: float) -> tuple[str | None, bool]:
        """One request.

        Args:
            shown: what it showed, its seal verified.
            run: its word (`hub.fleet.uses`).
            now: seconds.

        Returns:
            What to tell the administrators, if anything; and whether to tell the edge its next number.
        """
        newest = self.newest
        if newest is None or shown.number > newest.number:
            self._advance(shown, run, now)
            return None, shown.number == 0
        if shown == newest:
            return self._same(run, now)
        if shown == self._before and now - self._since <= GRACE:
            return None, False
        words = STALE if shown.number else NONE
        if shown.number == newest.number:
            words = FORK
        return words.format(shown=shown.number, newest=newest.number), True

    def _same(self, run: str, now: float) -> tuple[str | None, bool]:
        due = self.newest == Turn() or run != self._run or now - self._since >= PERIOD
        if not due:
            return None, False
        if self._offers == 0:
            self._first_offer = now
        unheeded = self._offers >= OFFERS and now - self._first_offer > GRACE and self.newest != Turn()
        self._offers += 1
        return UNHEEDED if unheeded else None, True

    def _advance(self, shown: Turn, run: str, now: float) -> None:
        self._before, self.newest = self.newest, shown
        self._since, self._run, self._offers = now, run, 0
