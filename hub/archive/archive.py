"""The archive's one way in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import cpu
from gateway.clock import Clock, rfc3339
from gateway.database import Database
from gateway.dicom.header import read_header
from gateway.envelope.layout import InstanceEntry, Notice
from gateway.log import logger
from hub import conversation
from hub.archive import notes as study_notes
from hub.archive.facts import Facts, describe
from hub.archive.incoming import Incoming, Stored
from hub.archive.index import Indexer
from hub.archive.store import BlobStore, read_at
from hub.record import Record

__all__ = ["Archive", "Incoming", "Stored"]

Within = Callable[[AsyncConnection, list[Stored]], Awaitable[None]]
"""Work of the caller inside the archive's transaction: both are kept or neither."""

log = logger("hub.archive")


class Archive:
    """Blobs and their index.

    Args:
        database: holds the index.
        store: holds the blobs.
        custody: is told of conflicts and completed studies.
        clock: for the times in the rows.
    """

    def __init__(self, database: Database, store: BlobStore, custody: Record, clock: Clock) -> None:
        self.database, self.store, self.custody, self.clock = database, store, custody, clock

    async def ingest(
        self,
        batch: Sequence[Incoming],
        notes: Sequence[tuple[str, Notice]] = (),
        *,
        within: Within | None = None,
    ) -> list[Stored]:
        """Keep a batch: blobs first, durably, then every row in one transaction. Safe to repeat.

        Args:
            batch: verified instances; their files of ``incoming`` are consumed.
            notes: site and notice, as the parcels carried them.
            within: called in the same transaction, with what became of each instance.

        Returns:
            What became of each instance, in the order of `batch`.

        Raises:
            Broken: a file is missing or has another size than stated.
        """
        facts = await cpu.run(self._keep, batch)
        now = rfc3339(self.clock.now())
        async with self.database.writing() as connection:
            indexer = Indexer(connection, self.custody, now)
            answers = await indexer.add(list(zip(batch, facts, strict=True)))
            spoken_of = await study_notes.record(connection, notes, now)
            await study_notes.expect(connection, spoken_of | set(indexer.touched))
            await conversation.take(connection, self.custody, notes, now)
            if within is not None:
                await within(connection, answers)
        for incoming, answer in zip(batch, answers, strict=True):
            log.info(
                "instance indexed",
                outcome=answer.value,
                site=incoming.site,
                sop_instance_uid=incoming.entry.sop_instance_uid,
                sha256=incoming.entry.sha256,
                parcel=incoming.parcel_id,
            )
        return answers

    def _keep(self, batch: Sequence[Incoming]) -> list[Facts]:
        """Blocking: give the blobs their places, then read their headers."""
        self.store.put_all((item.blob, item.entry.sha256, item.entry.length) for item in batch)
        return [self._facts(item) for item in batch]

    def _facts(self, incoming: Incoming) -> Facts:
        entry = incoming.entry
        with self.store.open(entry.sha256) as blob:
            handle = blob.fileno()
            header = read_header(
                lambda offset, size: read_at(handle, offset, size),
                entry.transfer_syntax_uid,
                default_charset=_charset(entry),
            )
        return describe(entry, header)


def _charset(entry: InstanceEntry) -> str | None:
    """What the edge knows its sender to mean where a dataset declares no character set."""
    told = entry.parameters.get("charset")
    return told if isinstance(told, str) else None
