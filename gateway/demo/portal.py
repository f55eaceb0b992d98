"""A reader without a browser: the portal's own HTTP API, as the front end uses it."""

from __future__ import annotations

import ssl
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from gateway.errors import Refused, Unavailable


def trusting(ca: Path) -> ssl.SSLContext:
    """A TLS context that trusts the demo's private root alone."""
    return ssl.create_default_context(cafile=str(ca))


class Portal:
    """One logged-in user."""

    def __init__(self, url: str, ca: Path) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(
            url,
            connector=aiohttp.TCPConnector(ssl=trusting(ca)),
            cookie_jar=aiohttp.CookieJar(unsafe=True),  # the demo's hub is an IP address
            headers={"Origin": url, "Sec-Fetch-Site": "same-origin"},
        )

    async def __aenter__(self) -> Self:
        """Nothing to do before logging in."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections; the session on the hub expires by itself."""
        await self._session.close()

    async def log_in(self, name: str, password: str) -> None:
        """Start a session.

        Raises:
            Refused: wrong name or password.
        """
        answer = await self.call("POST", "/api/session", {"username": name, "password": password})
        self._session.headers["X-CSRF-Token"] = answer["csrf"]

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One request of the JSON API; returns its JSON, or None if it has none.

        Raises:
            Refused: the hub answered 4xx, in its own words.
            Unavailable: it did not answer, or 5xx.
        """
        try:
            async with self._session.request(method, path, json=body) as response:
                text = await response.text()
                if response.status >= 500:  # a fault of the hub
                    raise Unavailable(f"{method} {path}: {response.status} {text[:300]}")
                if response.status >= 400:  # a refusal
                    raise Refused(f"{method} {path}: {response.status} {text[:300]}")
                return await response.json() if text else None
        except aiohttp.ClientError as error:
            raise Unavailable(f"{method} {path}: {error}") from error

    async def fetch(self, path: str, headers: dict[str, str] | None = None) -> tuple[bytes, str]:
        """The body and content type of a GET.

        Raises:
            Refused: any status but 200.
        """
        async with self._session.get(path, headers=headers) as response:
            body = await response.read()
            if response.status != 200:  # nothing else carries the body asked for
                raise Refused(f"GET {path}: {response.status} {body[:300]!r}")
            return body, response.headers.get("Content-Type", "")
