"""A package as the hub makes it, receivers of an imaginary hospital, and a hub to fetch from over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

import aiohttp
from aiohttp import web

from edge.downlink.verify import Verified, open_package
from gateway.clock import SystemClock
from gateway.envelope.signature import sign
from gateway.errors import DataError, GatewayError, NotFound, Refused, Unavailable
from gateway.model import Sha256, SiteId
from gateway.report.delivery import ENVELOPED, MANIFEST_KIND, PDF, STRUCTURED, File, Manifest, pack
from gateway.report.model import Body
from gateway.trust import FileSigner, Identity, Purpose, Trust
from hub.downlink.outbox import Outbox
from hub.downlink.routes import downlink_routes
from hub.reports.dicom import Evidence, encapsulated_pdf, structured_report
from tests.doubles.report import CHINESE
from tests.doubles.signed import authored, authority, signed

DELIVERY = "d" * 32
EVIDENCE = [Evidence("1.2.3.1", "1.2.840.10008.5.1.4.1.1.2", "1.2.3.1.1")]
SITE = SiteId("H001")


@cache
def hub_signer() -> FileSigner:
    return authority().hub()


def parts(body: Body = CHINESE) -> tuple[Manifest, list[bytes]]:
    import hashlib

    whole, pdf = authored(body), signed(body)
    made = [structured_report(whole, EVIDENCE, "Telerad"), encapsulated_pdf(whole, pdf)]
    data = [pdf, made[0].dataset, made[1].dataset]
    uids = [("", ""), *((one.sop_class_uid, one.sop_instance_uid) for one in made)]
    files = tuple(
        File(name, Sha256(hashlib.sha256(part).hexdigest()), len(part), *uid)
        for name, part, uid in zip((PDF, STRUCTURED, ENVELOPED), data, uids, strict=True)
    )
    manifest = Manifest(
        delivery_id=DELIVERY,
        report_id=whole.report_id,
        version=whole.version,
        site=SITE,
        study_uid=whole.study.study_uid,
        canonical_sha256=whole.digest,
        queued_at="2026-11-22T15:00:00.000000Z",
        files=files,
    )
    return manifest, data


def package(manifest: Manifest, data: list[bytes], signer: FileSigner | None = None) -> bytes:
    return pack(sign(MANIFEST_KIND, manifest.to_bytes(), signer or hub_signer()), data)


async def verified(body: Body = CHINESE) -> Verified:
    def judge() -> Verified:
        return open_package(package(*parts(body)), DELIVERY, SITE, authority().trust, datetime.now(UTC))

    return await asyncio.to_thread(judge)


@dataclass
class SmallIdentity:
    """What the downlink uses of `edge.identity.EdgeIdentity`."""

    signer: FileSigner
    trust: Trust
    site: SiteId = SITE


@dataclass
class HttpHub:
    """What the downlink uses of `edge.hub_client.HubClient`, without TLS."""

    url: str
    session: aiohttp.ClientSession
    away: bool = False

    async def json(self, method: str, path: str, **options: Any) -> Any:
        return json.loads(await self.read(method, path, **options))

    async def read(self, method: str, path: str, *, limit: int = 8 << 20, **options: Any) -> bytes:
        if self.away:
            raise Unavailable("the hub cannot be reached")
        options.pop("idle_timeout", None)
        try:
            async with self.session.request(method, self.url + path, **options) as response:
                body = await response.read()
        except aiohttp.ClientError as error:
            raise Unavailable(f"the line broke: {error}") from error
        if response.status == 404:
            raise NotFound(body.decode())
        if response.status >= 400:
            raise Refused(f"{response.status} {body.decode()}")
        return body


@asynccontextmanager
async def http_hub(outbox: Outbox, device: FileSigner) -> AsyncIterator[HttpHub]:
    """The hub's downlink routes on a port of their own; the caller is who `device` says."""

    @web.middleware
    async def door(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> Any:
        at = datetime.now(UTC)
        request["identity"] = authority().trust.identify(device.chain, Purpose.DEVICE, at)
        try:
            return await handler(request)
        except (DataError, GatewayError) as error:
            return web.Response(status=404 if isinstance(error, NotFound) else 422, text=str(error))

    app = web.Application(middlewares=[door])
    app.add_routes(downlink_routes(outbox, SystemClock()))
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with aiohttp.ClientSession() as session:
            yield HttpHub(f"http://127.0.0.1:{port}", session)
    finally:
        await runner.cleanup()


@dataclass
class Ris:
    """An HL7 receiver that does as it is told: AA, AE, AR, silence, close, rubbish, other, huge."""

    behaviour: str = "AA"
    messages: list[bytes] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            data = await reader.readuntil(b"\x1c\x0d")
            assert data[:1] == b"\x0b"
            message = data[1:-2]
            self.messages.append(message)
            if self.behaviour == "silence":
                await reader.read()
            elif self.behaviour != "close":
                writer.write(self._answer(message))
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            return
        finally:
            writer.close()

    def _answer(self, message: bytes) -> bytes:
        if self.behaviour == "rubbish":
            return b"HTTP/1.1 400 Bad Request\r\n\r\n"
        if self.behaviour == "huge":
            return b"\x0b" + b"x" * (1 << 20)
        if self.behaviour == "no hl7":
            return b"\x0bhello\x1c\x0d"
        control = b"other" if self.behaviour == "other" else message.split(b"|")[9]
        code = b"AA" if self.behaviour == "other" else self.behaviour.encode()
        words = b"" if code == b"AA" else "检查号 not known".encode()
        answer = b"MSH|^~\\&|RIS|H001|TELERAD|H001|20261122||ACK|1|P|2.5.1\rMSA|%b|%b|%b\r"
        return b"\x0b" + answer % (code, control, words) + b"\x1c\x0d"


@asynccontextmanager
async def ris(behaviour: str = "AA") -> AsyncIterator[Ris]:
    made = Ris(behaviour)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, limit=1 << 26)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


def device_identity(device: FileSigner) -> Identity:
    return authority().trust.identify(device.chain, Purpose.DEVICE, datetime.now(UTC))
