"""The fleet's HTTP routes: enrolment and diagnosis on the web port, the rest on the line port."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from gateway import jsontext
from gateway.brake import Brake, asker
from gateway.clock import Clock
from gateway.database import Database
from gateway.errors import DataError, Malformed, PeerError, ResourceError
from gateway.log import logger
from gateway.trust import pem, spki_pin
from hub.config import HubConfig
from hub.fleet import devices, progress
from hub.fleet.answers import refusal
from hub.fleet.diagnosis import diagnose
from hub.fleet.enrolment import Enrolled, Enrolment
from hub.fleet.middleware import Handler, caller
from hub.fleet.returns import Returns
from hub.identity import HubKeys

MAX_BODY = 64 << 10
"""Bytes of an enrolment or renewal body."""

MAX_STATUS = 1 << 20
"""Bytes of a status: a line for each study on its way."""

MAX_PINS = 1024
"""Characters of the pins an edge says it trusts."""

BURST, RATE = 60.0, 2.0
"""Requests of one address to the web routes at once, and how many a second come back; one address may be
a whole network of hospitals."""

log = logger("hub.fleet")


def fleet_web_routes(
    database: Database,
    enrolment: Enrolment,
    keys: HubKeys,
    config: HubConfig,
    clock: Clock,
    returns: Returns,
) -> list[web.RouteDef]:
    """For the web application: what an edge needs before (or when) its certificate does not work.

    ``GET /enroll/ca``, ``POST /enroll``, ``POST /enroll/return``, ``GET /whoami?fingerprint=…``.
    """
    brake = Brake(clock, "requests of this address", rate=RATE, burst=BURST)

    async def authority(_: web.Request) -> web.Response:
        return web.json_response({"root": pem([keys.root]).decode(), "pin": spki_pin(keys.root)})

    async def enrol(request: web.Request) -> web.Response:
        body = await _json(request, "token", "csr")
        enrolled = await enrolment.enrol(body["token"], body["csr"], _proof(body))
        return web.json_response(_answer(enrolled, keys, config))

    async def come_back(request: web.Request) -> web.Response:
        body = await _json(request, "certificate", "csr", "old_proof")
        found = await returns.ask(body["certificate"], body["csr"], _proof(body), body["old_proof"])
        if found is None:
            return web.json_response({"state": "waiting"}, status=202)
        return web.json_response(_answer(found, keys, config))

    async def whoami(request: web.Request) -> web.Response:
        async with database.reading() as connection:
            return web.json_response(await diagnose(connection, request.query.get("fingerprint", ""), clock))

    return [
        web.get("/enroll/ca", authority),
        web.post("/enroll", _told(enrol, brake)),
        web.post("/enroll/return", _told(come_back, brake)),
        web.get("/whoami", _told(whoami, brake)),
    ]


def fleet_line_routes(
    database: Database, enrolment: Enrolment, keys: HubKeys, config: HubConfig, clock: Clock
) -> list[web.RouteDef]:
    """For the line application, behind the door.

    ``POST /v1/renew`` {"csr"}, ``GET /v1/keys``, ``GET /v1/roots?have=PINS``, ``POST /v1/status``
    (`progress`).
    """

    async def renew(request: web.Request) -> web.Response:
        body = await _json(request, "csr")
        renewed = await enrolment.renew(caller(request), body["csr"], _proof(body))
        return web.json_response(_answer(renewed, keys, config))

    async def key_set(_: web.Request) -> web.Response:
        return web.Response(body=keys.signed_key_set(), content_type="application/json")

    async def roots(request: web.Request) -> web.Response:
        identity = caller(request)
        have = request.query.get("have", "")[:MAX_PINS]
        async with database.writing() as connection:
            await devices.trusts(connection, identity.site or "", identity.edge or "", clock.now(), have)
        return web.Response(body=keys.signed_bundle(), content_type="application/json")

    async def status(request: web.Request) -> web.Response:
        told = await _json(request, limit=MAX_STATUS)
        identity, now = caller(request), clock.now()
        site, edge = identity.site or "", identity.edge or ""
        text = json.dumps(progress.status_of(told, now), ensure_ascii=False)
        studies = progress.studies_of(told)
        async with database.writing() as connection:
            await devices.seen(connection, site, edge, now, text)
            await progress.keep(connection, site, edge, studies, now)
        return web.Response(status=204)

    return [
        web.post("/v1/renew", renew),
        web.get("/v1/keys", key_set),
        web.get("/v1/roots", roots),
        web.post("/v1/status", status),
    ]


def _answer(enrolled: Enrolled, keys: HubKeys, config: HubConfig) -> dict[str, Any]:
    return {
        "chain": pem(enrolled.issued.chain).decode(),
        "root": pem(keys.roots).decode(),
        "line_url": config.line.url,
        "key_set": keys.signed_key_set().decode(),
        "site": enrolled.site,
        "edge": enrolled.edge,
    }


def _proof(body: dict[str, Any]) -> str:
    return str(body.get("proof", ""))


async def _json(request: web.Request, *texts: str, limit: int = MAX_BODY) -> dict[str, Any]:
    """The body as a JSON object in which `texts` are strings. Raises Malformed."""
    data = await request.content.read(limit + 1)
    while len(data) <= limit and not request.content.at_eof():
        data += await request.content.read(limit + 1 - len(data))
    if len(data) > limit:
        raise Malformed(f"the body is larger than {limit} bytes")
    body = jsontext.load(data)
    if not isinstance(body, dict) or not all(isinstance(body.get(name), str) for name in texts):
        raise Malformed(f"the body must be a JSON object with the texts {', '.join(texts) or '(none)'}")
    return body


def _told(handler: Callable[[web.Request], Awaitable[web.Response]], brake: Brake) -> Handler:
    """On the web port, which has no door of ours: not too often, and errors of the tree as JSON answers."""

    async def told(request: web.Request) -> web.StreamResponse:
        try:
            brake.check(asker(request.remote))
            return await handler(request)
        except (PeerError, DataError, ResourceError) as error:
            log.warning("refused", why=str(error), path=request.path, remote=request.remote)
            return refusal(error)

    return told
