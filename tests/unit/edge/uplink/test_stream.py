"""A stream outlives its connection: then there is nothing to be known of it, and nothing to hold back."""

from __future__ import annotations

import asyncio
from asyncio.sslproto import _SSLProtocolTransport

from edge.uplink.stream import Stream, socket_of


class Ending:
    """What the transport asks of TLS when it is closed."""

    def _start_shutdown(self) -> None: ...


def test_a_tls_connection_that_was_closed_twice_has_no_socket() -> None:
    loop = asyncio.new_event_loop()
    gone = _SSLProtocolTransport(loop, Ending())  # type: ignore[arg-type]  # all that closing needs
    gone.close()
    gone.close()
    loop.close()
    stream = Stream(1, gone)
    assert socket_of(gone) is None
    assert stream.info() is None
    stream.restrict(1000, 0.0, anew=True)
    assert stream.limit is None
    assert stream.unsent() == 0
