"""Rows for a batch of instances, inside one transaction of the caller.

Everything is found by exact keys with an index behind them, and counters are moved by what was
added, never counted again: the cost of a batch does not grow with the archive.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Table, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.archive.facts import Columns, Facts
from hub.archive.incoming import Incoming, Stored
from hub.archive.states import StudyEvent, StudyState, step
from hub.record import Record
from hub.tables.study import instances, patients, series, studies
from hub.tables.told import series_promises, study_clocks

UIDS_PER_QUERY = 500
"""Bound parameters of one statement are limited (SQLite of old: 999)."""

_KEPT_WHEN_BLANK = (
    "patient_name",
    "patient_name_folded",
    "patient_birth_date",
    "patient_sex",
    "study_date",
    "study_time",
    "accession",
    "study_id",
    "description",
    "referring",
    "institution",
    "clinical_question",
)
"""Columns of a study that a later instance may fill but not change."""


@dataclass(slots=True)
class _Study:
    """A study in this batch: its row as found, and what the batch changes."""

    row: dict[str, Any]
    changes: Columns = field(default_factory=dict)
    added: int = 0
    new_series: int = 0
    conflicts: int = 0
    arrivals: int = 0
    news: bool = False  # bytes from an edge that were not here

    @property
    def id(self) -> int:
        return int(self.row["id"])

    def fill(self, columns: Columns) -> None:
        """Take over what the row does not have yet."""
        for name in _KEPT_WHEN_BLANK:
            if columns[name] and not self.row[name]:
                self.row[name] = self.changes[name] = columns[name]

    def add_word(self, column: str, word: str) -> None:
        """Add one word to a sorted, backslash-joined list."""
        words = {part for part in self.row[column].split("\\") if part}
        if word and word not in words:
            self.row[column] = self.changes[column] = "\\".join(sorted(words | {word}))


@dataclass(slots=True)
class _Series:
    """A series in this batch."""

    id: int
    added: int = 0
    versions: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # SOP UID → digests


class Indexer:
    """Writes one batch.

    Args:
        connection: of the caller's writing transaction.
        custody: the log that conflicts are entered in.
        now: RFC 3339.
    """

    def __init__(self, connection: AsyncConnection, custody: Record, now: str) -> None:
        self._connection, self._custody, self._now = connection, custody, now
        self._studies: dict[tuple[str, str], _Study] = {}
        self._series: dict[tuple[int, str], _Series] = {}
        self._elsewhere: dict[tuple[str, str], set[tuple[str, int]]] = defaultdict(set)

    async def add(self, batch: Sequence[tuple[Incoming, Facts]]) -> list[Stored]:
        """Index every instance; the answers are in the order of `batch`."""
        for incoming, facts in batch:
            await self._prepare(incoming, facts)
        await self._find_known(batch)
        rows: list[Columns] = []
        answers = [await self._judge(incoming, facts, rows) for incoming, facts in batch]
        if rows:
            await self._connection.execute(insert(instances), rows)
        await self._count()
        return answers

    @property
    def touched(self) -> Iterable[tuple[str, str]]:
        """Site and Study Instance UID of every study of the batch."""
        return self._studies.keys()

    async def _prepare(self, incoming: Incoming, facts: Facts) -> None:
        """Make sure that patient, study and series have their rows."""
        key = (incoming.site, facts.study["study_uid"])
        study = self._studies.get(key)
        if study is None:
            study = self._studies[key] = await self._study(incoming, facts)
        study.fill(facts.study)
        study.add_word("modalities", facts.series["modality"])
        study.add_word("body_parts", facts.series["body_part"])
        if incoming.priority < study.row["priority"]:
            study.row["priority"] = study.changes["priority"] = int(incoming.priority)
        place = (study.id, facts.series["series_uid"])
        if place not in self._series:
            self._series[place] = await self._one_series(study, facts)

    async def _study(self, incoming: Incoming, facts: Facts) -> _Study:
        keys = {"site": incoming.site, "study_uid": facts.study["study_uid"]}
        row = await _find(self._connection, studies, keys)
        if row is None:
            patient = await self._patient(incoming.site, facts.patient)
            columns = facts.study | {
                "site": incoming.site,
                "patient": patient,
                "state": StudyState.ARRIVING.value,
                "priority": int(incoming.priority),
                "first_at": self._now,
                "last_at": self._now,
            }
            await self._connection.execute(insert(studies).values(columns))
            row = await _find(self._connection, studies, keys)
            if facts.utc_offset and row is not None:
                clock = {"study": row["id"], "utc_offset": facts.utc_offset}
                await self._connection.execute(insert(study_clocks).values(clock))
        return _Study(dict(row or {}))

    async def _patient(self, site: str, columns: Columns) -> int:
        keys = {"site": site, "issuer": columns["issuer"], "patient_id": columns["patient_id"]}
        row = await _find(self._connection, patients, keys)
        if row is None:
            await self._connection.execute(insert(patients).values(columns | {"site": site}))
            row = await _find(self._connection, patients, keys)
        return int((row or {})["id"])

    async def _one_series(self, study: _Study, facts: Facts) -> _Series:
        keys = {"study": study.id, "series_uid": facts.series["series_uid"]}
        row = await _find(self._connection, series, keys)
        if row is None:
            await self._connection.execute(insert(series).values(facts.series | {"study": study.id}))
            row = await _find(self._connection, series, keys)
            study.new_series += 1
            if facts.promised is not None and row is not None:
                promise = {"series": row["id"], "instances": facts.promised}
                await self._connection.execute(insert(series_promises).values(promise))
        return _Series(int((row or {})["id"]))

    async def _find_known(self, batch: Sequence[tuple[Incoming, Facts]]) -> None:
        """Which versions of the batch's SOP Instance UIDs the sites have sent before."""
        uids = sorted({facts.place[2] for _, facts in batch})
        mine = {entry.id: entry for entry in self._series.values()}
        for start in range(0, len(uids), UIDS_PER_QUERY):
            query = (
                select(instances.c.series, instances.c.sop_instance_uid, instances.c.sha256, studies.c.site)
                .join(series, instances.c.series == series.c.id)
                .join(studies, series.c.study == studies.c.id)
                .where(instances.c.sop_instance_uid.in_(uids[start : start + UIDS_PER_QUERY]))
            )
            for place, uid, sha256, site in await self._connection.execute(query):
                self._elsewhere[site, uid].add((sha256, place))
                if place in mine:
                    mine[place].versions[uid].add(sha256)

    async def _judge(self, incoming: Incoming, facts: Facts, rows: list[Columns]) -> Stored:
        """New, the same again, or other bytes under a known UID."""
        study = self._studies[incoming.site, facts.study["study_uid"]]
        place = self._series[study.id, facts.series["series_uid"]]
        uid, sha256 = facts.place[2], str(incoming.entry.sha256)
        if incoming.origin == "edge":
            study.arrivals += 1
        if sha256 in place.versions[uid]:
            return Stored.SAME
        others = {digest for digest, _ in self._elsewhere[incoming.site, uid]} - {sha256}
        current = not place.versions[uid]  # the first version of a series leads, whatever comes later
        place.versions[uid].add(sha256)
        self._elsewhere[incoming.site, uid].add((sha256, place.id))
        rows.append(
            facts.instance
            | {
                "series": place.id,
                "current": current,
                "origin": incoming.origin,
                "parcel_id": incoming.parcel_id,
                "indexed_at": self._now,
            }
        )
        study.news = study.news or incoming.origin == "edge"
        if current:
            place.added += 1
            study.added += 1
        if not others:
            return Stored.NEW
        study.conflicts += 1
        detail = {"known": sorted(others), "parcel": incoming.parcel_id}
        await self._custody.append(
            self._connection, "conflict", site=incoming.site, subject=sha256, detail=detail
        )
        return Stored.CONFLICT

    async def _count(self) -> None:
        for place in self._series.values():
            if place.added:
                count = series.c.instance_count + place.added
                await self._connection.execute(
                    update(series).where(series.c.id == place.id).values(instance_count=count)
                )
        for study in self._studies.values():
            await self._connection.execute(
                update(studies).where(studies.c.id == study.id).values(self._study_changes(study))
            )

    def _study_changes(self, study: _Study) -> Columns:
        changes = study.changes | {
            "instance_count": studies.c.instance_count + study.added,
            "series_count": studies.c.series_count + study.new_series,
            "conflicts": studies.c.conflicts + study.conflicts,
            "received_count": studies.c.received_count + study.arrivals,
        }
        if study.arrivals:
            changes["last_at"] = self._now
        if study.news:
            changes["state"] = step(StudyState(study.row["state"]), StudyEvent.ARRIVED).value
        return changes


async def _find(connection: AsyncConnection, table: Table, keys: Mapping[str, Any]) -> dict[str, Any] | None:
    """The one row with these keys, if it is there."""
    query = select(table)
    for name, value in keys.items():
        query = query.where(table.c[name] == value)
    row = (await connection.execute(query)).mappings().first()
    return dict(row) if row is not None else None
