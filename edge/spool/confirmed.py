"""What becomes of an item that the hub has signed for: kept for a while, let go, or sent again.

The hub may be restored from a backup that is older than its receipt. So the sealed body stays for
`keep` seconds, and goes at once when the disk nears its reserve: an image that has not been sent is
worth more. A receipt that no longer counts is kept beside, as ``<parcel_id>.lost``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from edge.spool.files import SpoolFiles
from edge.spool.item import SpoolItem
from edge.spool.journal import Journal
from edge.spool.purged import PurgedLines
from edge.spool.states import WAITING, Event, State
from edge.spool.view import StudyView
from gateway import durable
from gateway.clock import Clock
from gateway.errors import Broken, StorageFull
from gateway.log import logger
from gateway.model import ParcelId

ROOM = 1.25
"""Kept bodies go when less than this times the reserve is free."""
WORDS = "the hub has lost it; it is sent again"

log = logger("edge.spool")
Change = Callable[[ParcelId, Event, str], SpoolItem]


class Confirmed:
    """Part of the spool; may be called from any thread.

    Args:
        files: the spool's.
        journal: the index.
        view: hears what is confirmed.
        change: gives an item an event, with the reason.
        newest: sequence of the newest signed header, which stays until there is a newer one.
        keep: seconds a confirmed body stays.
        reserve: bytes of the disk that are not for images.
        clock: the time.

    Attributes:
        purged: what was removed and not told yet.
    """

    def __init__(
        self,
        files: SpoolFiles,
        journal: Journal,
        view: StudyView,
        change: Change,
        newest: Callable[[], int],
        keep: float,
        reserve: int,
        clock: Clock,
    ) -> None:
        self._files, self._journal, self._view, self._change = files, journal, view, change
        self._newest, self._keep, self._reserve, self._clock = newest, keep, reserve, clock
        self.purged = PurgedLines(files.spool)
        self._lock = threading.RLock()
        self._newest_purged: SpoolItem | None = None

    def confirm(self, parcel: ParcelId, receipt: bytes) -> SpoolItem:
        """Keep the hub's receipt durably; then the body may go. Blocks."""
        target = self._files.receipt(parcel)
        durable.make_folder(target.parent)
        if target.exists():
            durable.sync_folder(target.parent)  # a first try may have failed at that
        else:
            durable.create(target, receipt)
        item = self._change(parcel, Event.CONFIRM, "")
        self._view.confirmed(parcel)
        if item.state is State.CONFIRMED and (self._keep <= 0 or not self._spacious()):
            try:
                return self._purge(item)
            except (StorageFull, OSError) as error:  # it is confirmed all the same; `let_go` tries again
                log.warning("not let go yet", parcel=parcel, reason=str(error))
        return item

    def unsigned(self, parcel: ParcelId) -> float | None:
        """Sealed bytes of an item without receipt; 0: the hub has signed; None: it is not known. Blocks."""
        item = self._journal.get(parcel)
        if item is None:
            return None
        return 0.0 if item.state in (State.CONFIRMED, State.PURGED) else float(max(1, item.sealed_size))

    def oldest_waiting(self) -> str | None:
        """When the oldest item came that waits, RFC 3339. Blocks."""
        return self._journal.oldest(WAITING)

    def kept(self) -> list[SpoolItem]:
        """Confirmed items whose bodies are still here, the longest confirmed first. Blocks.

        One without a receipt is not among them: what the hub lost was half noted, and the next start ends it.
        """
        found = self._journal.in_states((State.CONFIRMED,), -1)
        items = [item for item in found if self._files.receipt(item.parcel_id).exists()]
        return [item for _, item in sorted(((self._since(item), item) for item in items), key=_first)]

    def let_go(self) -> int:
        """Remove bodies that were kept long enough, or whose room is needed. Blocks. How many."""
        gone = 0
        now = self._clock.now().timestamp()
        for item in self.kept():
            age = now - self._since(item)
            if self._keep > 0 and age < self._keep and self._spacious():
                if age < -1:  # the clock was put back: count from now on
                    self._files.receipt(item.parcel_id).touch()
                continue
            self._purge(item)
            gone += 1
        return gone

    def make_room(self, incoming: int) -> None:
        """Let as much go as `incoming` bytes need, the longest kept first. Blocks."""
        if self._spacious(incoming):
            return
        for item in self.kept():
            self._purge(item)
            if self._spacious(incoming):
                return

    def lost(self, parcel: ParcelId) -> SpoolItem | None:
        """The hub no longer knows a confirmed item: send it again. None: it is no longer kept. Blocks."""
        with self._lock:
            return self._lose(parcel)

    def _lose(self, parcel: ParcelId) -> SpoolItem | None:
        item = self._journal.get(parcel)
        if item is None or item.state is not State.CONFIRMED or not self._files.body(parcel).exists():
            return None
        receipt = self._files.receipt(parcel)
        if receipt.exists():
            durable.replace(self._files.lost(parcel), receipt.read_bytes())
            durable.remove(receipt)
        log.warning("the hub has lost a parcel it had signed for", parcel=parcel, sequence=item.sequence)
        return self._change(parcel, Event.LOSE, WORDS)

    def _purge(self, item: SpoolItem) -> SpoolItem:
        """Remove the body, and the header unless it is the newest; the receipt is durable already."""
        if not self._files.receipt(item.parcel_id).exists():
            raise Broken(f"parcel {item.parcel_id} has no receipt and must not be purged")
        with self._lock:
            current = self._journal.get(item.parcel_id)
            if current is None or current.state is not State.CONFIRMED:
                return current or item  # it has gone, or is sent again, meanwhile
            if current.digest is not None:
                self.purged.add(current.digest)
            self._files.body(item.parcel_id).unlink(missing_ok=True)
            self._files.held(item.parcel_id).unlink(missing_ok=True)
            self.drop_header(item)
            return self._change(item.parcel_id, Event.PURGE, "")

    def begin(self) -> None:
        """At start: let go what may go, and the headers of what has gone."""
        self.let_go()
        for parcel, _ in self._files.parcels(".head"):
            kept = self._journal.get(parcel)
            if kept is not None and kept.state is State.PURGED:
                self.drop_header(kept)

    def drop_header(self, item: SpoolItem) -> None:
        """Remove a purged item's header; the newest one of all stays until there is a newer one."""
        with self._lock:
            going = [one for one in (self._newest_purged, item) if one is not None]
            self._newest_purged = None
            for one in going:
                if one.sequence is None or one.sequence < self._newest():
                    self._files.head(one.parcel_id).unlink(missing_ok=True)
                else:
                    self._newest_purged = one

    def _spacious(self, incoming: int = 0) -> bool:
        return durable.free_bytes(self._files.spool) - incoming > self._reserve * ROOM

    def _since(self, item: SpoolItem) -> float:
        """When it was confirmed, seconds since 1970."""
        try:
            return self._files.receipt(item.parcel_id).stat().st_mtime
        except FileNotFoundError:
            return datetime.now(UTC).timestamp()


def _first(pair: tuple[float, SpoolItem]) -> float:
    return pair[0]
