"""Ports for servers that are stopped and started again on the same address.

Not from the kernel's ephemeral range: there a client that knocks while the server is down may be
given the server's own port, connect to itself, and keep the server from ever listening again.
"""

from __future__ import annotations

import random
import socket

FIRST, LAST = 15_000, 30_000
"""Below the ephemeral range of Linux (32768)."""


def free_ports(count: int) -> list[int]:
    """`count` different ports that nobody listens on just now."""
    found: list[int] = []
    while len(found) < count:
        port = random.randint(FIRST, LAST)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found
