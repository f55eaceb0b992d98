"""QIDO-RS: searching for studies, series and instances (PS3.18 §10.6)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import cpu
from gateway.errors import NotFound
from hub.archive import search
from hub.archive.archive import Archive
from hub.archive.facts import unpacked
from hub.archive.jsonmodel import Json
from hub.archive.matching import BY_NAME, Exact, Level, Search
from hub.archive.scope import Scope
from hub.dicomweb import datajson
from hub.dicomweb.accept import JSON
from hub.dicomweb.answers import Address, Authorize, accepted, not_acceptable, plain_refusals
from hub.dicomweb.query import Query, parse

_ID = {Level.STUDY: "id", Level.SERIES: "series_id", Level.INSTANCE: "instance_id"}

RESOURCES: Mapping[str, str] = {
    "/studies": "studies",
    "/series": "series",
    "/instances": "instances",
    "/studies/{study}/series": "series",
    "/studies/{study}/instances": "instances",
    "/studies/{study}/series/{series}/instances": "instances",
}
"""Path → method of the class below that answers its GET."""


class Searches:
    """The search transactions.

    Args:
        archive: whose index is searched.
        authorize: what a caller may see.
        address: of the service.
    """

    def __init__(self, archive: Archive, authorize: Authorize, address: Address) -> None:
        self._archive, self._authorize, self._address = archive, authorize, address

    def routes(self) -> list[web.RouteDef]:
        """Every search resource of PS3.18 Table 10.6.1-1."""
        return [
            web.get(self._address.prefix + path, plain_refusals(getattr(self, name)), allow_head=False)
            for path, name in RESOURCES.items()
        ]

    async def studies(self, request: web.Request) -> web.Response:
        """Studies."""
        return await self._answer(request, Level.STUDY)

    async def series(self, request: web.Request) -> web.Response:
        """Series, of one study or of all."""
        return await self._answer(request, Level.SERIES)

    async def instances(self, request: web.Request) -> web.Response:
        """Instances, of one series, one study or all."""
        return await self._answer(request, Level.INSTANCE)

    async def _answer(self, request: web.Request, level: Level) -> web.Response:
        scope = await self._authorize(request)
        if not any(one.takes(JSON) or one.takes("application/json") for one in accepted(request)):
            raise not_acceptable(f"search results are given as {JSON}")
        query = parse((name, str(value)) for name, value in request.query.items())
        async with self._archive.database.reading() as connection:
            rows = await self._rows(connection, request, query, level, scope)
            kept = await self._kept(connection, query, level, rows[: query.search.limit])
        warnings = [*query.warnings]
        if len(rows) > query.search.limit:
            warnings.append("There are additional results that can be requested.")
        body = await cpu.run(_body, rows[: query.search.limit], kept, query, level, self._address.of(request))
        response = web.Response(body=body, content_type=JSON, headers={"Cache-Control": "no-store"})
        for words in warnings:
            response.headers.add("Warning", f'299 telerad "{words}"')
        return response

    async def _rows(
        self, connection: AsyncConnection, request: web.Request, query: Query, level: Level, scope: Scope
    ) -> list[search.Found]:
        study: int | None = None
        if "study" in request.match_info:
            uid, site = request.match_info["study"], request.query.get("site")
            found = await search.study_by_uid(connection, uid, scope, site)
            if found is None:
                raise NotFound("there is no such study that you may see")
            study = int(found["id"])
        matches = dict(query.search.matches)
        if "series" in request.match_info:
            matches[BY_NAME["SeriesInstanceUID"]] = Exact((request.match_info["series"],))
        wanted = Search(matches, query.search.limit + 1, query.search.offset)
        if level is Level.STUDY:
            return await search.find_studies(connection, wanted, scope)
        if level is Level.SERIES:
            return await search.find_series(connection, wanted, scope, study)
        return await search.find_instances(connection, wanted, scope, study=study)

    async def _kept(
        self, connection: AsyncConnection, query: Query, level: Level, rows: Sequence[search.Found]
    ) -> dict[int, bytes]:
        """Metadata to look up attributes that are no columns of the index, by row of `level`."""
        columns = {tag for tag, attribute in BY_NAME.items() if attribute.level in _WITHIN[level]}
        beyond = query.fields - columns or (query.every_field and level is Level.INSTANCE)
        if not beyond or not rows:
            return {}
        ids = [int(row[_ID[level]]) for row in rows]
        example = await search.examples(connection, level, ids)
        metadata = dict(await search.metadata_of(connection, list(example.values())))
        found = {one: metadata.get(example[one]) for one in ids if one in example}
        return {one: kept for one, kept in found.items() if kept is not None}


_WITHIN = {
    Level.STUDY: {Level.STUDY},
    Level.SERIES: {Level.STUDY, Level.SERIES},
    Level.INSTANCE: {Level.STUDY, Level.SERIES, Level.INSTANCE},
}


def _body(
    rows: Sequence[search.Found], kept: dict[int, bytes], query: Query, level: Level, base: str
) -> bytes:
    answers: list[dict[str, Any]] = []
    for row in rows:
        answer = datajson.answer(row, level, base)
        metadata = kept.get(int(row[_ID[level]]))
        if metadata is not None:
            answer = _with_fields(answer, json.loads(unpacked(metadata)), query, level)
        answers.append(answer)
    return json.dumps(answers, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _with_fields(answer: Json, metadata: Json, query: Query, level: Level) -> Json:
    everything = query.every_field and level is Level.INSTANCE
    more = {
        tag: element
        for tag, element in metadata.items()
        if tag not in answer and (everything or tag in query.fields) and "BulkDataURI" not in element
    }
    return dict(sorted((answer | more).items()))
