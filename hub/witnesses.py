"""Edges as witnesses of the custody log: they follow it, and sign that it was only ever added to.

``GET /v1/custody?old=N`` gives the newest checkpoint, the proof that it continues the log of N entries,
and the hub's statement of the log's key. ``POST /v1/custody/cosign`` brings back the witness's line, and
``POST /v1/custody/alarm`` what a witness found wrong. A hub that rewrites history finds its hospitals'
words against it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from aiohttp import web
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import canonical
from gateway.brake import Brake
from gateway.clock import Clock, rfc3339
from gateway.custody.checkpoint import NOTE_LIMIT, Checkpoint, NoteSigner, open_checkpoint
from gateway.custody.witness import (
    LINE_LIMIT,
    LOG_KEY_KIND,
    WITNESS_KEY_KIND,
    open_cosignature,
    open_key,
    say_key,
)
from gateway.database import Database
from gateway.envelope.record import Record, base64_text
from gateway.errors import Malformed, NotAllowed, NotFound
from gateway.log import logger
from gateway.trust import Identity, Signer, Trust
from hub import alerts
from hub.alerts import Alert
from hub.custody import CustodyLog
from hub.fleet.middleware import caller
from hub.record import subject_of
from hub.tables.custody import checkpoints, cosignatures, witnesses

BODY_LIMIT = 128 << 10
QUIET = timedelta(hours=1)
"""Between two alerts of one edge."""
_COSIGN_KEYS = frozenset({"key", "line", "size"})

log = logger("hub.witnesses")


class Witnesses:
    """Takes cosignatures and gives what is to be cosigned.

    Args:
        database: the hub's.
        custody: the log.
        log_key: signs its checkpoints.
        signer: the hub's, asked for every time since its certificate is renewed.
        trust: the roots.
        clock: the time.
    """

    def __init__(
        self,
        database: Database,
        custody: CustodyLog,
        log_key: NoteSigner,
        signer: Callable[[], Signer],
        trust: Trust,
        clock: Clock,
    ) -> None:
        self._database, self._custody, self._log_key = database, custody, log_key
        self._signer, self._trust, self._clock = signer, trust, clock
        self.brake = Brake(clock, "proofs of the custody log")

    def log_key_statement(self) -> bytes:
        """The hub's word that its log is signed by this key."""
        return say_key(LOG_KEY_KIND, self._log_key.verifier, self._signer(), self._clock.now())

    async def newest(self, old: int) -> dict[str, Any]:
        """What a witness needs that has seen the log of `old` entries.

        Raises:
            NotFound: the log has no entries yet.
            Refused: it never had so many.
        """
        note = await self._custody.checkpoint()
        if note is None:
            raise NotFound("the custody log is empty")
        size = open_checkpoint(note, [self._log_key.verifier]).size
        proof = await self._custody.consistency(min(old, size), size) if old <= size else []
        return {
            "note": base64_text(note),
            "proof": [base64_text(one) for one in proof],
            "log_key": base64_text(self.log_key_statement()),
        }

    async def take(self, identity: Identity, body: bytes) -> None:
        """Keep an edge's cosignature.

        Raises:
            Malformed, Unverified: it does not hold.
            NotAllowed: the key is another edge's.
            NotFound: no such checkpoint was signed.
        """
        record = Record.parse(body, "the cosignature", _COSIGN_KEYS, limit=BODY_LIMIT)
        statement, line = record.binary("key", BODY_LIMIT), record.text("line", LINE_LIMIT)
        key, owner = open_key(statement, WITNESS_KEY_KIND, self._trust)
        if owner.name != identity.name or key.name != witness_name(identity):
            raise NotAllowed("this witness key is another edge's")
        size = record.integer("size", 1)
        now = rfc3339(self._clock.now())
        async with self._database.writing() as connection:
            seen = open_cosignature(line, await self._checkpoint(connection, size), key)
            known = await connection.execute(
                select(witnesses.c.statement).where(witnesses.c.name == key.name)
            )
            row = known.one_or_none()
            if row is None:
                await connection.execute(
                    insert(witnesses).values(
                        name=key.name, site=identity.site, edge=identity.edge, statement=statement, at=now
                    )
                )
            elif open_key(row.statement, WITNESS_KEY_KIND, self._trust)[0] != key:
                raise NotAllowed("this edge has witnessed with another key before")
            same = (cosignatures.c.size == size) & (cosignatures.c.witness == key.name)
            if (await connection.execute(select(cosignatures.c.size).where(same))).one_or_none() is None:
                values = {"size": size, "witness": key.name, "line": line, "at": rfc3339(seen.at)}
                await connection.execute(insert(cosignatures).values(values))

    async def alarm(self, identity: Identity, words: str) -> None:
        """A witness says that the log was rewritten: an alert and an entry, at most one an hour an edge."""
        log.error("a witness contradicts the custody log", site=identity.site, edge=identity.edge, why=words)
        site, edge, now = identity.site or "", identity.edge or "", self._clock.now()
        async with self._database.writing() as connection:
            alert = Alert("log-contradicted", words, site, edge)
            if await alerts.told_since(connection, alert, now - QUIET):
                return
            await alerts.tell(connection, alert, now)
            await self._custody.append(
                connection, "witness-alarm", site=site, subject=subject_of("edge", identity.name)
            )

    async def _checkpoint(self, connection: AsyncConnection, size: int) -> Checkpoint:
        query = select(checkpoints.c.note).where(checkpoints.c.size == size)
        note = (await connection.execute(query)).scalar()
        if note is None:
            raise NotFound(f"no checkpoint of {size} entries was signed here")
        return open_checkpoint(bytes(note)[:NOTE_LIMIT], [self._log_key.verifier])


def witness_name(identity: Identity) -> str:
    """The name of an edge's witness key: its own, without the scheme (C2SP: no spaces, no plus sign)."""
    return f"telerad/site/{identity.site}/edge/{identity.edge}"


def witness_routes(station: Witnesses) -> list[web.RouteDef]:
    """For the line application, behind the door."""

    async def newest(request: web.Request) -> web.Response:
        station.brake.check(caller(request).name)
        old = request.query.get("old", "0")
        if not old.isdecimal() or len(old) > 15:
            raise Malformed("old must be a number of entries")
        return web.json_response(await station.newest(int(old)))

    async def cosign(request: web.Request) -> web.Response:
        await station.take(caller(request), await _body(request))
        return web.Response(status=204)

    async def alarm(request: web.Request) -> web.Response:
        record = canonical.load(await _body(request))
        words = record.get("words") if isinstance(record, dict) else None
        if not isinstance(words, str):
            raise Malformed('the body must be {"words": text}')
        await station.alarm(caller(request), words)
        return web.Response(status=204)

    return [
        web.get("/v1/custody", newest),
        web.post("/v1/custody/cosign", cosign),
        web.post("/v1/custody/alarm", alarm),
    ]


async def _body(request: web.Request) -> bytes:
    data = await request.content.read(BODY_LIMIT + 1)
    while len(data) <= BODY_LIMIT and not request.content.at_eof():
        data += await request.content.read(BODY_LIMIT + 1 - len(data))
    if len(data) > BODY_LIMIT:
        raise Malformed(f"the body is larger than {BODY_LIMIT} bytes")
    return data
