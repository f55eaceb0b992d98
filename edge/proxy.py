"""The way out through a hospital's HTTP proxy: CONNECT with Basic authentication (RFC 9110 §9.3.6, RFC 7617).

Inside the tunnel it is the same TLS to the hub: the proxy sees the hub's name and nothing else.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from edge.config import Uplink
from gateway.errors import UsageError


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and what we show it.

    Attributes:
        url: without credentials, such as ``http://proxy.hospital.example:3128``; may stand in logs.
        headers: for the CONNECT request; secret.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def configured(cls, settings: Uplink) -> Self | None:
        """The proxy of the configuration; None: there is none.

        Raises:
            UsageError: the file with its credentials cannot be used.
        """
        if settings.proxy is None:
            return None
        parts = urlsplit(settings.proxy)
        credentials = None
        if parts.username is not None:
            credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        elif settings.proxy_credentials is not None:
            credentials = _read(settings)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        headers = {}
        if credentials is not None:
            headers["Proxy-Authorization"] = f"Basic {b64encode(credentials.encode()).decode()}"
        return cls(f"http://{host}:{parts.port}", headers)

    def words(self, status: int, target: str) -> str:
        """What its refusal means, for a person.

        Args:
            status: of its answer to CONNECT.
            target: where we wanted to go.
        """
        name = self.url.removeprefix("http://")
        if status == 407:
            if self.headers:
                return f"the proxy {name} does not accept our user and password (407)"
            return f"the proxy {name} asks for a user and a password (407); set uplink.proxy_credentials"
        if status in (403, 405):
            return f"the proxy {name} does not let us connect to {target} ({status}); have it allowed there"
        if status in (502, 503, 504):
            return f"the proxy {name} cannot reach {target} ({status})"
        return f"the proxy {name} refused to connect to {target} (status {status})"

    def silence(self, target: str) -> str:
        """What it means that there is no answer to CONNECT, or none from behind it."""
        return f"the proxy {self.url.removeprefix('http://')} or {target} behind it does not answer"


def _read(settings: Uplink) -> str:
    file = settings.proxy_credentials
    assert file is not None  # noqa: S101  # the caller has looked
    try:
        text = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: the proxy's credentials cannot be read: {error}") from error
    if ":" not in text or "\n" in text:
        raise UsageError(f"{file}: must hold one line user:password for the proxy")
    return text


def through(proxy: Proxy | None) -> dict[str, Any]:
    """The part of a request's options that leads it through the proxy."""
    return {} if proxy is None else {"proxy": proxy.url, "proxy_headers": proxy.headers}
