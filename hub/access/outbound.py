"""Fetching from addresses that others name: HTTPS, named hosts, public networks, small answers, no redirects.

A discovery document names further addresses, and a name can resolve to anything; so every
connection is checked after the name was resolved, and goes to the very address that was checked.
Networks of one's own are reached only if the configuration names them.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from gateway.errors import Malformed, NotAllowed, Unavailable

TIMEOUT = aiohttp.ClientTimeout(total=10.0, connect=5.0)
MAX_BYTES = 256 << 10

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Outbound:
    """The way out.

    Args:
        hosts: that may be asked, as they stand in addresses: ``login.example`` or ``login.example:8443``.
        networks: besides the public ones, such as ``10.1.0.0/16``.
        context: TLS.
    """

    def __init__(self, hosts: Sequence[str], networks: Sequence[str], context: ssl.SSLContext) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._networks = tuple(ipaddress.ip_network(network) for network in networks)
        self._context = context

    def check(self, url: str) -> None:
        """Raises NotAllowed unless `url` is HTTPS to a host that may be asked."""
        parts = urlsplit(url)
        if parts.scheme != "https" or parts.username or parts.password or not parts.hostname:
            raise NotAllowed(f"{url[:200]!r} is no plain https address")
        if parts.netloc.lower() not in self._hosts:
            raise NotAllowed(f"{parts.netloc!r} is not among the hosts of access.oidc")
        try:
            address = ipaddress.ip_address(parts.hostname)
        except ValueError:
            return  # a name: checked when it is resolved
        if not permitted(address, self._networks):
            raise NotAllowed(f"{parts.hostname} is in a network that is not asked")

    async def json(
        self, url: str, *, form: Mapping[str, str] | None = None, authorization: str = ""
    ) -> dict[str, Any]:
        """The JSON object at `url`; posts `form` if there is one.

        Raises:
            NotAllowed: the address, or where it leads, is not asked.
            Unavailable: no answer in time.
            Malformed: the answer is no success, too large, or no JSON object.
        """
        self.check(url)
        connector = aiohttp.TCPConnector(resolver=_Resolver(self._networks), ssl=self._context)
        method = "GET" if form is None else "POST"
        headers = {"Authorization": authorization} if authorization else {}
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=TIMEOUT, trust_env=False) as session,
                session.request(method, url, data=form, headers=headers, allow_redirects=False) as response,
            ):
                data = await response.content.read(MAX_BYTES + 1)
                while len(data) <= MAX_BYTES and not response.content.at_eof():
                    data += await response.content.read(MAX_BYTES + 1 - len(data))
                status = response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            if isinstance(error.__cause__, _Forbidden):
                raise NotAllowed(str(error.__cause__)) from error
            raise Unavailable(f"{urlsplit(url).netloc} does not answer") from error
        if status != 200 or len(data) > MAX_BYTES:
            raise Malformed(f"{urlsplit(url).netloc} answered {status}, {len(data)} bytes")
        try:
            told = json.loads(data)
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict):
            raise Malformed(f"{urlsplit(url).netloc} did not answer with a JSON object")
        return told


def permitted(address: ipaddress.IPv4Address | ipaddress.IPv6Address, networks: Sequence[Network]) -> bool:
    """Whether an address may be asked: public, or in one of `networks`."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if any(address in network for network in networks if network.version == address.version):
        return True
    return address.is_global and not address.is_multicast


class _Forbidden(OSError):
    """A name leads into a network that is not asked."""


class _Resolver(AbstractResolver):
    """Resolves, and lets through only addresses that may be asked."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._inner, self._networks = aiohttp.ThreadedResolver(), networks

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        good = [one for one in found if permitted(ipaddress.ip_address(one["host"]), self._networks)]
        if not good:
            raise _Forbidden(f"{host} leads to a network that is not asked")
        return good

    async def close(self) -> None:
        await self._inner.close()
