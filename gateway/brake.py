"""How often may they ask? Token buckets, one for each asker; the time is handed in."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.errors import Unavailable

REMEMBERED = 10_000
"""Askers kept; the one not seen for longest is forgotten first."""

IPV6_PREFIX = 64
"""Bits of an IPv6 address that tell who asks: one line is given at least so much of a network (RFC 6177)."""


class TooMany(Unavailable):
    """Too many tries just now; ``retry_after`` says for how many seconds."""


@dataclass(slots=True)
class _Level:
    tokens: float
    at: float


class Buckets:
    """A token bucket for each key.

    Args:
        rate: tokens a second that come back.
        burst: the most a bucket holds.
    """

    def __init__(self, rate: float = 0.5, burst: float = 20.0) -> None:
        self._rate, self._burst = rate, burst
        self._levels: OrderedDict[str, _Level] = OrderedDict()

    def take(self, key: str, now: float) -> float:
        """Take one token. Returns 0, or the seconds until there will be one again."""
        level = self._levels.pop(key, None) or _Level(self._burst, now)
        level.tokens = min(self._burst, level.tokens + (now - level.at) * self._rate)
        level.at = now
        self._levels[key] = level
        if len(self._levels) > REMEMBERED:
            self._levels.popitem(last=False)
        if level.tokens < 1.0:
            return (1.0 - level.tokens) / self._rate
        level.tokens -= 1.0
        return 0.0


class Brake:
    """Buckets that refuse.

    Args:
        clock: of the process.
        what: is asked for, in words.
        rate: tokens a second that come back.
        burst: the most a bucket holds.
    """

    def __init__(self, clock: Clock, what: str, *, rate: float = 0.5, burst: float = 20.0) -> None:
        self._clock, self._what = clock, what
        self._buckets = Buckets(rate, burst)

    def check(self, key: str) -> None:
        """Raises TooMany if `key` asks too often."""
        wait = self._buckets.take(key, self._clock.monotonic())
        if wait > 0:
            raise TooMany(
                f"too many {self._what} in a short time; wait {max(1, round(wait))} s", retry_after=wait
            )


def asker(address: str | None) -> str:
    """Who asks from an IP address: itself, or the /64 of an IPv6 one. Anything else is taken as it is."""
    try:
        found = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return address or ""
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, IPV6_PREFIX), strict=False))
