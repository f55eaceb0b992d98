"""The certificate of an edge behind an HTTP proxy that ends TLS, as the proxy forwards it. Pure.

The proxy has verified that the caller holds the key; whether the certificate is a device's is verified
here as ever. Only the addresses of `line.trusted_proxies` may forward, and in one header alone: were two
known, an edge could put another's certificate into the one the proxy does not write. From anybody
else such a header is a forgery and is refused.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias
from urllib.parse import unquote_to_bytes

from cryptography import x509
from multidict import CIMultiDictProxy

from gateway.certificate import read_der, read_pem
from gateway.errors import Malformed, Unverified

RFC_9440, ESCAPED = "Client-Cert", "X-SSL-Client-Cert"
HEADERS = (RFC_9440, ESCAPED)
"""RFC 9440 (DER as a byte sequence of RFC 8941), or percent-encoded PEM (``$ssl_client_escaped_cert``)."""
LIMIT = 16 << 10
"""Characters of a forwarded certificate."""

Network: TypeAlias = IPv4Network | IPv6Network


def networks(words: Sequence[str]) -> tuple[Network, ...]:
    """Addresses and networks of a configuration. Raises ValueError, also for one that holds everybody."""
    found = tuple(ip_network(word) for word in words)
    if any(one.prefixlen == 0 for one in found):
        raise ValueError("trusted_proxies must not trust every address")
    return found


@dataclass(frozen=True, slots=True)
class Forwarding:
    """Who may forward certificates, and how.

    Attributes:
        proxies: their addresses; none: nobody may.
        header: the one header of `HEADERS` that they write, and remove from what comes in.
    """

    proxies: tuple[Network, ...] = ()
    header: str = RFC_9440

    @classmethod
    def of(cls, proxies: Sequence[str], header: str) -> Forwarding:
        """From the configuration."""
        return cls(networks(proxies), header)

    def trusts(self, address: str) -> bool:
        """Whether a connection from this address is a proxy's."""
        try:
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in network for network in self.proxies)

    def certificate(self, headers: CIMultiDictProxy[str], address: str) -> x509.Certificate | None:
        """The certificate that a request bears in its headers; None if it bears none.

        Args:
            headers: of the request.
            address: of the other end of the connection, never one that a header names.

        Raises:
            Unverified: it may not bear one: from here, in this header, or twice.
            Malformed: it cannot be read.
        """
        borne = [name for name in HEADERS for _ in headers.getall(name, ())]
        if not borne:
            return None
        if not self.trusts(address):
            raise Unverified(
                f"{address} may not forward a certificate ({borne[0]}); see line.trusted_proxies"
            )
        if borne != [self.header]:
            told = " and ".join(borne)
            raise Unverified(
                f"the proxy must write {self.header} once and remove what came in; here is {told}"
            )
        value = headers[self.header]
        if len(value) > LIMIT:
            raise Malformed(f"{self.header} is longer than {LIMIT} characters")
        return _byte_sequence(value) if self.header == RFC_9440 else _escaped(value)


def _byte_sequence(value: str) -> x509.Certificate:
    """RFC 8941 §3.3.5."""
    text = value.strip(" ")
    if len(text) < 3 or text[0] != ":" or text[-1] != ":":  # two colons and something between
        raise Malformed(f"{RFC_9440} is no byte sequence (RFC 8941, 3.3.5)")
    try:
        return read_der(base64.b64decode(text[1:-1], validate=True))
    except binascii.Error as error:
        raise Malformed(f"{RFC_9440} is no byte sequence (RFC 8941, 3.3.5): {error}") from error


def _escaped(value: str) -> x509.Certificate:
    found = read_pem(unquote_to_bytes(value), ESCAPED)
    if len(found) != 1:
        raise Malformed(f"{ESCAPED} must hold one certificate, not {len(found)}")
    return found[0]
