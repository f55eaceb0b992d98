"""Makes one parcel of several, while the spool still remembers how to open them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from edge.spool.files import SpoolFiles
from edge.spool.item import SpoolItem
from edge.spool.journal import Journal
from edge.spool.kept import Kept, KeptKeys
from edge.spool.merge import finish, merge
from edge.spool.view import StudyView
from gateway.envelope.seal import KemPublic
from gateway.errors import Unverified
from gateway.model import ParcelId, SiteId


class Merger:
    """Part of the spool; `keep` is called from any thread, the rest by the one task that signs.

    Args:
        files: the spool's.
        journal: the index.
        view: is told which parcels stand for which.
        site: our own.
        recipients: the hub's current keys.
        merged: unsigned parcels that stand for others, as found at start.
    """

    def __init__(
        self,
        files: SpoolFiles,
        journal: Journal,
        view: StudyView,
        site: SiteId,
        recipients: Callable[[], Sequence[KemPublic]],
        merged: Mapping[ParcelId, tuple[ParcelId, ...]],
    ) -> None:
        self._files, self._journal, self._view = files, journal, view
        self._site, self._recipients = site, recipients
        self._kept = KeptKeys()
        self._merged = dict(merged)

    def keep(self, parcel: ParcelId, key: bytes, study: str) -> None:
        """Remember how to open an item that was just sealed, and what it may travel with."""
        self._kept.keep(parcel, Kept(key, study))

    def study_of(self, parcel: ParcelId) -> str | None:
        """The study of an unsigned item that may travel with others; None if it may not (any more)."""
        kept = self._kept.get(parcel)
        return kept.study if kept else None

    def merge(self, items: Sequence[SpoolItem]) -> SpoolItem:
        """Seal unsigned items anew, as one parcel that stands for them; it is to be signed next. Blocks.

        Raises:
            DataError: a file is damaged; the items are as before, and travel alone from now on.
            OSError: likewise, it cannot be read.
            StorageFull: likewise, there is no room.
        """
        parcels = [item.parcel_id for item in items]
        parts = [(item, kept.key) for item in items if (kept := self._kept.get(item.parcel_id))]
        self._kept.drop(parcels)
        if len(parts) != len(items):
            raise Unverified("an item's key is no longer there")
        new = ParcelId(secrets.token_hex(16))
        merged, draft = merge(self._files, new, parts, self._recipients(), self._site)
        item = replace(merged.item, sealed_size=draft.sealed_size, chunk_count=len(draft.chunks))
        self._merged[new] = merged.parcels
        self._view.merged(new, merged.parcels)
        self._journal.put(item)
        self._journal.forget(parcels)
        return item

    def signed(self, parcel: ParcelId) -> None:
        """An item's signed header is durable: let those go that it stands for. Blocks."""
        self._kept.drop([parcel])
        originals = self._merged.pop(parcel, None)
        if originals is not None:
            self._journal.forget(originals, durably=True)  # or they would be missed after a power cut
            finish(self._files, parcel, originals)
