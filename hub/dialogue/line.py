"""The line port's part of the conversation. Behind the door: ``request["identity"]`` says whose site asks.

=========================================  ==============================================================
``GET /v1/messages``                       the conversations of the caller's site that are still open
``GET /v1/messages?after=7&since=…``       its messages after number 7, and which older ones were seen or
 ``&wait=240``                             answered since; at once if there are any, else after `wait` seconds
``POST /v1/messages/seen``                 {"study", "upto"}: a person at the site has looked; 204
=========================================  ==============================================================

One question every few minutes, which the hub holds until there is an answer, costs a thin line less
than a heartbeat does, and a message is there within a second.
"""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta
from typing import Any

from aiohttp import web
from sqlalchemy import ColumnElement, RowMapping, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import model
from gateway.clock import Clock, rfc3339
from gateway.database import Database
from gateway.errors import Malformed, NotAllowed
from gateway.message import Purpose
from gateway.model import Priority
from gateway.trust import Identity
from hub.conversation import READER, SITE
from hub.dialogue.desk import seen_by_site
from hub.tables.account import users
from hub.tables.message import messages
from hub.tables.study import patients, studies

MAX_WAIT = 300.0
LOOK_SECONDS = 0.5
"""How often a waiting request looks: one indexed read."""

MAX_BODY = 4096
MOST = 500
"""Messages of one answer."""

RECENT = timedelta(days=14)
"""A conversation with a message so new is open, even if nothing is asked."""

BEGINNING = "0"
"""Sorts before every moment."""

_SEEN_BY_READER = (messages.c.sender == SITE) & messages.c.seen_at.is_not(None)
_COLUMNS = (
    "id", "message_id", "study_uid", "sender", "purpose", "need", "text", "author",
    "at", "seen_at", "closed_at",
)  # fmt: skip


def dialogue_routes(database: Database, clock: Clock) -> list[web.RouteDef]:
    """The routes, for the line application."""

    async def listed(request: web.Request) -> web.Response:
        site, after = _site(request), request.query.get("after")
        if after is None:
            return web.json_response(await _open_ones(database, site, clock))
        since = _moment(request.query.get("since", BEGINNING))
        until = clock.monotonic() + min(_number(request.query.get("wait", "0")), MAX_WAIT)
        while True:
            found = await _after(database, site, _number(after), since)
            if found["messages"] or found["changed"] or clock.monotonic() >= until or _gone(request):
                return web.json_response(found)
            await asyncio.sleep(LOOK_SECONDS)

    async def seen(request: web.Request) -> web.Response:
        site, (study, upto) = _site(request), await _seen(request)
        async with database.writing() as connection:
            now = rfc3339(clock.now())
            await seen_by_site(connection, site, study, upto, now)
        return web.Response(status=204)

    return [web.get("/v1/messages", listed), web.post("/v1/messages/seen", seen)]


async def _after(database: Database, site: str, number: int, since: str) -> dict[str, Any]:
    """What came after a message, and to which older ones something happened since."""
    async with database.reading() as connection:
        found = await _answer(connection, site, messages.c.id > number, newest=False)
        happened = or_(_SEEN_BY_READER & (messages.c.seen_at > since), messages.c.closed_at > since)
        query = select(*(messages.c[name] for name in _COLUMNS)).limit(MOST)
        query = query.where(messages.c.site == site, messages.c.id <= number, happened)
        changed = [_state(row) for row in (await connection.execute(query)).mappings()]
        return found | {"changed": changed, "since": await _newest_moment(connection, site)}


async def _newest_moment(connection: AsyncConnection, site: str) -> str:
    """When something last happened to a message of a site that its edges are told of."""
    seen = select(func.max(messages.c.seen_at)).where(messages.c.site == site, _SEEN_BY_READER)
    closed = select(func.max(messages.c.closed_at)).where(messages.c.site == site)
    moments = [(await connection.execute(query)).scalar() or BEGINNING for query in (seen, closed)]
    return max(moments)


async def _open_ones(database: Database, site: str, clock: Clock) -> dict[str, Any]:
    """Whole conversations in which something is new, unseen or unanswered."""
    recent = rfc3339(clock.now() - RECENT)
    unseen = (messages.c.sender == READER) & messages.c.seen_at.is_(None)
    asked = (messages.c.purpose == Purpose.REQUEST.value) & messages.c.closed_at.is_(None)
    live = select(messages.c.study_uid).where(
        messages.c.site == site, or_(messages.c.at >= recent, unseen, asked)
    )
    async with database.reading() as connection:
        found = await _answer(connection, site, messages.c.study_uid.in_(live), newest=True)
        last = select(func.max(messages.c.id)).where(messages.c.site == site)
        number = (await connection.execute(last)).scalar() or 0
        return found | {"newest": number, "since": await _newest_moment(connection, site)}


async def _answer(
    connection: AsyncConnection, site: str, where: ColumnElement[bool], *, newest: bool
) -> dict[str, Any]:
    """At most `MOST` messages, and whom they are about."""
    query = select(*(messages.c[name] for name in _COLUMNS), users.c.display_name)
    query = query.outerjoin(users, users.c.name == messages.c.author).where(messages.c.site == site, where)
    query = query.order_by(messages.c.id.desc() if newest else messages.c.id).limit(MOST)
    rows = sorted((await connection.execute(query)).mappings(), key=lambda row: row["id"])
    subjects = (
        select(studies, patients.c.patient_id)
        .join_from(studies, patients)
        .where(studies.c.site == site, studies.c.study_uid.in_({row["study_uid"] for row in rows}))
    )
    found = (await connection.execute(subjects)).mappings().all() if rows else []
    return {
        "messages": [_told(row) for row in rows],
        "subjects": {row["study_uid"]: _subject(row) for row in found},
    }


def _told(row: RowMapping) -> dict[str, Any]:
    """As `gateway.message.Told`."""
    return {
        "number": row["id"],
        "sender": row["sender"],
        "purpose": row["purpose"],
        "need": row["need"],
        "text": row["text"],
        "author": row["display_name"] or row["author"],
        "at": row["at"],
        **_state(row),
    }


def _state(row: RowMapping) -> dict[str, Any]:
    """What may change of a message."""
    return {
        "study": row["study_uid"],
        "id": row["message_id"],
        "seen": row["seen_at"] is not None,
        "waits": row["purpose"] == Purpose.REQUEST.value and row["closed_at"] is None,
    }


def _subject(row: RowMapping) -> dict[str, str]:
    """As `gateway.message.Subject`."""
    return {
        "patient_name": row["patient_name"],
        "patient_id": row["patient_id"],
        "accession": row["accession"],
        "description": row["description"],
        "priority": Priority(row["priority"]).word,
    }


async def _seen(request: web.Request) -> tuple[str, int]:
    data = await request.content.read(MAX_BODY + 1)
    while len(data) <= MAX_BODY and not request.content.at_eof():
        data += await request.content.read(MAX_BODY + 1 - len(data))
    try:
        body = json.loads(data) if len(data) <= MAX_BODY else None
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("study"), str):
        raise Malformed("send a JSON object with the text study and the number upto")
    upto = body.get("upto")
    if type(upto) is not int or not 0 <= upto < 2**31:
        raise Malformed("upto must be a whole number")
    return model.uid(body["study"]), upto


def _gone(request: web.Request) -> bool:
    """Whether nobody listens any more."""
    return request.transport is None or request.transport.is_closing()


def _site(request: web.Request) -> str:
    identity: Identity = request["identity"]
    if identity.site is None:
        raise NotAllowed(f"{identity.name} is not an edge: its certificate names no site")
    return str(identity.site)


def _moment(text: str) -> str:
    if not re.fullmatch(r"[0-9TZ:.-]{1,27}", text):
        raise Malformed("since must be what the hub last said it was")
    return text


def _number(text: str) -> int:
    if not text.isdecimal() or not text.isascii() or len(text) > 10:
        raise Malformed(f"after and wait must be whole numbers, not {text[:20]!r}")
    return int(text)
