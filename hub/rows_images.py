"""Whether the index still says of every image what the image says itself.

A row's UIDs, patient ID and modality were read from the dataset's header when it was indexed. Most rows
are held to that header alone, of which a few kilobytes are read. Where a header says otherwise (it cannot
be read, or the sender named other UIDs in its command), the parcel's manifest is opened, the image described
anew as on its arrival, and that compared. The first image of a study named its patient, that of a series
its modality.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import func, select

from gateway.database import Database
from gateway.dicom import tags
from gateway.dicom.attributes import read_attributes
from gateway.dicom.header import read_header
from gateway.envelope.kem import KemKeys
from gateway.envelope.layout import Header, InstanceEntry
from gateway.envelope.receipt import Receipt
from gateway.envelope.signature import Statement
from gateway.envelope.unseal import BodyOpener
from gateway.errors import DataError
from hub.archive.facts import describe
from hub.archive.store import BlobStore
from hub.tables.arrival import arrivals
from hub.tables.study import instances, patients, series, studies

BATCH = 200
"""Images compared in one step beside the loop."""

FAULTS = 1000
"""As many are told; a database edited throughout need not be listed row by row."""

COLUMNS = {
    "sop_class_uid": "SOPClassUID",
    "sop_instance_uid": "SOPInstanceUID",
    "series_uid": "SeriesInstanceUID",
    "study_uid": "StudyInstanceUID",
    "modality": "Modality",
    "patient_id": "PatientID",
}
_WANTED = frozenset(tags.BY_KEYWORD[word].tag for word in (*COLUMNS.values(), "SpecificCharacterSet"))


class Images:
    """Compares. One object goes on where it stopped, and begins again after the last image.

    Args:
        database: the hub's.
        store: the images.
        kem_keys: open the manifests.
    """

    def __init__(self, database: Database, store: BlobStore, kem_keys: KemKeys) -> None:
        self._database, self._store, self._kem_keys = database, store, kem_keys
        self._position = -1

    async def begin_anywhere(self) -> None:
        """Begin at some image, so that a hub that is often started anew comes to all of them, too."""
        async with self._database.reading() as connection:
            last = (await connection.execute(select(func.max(instances.c.id)))).scalar() or 0
        self._position = secrets.randbelow(last + 1) - 1

    async def look(self, limit: int | None = None, rest: float = 0.0) -> list[str]:
        """Compare the next images, each once.

        Args:
            limit: about as many; None: all.
            rest: seconds to leave the processor to others after every step.

        Returns:
            What does not fit, a line each.
        """
        begun, wrapped, seen = self._position, self._position < 0, 0
        found: list[str] = []
        while (limit is None or seen < limit) and len(found) < FAULTS:
            rows = await self._next()
            if not rows and wrapped:
                self._position = -1
                break
            if not rows:
                self._position, wrapped = -1, True
                continue
            self._position = rows[-1]["id"]
            seen += len(rows)
            found += await asyncio.to_thread(self._compare, rows)
            if wrapped and 0 <= begun <= self._position:
                break
            await asyncio.sleep(rest)
        return found

    async def _next(self) -> list[dict[str, Any]]:
        """The next rows, each with whether it is the first image of its series and of its study."""
        query = (
            select(
                *(instances.c[name] for name in ("id", "sha256", "transfer_syntax_uid", "origin")),
                *(instances.c[name] for name in ("sop_class_uid", "sop_instance_uid")),
                series.c.id.label("series"),
                series.c.study,
                series.c.series_uid,
                series.c.modality,
                studies.c.study_uid,
                patients.c.patient_id,
                arrivals.c.header,
                arrivals.c.receipt,
            )
            .join(series, instances.c.series == series.c.id)
            .join(studies, series.c.study == studies.c.id)
            .join(patients, studies.c.patient == patients.c.id)
            .join(arrivals, arrivals.c.parcel_id == instances.c.parcel_id, isouter=True)
            .where(instances.c.id > self._position)
            .order_by(instances.c.id)
            .limit(BATCH)
        )
        async with self._database.reading() as connection:
            rows = [dict(row) for row in (await connection.execute(query)).mappings()]
            lowest = select(func.min(instances.c.id)).join(series, instances.c.series == series.c.id)
            first: set[tuple[str, int]] = set()
            for name, key in (("series", series.c.id), ("study", series.c.study)):
                places = {row[name] for row in rows}
                found = await connection.execute(lowest.where(key.in_(places)).group_by(key))
                first |= {(name, number) for (number,) in found}
        for row in rows:
            row["leads"] = {name for name in ("series", "study") if (name, row["id"]) in first}
        return rows

    def _compare(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        """Blocking."""
        entries: dict[bytes, dict[str, InstanceEntry]] = {}
        return [
            f"instance {row['sha256'][:16]}…: {fault}" for row in rows for fault in self._faults(row, entries)
        ]

    def _faults(
        self, row: Mapping[str, Any], entries: dict[bytes, dict[str, InstanceEntry]]
    ) -> Iterator[str]:
        said = {name: row[name] for name in COLUMNS}
        if "series" not in row["leads"]:
            del said["modality"]
        if "study" not in row["leads"]:
            del said["patient_id"]
        try:
            read = partial(self._store.read, row["sha256"])
            values, _ = read_attributes(read, row["transfer_syntax_uid"], wanted=_WANTED)
            found = {name: values.get(COLUMNS[name], "") for name in said}
            if found != said and row["receipt"] is not None:
                found = self._again(row, entries, found)
        except OSError as error:
            yield f"its bytes cannot be read: {error.strerror}"
            return
        except DataError as error:
            yield f"the manifest of its parcel does not open: {error}"
            return
        wrong = [COLUMNS[name] for name in said if said[name] != found[name]]
        if wrong:
            yield f"its row has another {', '.join(wrong)} than the image"

    def _again(
        self, row: Mapping[str, Any], entries: dict[bytes, dict[str, InstanceEntry]], found: dict[str, str]
    ) -> dict[str, str]:
        """The same columns as on its arrival, by the manifest; `found`, if that does not list the image."""
        signed = bytes(row["header"])
        if signed not in entries:
            opener = BodyOpener(Header.from_bytes(Statement.from_bytes(signed).payload), self._kem_keys)
            receipt = Receipt.from_bytes(Statement.from_bytes(bytes(row["receipt"])).payload)
            manifest = opener.manifest.named([one.sha256 for one in receipt.instances])
            entries[signed] = {one.sha256: one for one in manifest.instances}
        entry = entries[signed].get(row["sha256"])
        if entry is None:
            return found
        told = entry.parameters.get("charset")
        header = read_header(
            partial(self._store.read, row["sha256"]),
            entry.transfer_syntax_uid,
            default_charset=told if isinstance(told, str) else None,
        )
        facts = describe(entry, header)
        whole: dict[str, Any] = {**facts.patient, **facts.study, **facts.series, **facts.instance}
        return {name: whole[name] for name in COLUMNS}
