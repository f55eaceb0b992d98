from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from dicomweb_client.api import DICOMwebClient

from hub.archive.scope import Scope
from hub.dicomweb.routes import routes
from tests.doubles.instances import Hub, open_hub


@dataclass
class Service:
    """A running DICOMweb service, its archive, and a client of another make."""

    hub: Hub
    url: str
    client: DICOMwebClient
    scope: list[Scope] = field(default_factory=lambda: [Scope(all=True)])

    async def call(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Run a blocking call of the client beside the server."""

        def run() -> Any:
            found = function(*args, **options)
            return list(found) if hasattr(found, "__next__") else found

        return await asyncio.to_thread(run)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    hub = await open_hub(tmp_path)
    scope = [Scope(all=True)]

    async def authorize(request: web.Request) -> Scope:
        return scope[0]

    app = web.Application()
    listener = socket.create_server(("127.0.0.1", 0))
    origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app.add_routes(routes(hub.archive, authorize, public=origin))
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.SockSite(runner, listener)
    await site.start()
    url = f"{origin}/dicomweb"
    yield Service(hub, url, DICOMwebClient(url), scope)
    await runner.cleanup()
    await hub.database.close()
