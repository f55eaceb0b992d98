"""Makes one parcel of one or several items, coded, while the spool still remembers how to open them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from edge.spool.coding import Coding, Line
from edge.spool.custodian import Custodian
from edge.spool.files import SpoolFiles
from edge.spool.item import SpoolItem
from edge.spool.journal import Journal
from edge.spool.kept import Kept, KeptKeys
from edge.spool.merge import finish, merge
from edge.spool.refill import Original
from edge.spool.view import StudyView
from gateway.envelope.layout import CHUNK_SIZE
from gateway.envelope.seal import BodySealer, KemPublic
from gateway.errors import Unverified
from gateway.model import ParcelId, SiteId

ALONE = 128 << 10
"""Sealed bytes beside which a header of its own weighs nothing: uncoded, such items are not gathered."""
LEAST_CHUNK = 64 << 10
CHUNK_AT_FIRST = 256 << 10
"""While the rate is not known: on a slow line, what is urgent waits for the end of one."""
CHUNK_SECONDS = 0.25
"""What a chunk should take of the line at most: it is the least that is sent again after a break, and the
last one goes on one stream, while the others have nothing to send any more."""
CHUNKS = 512
"""Chunks of a parcel at most, or its header would grow long, unless they are of the usual size already."""
WEIGHT = 0.3
"""Of a parcel's ratio against the mean of those before."""


def chunk_bytes(rate: float, plain: int) -> int:
    """Plain bytes of a chunk of a parcel that is sealed anew.

    Args:
        rate: bytes a second the line carries; 0: not known.
        plain: bytes of its instances, before they are coded.
    """
    wanted = max(int(rate * CHUNK_SECONDS), plain // CHUNKS) if rate > 0 else CHUNK_AT_FIRST
    size = LEAST_CHUNK
    while 2 * size <= wanted and size < CHUNK_SIZE:
        size *= 2
    return size


@dataclass(frozen=True, slots=True)
class Made:
    """An item that is to be signed next.

    Attributes:
        item: it.
        plain: bytes of its instances as they came, or sealed if it goes as it is.
        coded: bytes of its payload.
        ways: how many instances went by which way; empty if it goes as it is.
        seconds: taken.
    """

    item: SpoolItem
    plain: int
    coded: int
    ways: Mapping[str, int]
    seconds: float = 0.0


class Merger:
    """Part of the spool. `merge` may run for other items at the same time; `signed` for one after another.

    Args:
        files: the spool's.
        journal: the index.
        view: is told which parcels stand for which.
        site: our own.
        recipients: the hub's current keys.
        merged: unsigned parcels that stand for others, as found at start.
        custodian: who hears of instances whose SHA-256 is taken when they are sealed anew.

    Attributes:
        coding: how instances are made smaller.
    """

    def __init__(
        self,
        files: SpoolFiles,
        journal: Journal,
        view: StudyView,
        site: SiteId,
        recipients: Callable[[], Sequence[KemPublic]],
        merged: Mapping[ParcelId, tuple[ParcelId, ...]],
        custodian: Callable[[], Custodian],
    ) -> None:
        self._files, self._journal, self._view = files, journal, view
        self._site, self._recipients = site, recipients
        self._kept = KeptKeys()
        self._merged, self._custodian = dict(merged), custodian
        self._ratios: dict[str, float] = {}
        self.coding = Coding()

    def keep(self, parcel: ParcelId, kept: Kept) -> None:
        """Remember how to open an item that was just sealed, and what it may travel with."""
        self._kept.keep(parcel, kept)

    def kept(self, parcel: ParcelId) -> Kept | None:
        """What is remembered of an unsigned item; None if it can no longer be opened."""
        return self._kept.get(parcel)

    def size(self, item: SpoolItem) -> float:
        """Coded bytes an item will probably take, by how others of its modality shrank of late."""
        ratio = self._ratios.get(item.modality, 1.0) if self._kept.get(item.parcel_id) else 1.0
        return item.sealed_size / ratio

    def merge(
        self,
        items: Sequence[SpoolItem],
        line: Line,
        *,
        lead: bool = False,
        new: ParcelId | None = None,
    ) -> Made:
        """Seal unsigned items anew, as one parcel that stands for them; it is to be signed next. Blocks.

        If coding would gain little, the first goes as it is, unless it is small and others go with it; these
        are left for the next call.

        Args:
            items: at least one.
            line: what coding is weighed against.
            lead: whether it travels before others of its priority.
            new: a fresh identifier for the parcel.

        Raises:
            DataError: a file is damaged; the items are as before, and travel as they are from now on.
            OSError: likewise, it cannot be read.
            StorageFull: likewise, there is no room.
        """
        began = time.monotonic()
        parcels = [item.parcel_id for item in items]
        parts = [(item, kept.key) for item in items if (kept := self._kept.get(item.parcel_id))]
        self._kept.drop(parcels[:1])
        if len(parts) != len(items):
            raise Unverified("an item's key is no longer there")
        if (len(parts) == 1 or items[0].sealed_size >= ALONE) and not self._pays(*parts[0], line):
            return self.plain(items[0], lead=lead)
        self._kept.drop(parcels)
        new = new or ParcelId(secrets.token_hex(16))
        size = chunk_bytes(line.rate, sum(item.sealed_size for item, _ in parts))
        packed = merge(self._files, new, parts, self._sealer_of(size), self.coding, line)
        self._custodian().named(packed.named)
        item = replace(
            packed.merged.item,
            sealed_size=packed.draft.sealed_size,
            chunk_count=len(packed.draft.chunks),
            lead=lead,
        )
        self._merged[new] = packed.merged.parcels
        self._view.merged(new, packed.merged.parcels, packed.draft.sealed_size)
        self._journal.put(item)
        self._journal.forget(parcels)
        self._learn(item.modality, packed.plain / max(packed.draft.plain_size, 1))
        return Made(item, packed.plain, packed.draft.plain_size, packed.ways, time.monotonic() - began)

    def plain(self, item: SpoolItem, *, lead: bool = False) -> Made:
        """An item as it was sealed. Blocks."""
        if lead:
            item = replace(item, lead=True)
            self._journal.mark_lead(item.parcel_id)
        return Made(item, item.sealed_size, item.sealed_size, {})

    def signed(self, parcel: ParcelId) -> None:
        """An item's signed header is durable: let those go that it stands for. Blocks."""
        self._kept.drop([parcel])
        originals = self._merged.pop(parcel, None)
        if originals is not None:
            self._journal.forget(originals, durably=True)  # or they would be missed after a power cut
            finish(self._files, parcel, originals)

    def _pays(self, item: SpoolItem, key: bytes, line: Line) -> bool:
        with ExitStack() as stack:
            original = stack.enter_context(Original.open(self._files, item, key))
            tasks = [original.task(entry, self.coding, line) for entry in original.own.manifest.instances]
        return any(task is not None and self.coding.pays(task) for task in tasks)

    def _sealer_of(self, size: int) -> Callable[[Callable[[memoryview], object], ParcelId], BodySealer]:
        def sealer(sink: Callable[[memoryview], object], parcel: ParcelId) -> BodySealer:
            return BodySealer(sink, self._recipients(), parcel, site=self._site, chunk_size=size)

        return sealer

    def _learn(self, modality: str, ratio: float) -> None:
        known = self._ratios.get(modality)
        self._ratios[modality] = ratio if known is None else known + WEIGHT * (ratio - known)
