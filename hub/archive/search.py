"""Questions to the index, each answered within a `Scope`: what may not be seen is never fetched.

Rows come as dictionaries of columns. A study's row carries the ``patient_id`` and ``issuer`` of its
patient; a row of a lower level carries those above it, under ``study`` and ``series`` prefixes
where names would collide. The order is stable: newest studies first, then by number, then by id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    String,
    and_,
    case,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.archive.matching import Attribute, Between, Kind, Level, Match, Search, Wildcard, like
from hub.archive.scope import Scope
from hub.tables.study import instances, patients, series, studies

Found = Mapping[str, Any]

_WITHOUT_ID = case((patients.c.patient_id == "", literal("", String)), else_=patients.c.issuer)
"""The issuer; a patient without an ID is keyed by its study there, which is nobody's issuer."""

_STUDY: list[Any] = [studies, patients.c.patient_id, _WITHOUT_ID.label("issuer")]
_LIGHT: list[Any] = [column for column in instances.c if column.name != "metadata"]

_ORDER = {
    Level.STUDY: (studies.c.study_date.desc(), studies.c.study_time.desc(), studies.c.id.desc()),
    Level.SERIES: (func.coalesce(series.c.number, 2**31), series.c.id),
    Level.INSTANCE: (func.coalesce(instances.c.number, 2**31), instances.c.id),
}


def visible(scope: Scope) -> ColumnElement[bool]:
    """The WHERE clause of a scope on `studies`; a scope that grants nothing sees nothing."""
    if scope.all:
        return true()
    limits: list[ColumnElement[bool]] = []
    if scope.sites is not None:
        limits.append(studies.c.site.in_(sorted(scope.sites)))
    if scope.studies is not None:
        limits.append(studies.c.id.in_(sorted(scope.studies)))
    return and_(*limits) if limits else false()


async def find_studies(connection: AsyncConnection, search: Search, scope: Scope) -> list[Found]:
    """Studies that match, newest first. One study sent by two sites is two rows."""
    query = select(*_STUDY).join(patients, studies.c.patient == patients.c.id)
    return await _page(connection, query, search, scope, Level.STUDY)


async def find_series(
    connection: AsyncConnection, search: Search, scope: Scope, study: int | None = None
) -> list[Found]:
    """Series that match, of one study (its row id) or of all; each with its study's columns."""
    query = (
        select(*_prefixed(series, "series_"), *_STUDY)
        .join(studies, series.c.study == studies.c.id)
        .join(patients, studies.c.patient == patients.c.id)
    )
    if study is not None:
        query = query.where(studies.c.id == study)
    return await _page(connection, query, search, scope, Level.SERIES)


async def find_instances(
    connection: AsyncConnection,
    search: Search,
    scope: Scope,
    *,
    study: int | None = None,
    one_series: int | None = None,
) -> list[Found]:
    """Current instances that match; each with its series' and study's columns, without metadata."""
    query = (
        select(*_prefixed(instances, "instance_"), *_prefixed(series, "series_"), *_STUDY)
        .join(series, instances.c.series == series.c.id)
        .join(studies, series.c.study == studies.c.id)
        .join(patients, studies.c.patient == patients.c.id)
        .where(instances.c.current)
    )
    if study is not None:
        query = query.where(studies.c.id == study)
    if one_series is not None:
        query = query.where(series.c.id == one_series)
    return await _page(connection, query, search, scope, Level.INSTANCE)


async def study_by_uid(
    connection: AsyncConnection, study_uid: str, scope: Scope, site: str | None = None
) -> Found | None:
    """The study of this UID; if two sites have sent one, the newest, unless `site` says which."""
    query = (
        select(*_STUDY)
        .join(patients, studies.c.patient == patients.c.id)
        .where(studies.c.study_uid == study_uid, visible(scope))
        .order_by(studies.c.first_at.desc(), studies.c.id.desc())
    )
    if site is not None:
        query = query.where(studies.c.site == site)
    return _first((await connection.execute(query.limit(1))).first())


async def study_by_id(connection: AsyncConnection, study: int, scope: Scope) -> Found | None:
    """The study of this row."""
    query = (
        select(*_STUDY)
        .join(patients, studies.c.patient == patients.c.id)
        .where(studies.c.id == study, visible(scope))
    )
    return _first((await connection.execute(query)).first())


async def stored_instances(
    connection: AsyncConnection,
    study: int,
    *,
    series_uid: str | None = None,
    sop_instance_uid: str | None = None,
    sha256: str | None = None,
    every_version: bool = False,
) -> list[Found]:
    """What is needed to serve the instances of one study the caller may see: rows without metadata.

    Args:
        connection: to read with.
        study: its row.
        series_uid: only of this series.
        sop_instance_uid: only this instance.
        sha256: this version of it, even if another is current.
        every_version: also contents that came later under the same UID, behind the current one.
    """
    query = (
        select(*_LIGHT, series.c.series_uid, series.c.modality)
        .join(series, instances.c.series == series.c.id)
        .where(series.c.study == study)
        .order_by(*_ORDER[Level.SERIES], *_ORDER[Level.INSTANCE])
    )
    if series_uid is not None:
        query = query.where(series.c.series_uid == series_uid)
    if sop_instance_uid is not None:
        query = query.where(instances.c.sop_instance_uid == sop_instance_uid)
    if sha256 is not None:
        query = query.where(instances.c.sha256 == sha256)
    elif every_version:
        query = query.order_by(instances.c.current.desc(), instances.c.id)
    else:
        query = query.where(instances.c.current)
    return [dict(row) for row in (await connection.execute(query)).mappings()]


async def metadata_of(connection: AsyncConnection, ids: Sequence[int]) -> list[tuple[int, bytes | None]]:
    """The kept DICOM JSON (compressed) of some instances, by row id, in the order of `ids`."""
    query = select(instances.c.id, instances.c.metadata).where(instances.c.id.in_(ids))
    found = {row[0]: row[1] for row in await connection.execute(query)}
    return [(one, found.get(one)) for one in ids]


async def versions(connection: AsyncConnection, study: int) -> list[Found]:
    """Every instance row of SOP Instance UIDs in a study that came with more than one content."""
    mine = (
        select(instances.c.sop_instance_uid)
        .join(series, instances.c.series == series.c.id)
        .where(series.c.study == study)
        .group_by(instances.c.sop_instance_uid)
        .having(func.count() > 1)
    )
    query = (
        select(*_LIGHT, series.c.series_uid)
        .join(series, instances.c.series == series.c.id)
        .where(series.c.study == study, instances.c.sop_instance_uid.in_(mine))
        .order_by(instances.c.sop_instance_uid, instances.c.id)
    )
    return [dict(row) for row in (await connection.execute(query)).mappings()]


async def priors(connection: AsyncConnection, study: int, scope: Scope, limit: int = 50) -> list[Found]:
    """Other studies of the same patient, newest first.

    The patient is (site, issuer, patient ID); studies whose own header names somebody else with
    that ID are here too, and their ``patient_name`` tells.
    """
    patient = select(studies.c.patient).where(studies.c.id == study).scalar_subquery()
    query = (
        select(*_STUDY)
        .join(patients, studies.c.patient == patients.c.id)
        .where(studies.c.patient == patient, studies.c.id != study, visible(scope))
        .order_by(*_ORDER[Level.STUDY])
        .limit(limit)
    )
    return [dict(row) for row in (await connection.execute(query)).mappings()]


async def _page(
    connection: AsyncConnection, query: Select[Any], search: Search, scope: Scope, level: Level
) -> list[Found]:
    conditions = [_condition(attribute, match, level) for attribute, match in search.matches.items()]
    query = query.where(visible(scope), *conditions).order_by(*_order(level))
    query = query.limit(search.limit).offset(search.offset)
    return [dict(row) for row in (await connection.execute(query)).mappings()]


def _order(level: Level) -> list[Any]:
    order: list[Any] = list(_ORDER[Level.STUDY])
    if level is not Level.STUDY:
        order += _ORDER[Level.SERIES]
    if level is Level.INSTANCE:
        order += _ORDER[Level.INSTANCE]
    return order


def _prefixed(table: Any, prefix: str) -> list[ColumnElement[Any]]:
    return [column.label(prefix + column.name) for column in table.c if column.name != "metadata"]


def _condition(attribute: Attribute, match: Match, level: Level) -> ColumnElement[bool]:
    """One match as SQL; an attribute below the level of the answer asks whether any row below has it."""
    held = _holds(attribute, match)
    if level is Level.INSTANCE or attribute.level in {Level.STUDY, level}:
        return held
    if attribute.level is Level.SERIES:
        owner, below = studies.c.id, select(series.c.study).where(held)
    elif level is Level.SERIES:
        owner, below = series.c.id, select(instances.c.series).where(instances.c.current, held)
    else:
        joined = select(series.c.study).join(instances, instances.c.series == series.c.id)
        owner, below = studies.c.id, joined.where(instances.c.current, held)
    if attribute.kind is Kind.UID:  # few rows have it: find them first
        return owner.in_(below)
    correlated = {studies.c.id: series.c.study, series.c.id: instances.c.series}[owner]
    return exists(below.where(correlated == owner))


def _holds(attribute: Attribute, match: Match) -> ColumnElement[bool]:
    column = _column(attribute)
    if attribute.kind is Kind.NAME:
        return _name_holds(match)
    if isinstance(match, Between):
        limits: list[ColumnElement[bool]] = [column != ""]
        if match.low is not None:
            limits.append(column >= match.low)
        if match.high is not None:
            limits.append(column <= match.high)
        return and_(*limits)
    if isinstance(match, Wildcard):
        return column.ilike(like(match.pattern), escape="\\")
    if attribute.kind is Kind.WORDS:
        listed = literal("\\") + column + "\\"
        return or_(*(listed.like(like(f"*\\{word}\\*"), escape="\\") for word in match.values))
    if attribute.kind is Kind.NUMBER:
        return column.in_([int(value) for value in match.values])
    if attribute.kind is Kind.TEXT:
        return or_(*(column == value for value in match.values))
    return column.in_(match.values)


def _name_holds(match: Match) -> ColumnElement[bool]:
    """On the folded name: the whole, or one of its component groups (PS3.4 §C.2.2.2.1.1)."""
    column = studies.c.patient_name_folded
    patterns = (match.pattern,) if isinstance(match, Wildcard) else getattr(match, "values", ())
    held: list[ColumnElement[bool]] = []
    for pattern in patterns:
        folded = like(pattern.casefold())
        around = ("{}", "{}=%", "%={}", "%={}=%")
        held += [column.like(shape.format(folded), escape="\\") for shape in around]
    return or_(*held)


def _column(attribute: Attribute) -> ColumnElement[Any]:
    if attribute.keyword == "PatientID":
        return patients.c.patient_id
    if attribute.keyword == "IssuerOfPatientID":
        return _WITHOUT_ID
    table = {Level.STUDY: studies, Level.SERIES: series, Level.INSTANCE: instances}[attribute.level]
    return table.c[attribute.column]


def _first(row: Row[Any] | None) -> Found | None:
    return dict(row._mapping) if row is not None else None  # noqa: SLF001  # SQLAlchemy's public name for it


async def examples(connection: AsyncConnection, level: Level, ids: Sequence[int]) -> dict[int, int]:
    """For each study or series row, the row of one of its instances, to look attributes up in."""
    if level is Level.INSTANCE:
        return {one: one for one in ids}
    owner = series.c.study if level is Level.STUDY else series.c.id
    query = (
        select(owner, func.min(instances.c.id))
        .join(series, instances.c.series == series.c.id)
        .where(owner.in_(ids), instances.c.current)
        .group_by(owner)
    )
    return {row[0]: row[1] for row in await connection.execute(query)}
