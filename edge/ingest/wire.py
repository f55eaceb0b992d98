"""One sender's connection: PDUs, each within its length and its time.

Heads and short ones go through one buffer used over and over, long fragments straight to their place.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from struct import pack

from edge.ingest.awake import Awake
from edge.ingest.dimse import Sink
from edge.ingest.pdu import FIRST_PDU, HEAD, MAX_PDU, PDV_HEAD, SLACK, head_of
from edge.ingest.tls_stream import TlsStream

PDU_SECONDS = 30.0
"""A PDU that has begun must be whole after so long (the first of a connection sooner: `next`)."""

PROGRESS_SECONDS, PROGRESS_BYTES = 60.0, 64 << 10
"""While a message is under way, at least so many bytes must come in so long: a kilobyte a second."""

LINGER_SECONDS = 1.0
BUFFER = 272 << 10
"""Two PDUs: more would push out of the caches what is read next."""
STRAIGHT = 32 << 10
"""Bytes of a fragment from which they are read into their place; shorter ones are read together."""
SIP = 1 << 10
"""Bytes read at a time while long fragments come: a command set and the heads of what follows it."""
TICK = 0.25
"""Seconds after which a connection that is read says that nothing came. It is set once and for all: a
time-out of Python's own takes two more calls of the system for every read."""


class Ended(OSError):
    """The connection has ended, or is not worth keeping."""


class Wire:
    """Reads and writes PDUs. Reading is for one thread; writing for any.

    Args:
        connection: the socket, plain or TLS (after its handshake).
        alone: whether nobody else is served by this process, so that waiting may be done awake.
    """

    def __init__(self, connection: socket.socket, alone: Callable[[], bool] = lambda: False) -> None:
        self._socket = connection
        self._stream: Awake | TlsStream
        if isinstance(connection, ssl.SSLSocket):
            self._stream = TlsStream(connection, TICK, PDU_SECONDS)
        else:
            connection.settimeout(None)
            times = {socket.SO_RCVTIMEO: TICK, socket.SO_SNDTIMEO: PDU_SECONDS}
            for option, seconds in times.items():
                connection.setsockopt(
                    socket.SOL_SOCKET, option, pack("ll", int(seconds), int(seconds % 1 * 1e6))
                )
            self._stream = Awake(connection, alone)
        self._buffer = memoryview(bytearray(BUFFER))
        self._start = self._end = 0
        self._sip = BUFFER
        self._patience = 0.0  # seconds; what is waited for the sender counts, not what is done with it
        self._limit = FIRST_PDU
        self._received = 0
        self._busy: tuple[float, int] | None = None
        self._lock = threading.Lock()

    def agreed(self) -> None:
        """The association is accepted: from now on PDUs are as long as was agreed."""
        self._limit = MAX_PDU + SLACK

    def next(self, idle: float, *, whole: bool = False) -> tuple[int, int]:
        """The head of the next PDU: its type, and how many bytes follow, all to be read before the next.

        Args:
            idle: seconds to wait for its first byte.
            whole: whether it must be whole by then; else it may take `PDU_SECONDS` more.

        Raises:
            Ended: the peer closed, was silent or too slow, or the PDU is longer than agreed.
            OSError: the connection broke.
        """
        self._patience = idle
        if self._start == self._end:
            self._fill(1)
        if not whole:
            self._patience = PDU_SECONDS
        kind, length = head_of(self.take(HEAD))
        if length > self._limit:
            raise Ended(f"a PDU of {length} bytes, at most {self._limit} were agreed")
        return kind, length

    def take(self, size: int) -> memoryview:
        """The next `size` bytes of the PDU, valid until more is read. Raises as `next`."""
        if self._end - self._start < size:
            self._fill(size)
        at = self._start
        self._start = at + size
        return self._buffer[at : self._start]

    def pour(self, size: int, sink: Sink, *, more: bool) -> None:
        """Give the next `size` bytes of the PDU to a sink: put in their place if there are many.

        Args:
            size: bytes.
            sink: takes them.
            more: whether another PDU must follow.

        Raises:
            Ended: as `next`.
            OSError: as `next`.
        """
        if more:
            self._sip = SIP if size >= STRAIGHT else BUFFER
        landing = sink.landing
        while size:
            ready = self._end - self._start
            if landing and not ready and size >= STRAIGHT and (places := landing.places(size)):
                count = self._land(places, more=more)
                landing.came(count)
            else:
                count = min(size, ready or BUFFER)
                sink.write(self.take(count))
            size -= count

    def progress(self, *, busy: bool) -> None:
        """Called after each PDU: whether a message is under way.

        Raises:
            Ended: too little of it has come for too long.
        """
        if not busy:
            self._busy = None
            return
        now = time.monotonic()
        since, received = self._busy or (now, self._received)
        if self._busy is None or self._received - received >= PROGRESS_BYTES:
            self._busy = (now, self._received)
        elif now - since > PROGRESS_SECONDS:
            raise Ended(f"fewer than {PROGRESS_BYTES} bytes of a message in {PROGRESS_SECONDS:.0f} s")

    def send(self, data: bytes) -> None:
        """Write a PDU. Raises OSError."""
        with self._lock:
            self._stream.sendall(data)

    def hang_up(self) -> None:
        """From any thread: end it, after what was sent; whoever reads sees the end."""
        with contextlib.suppress(OSError):  # not by TLS's own way: that takes it from under who reads
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close, having waited a moment for the peer to read our last word.

        A connection closed with bytes unread is reset, and the peer may lose what it was told.
        """
        deadline = time.monotonic() + LINGER_SECONDS
        with contextlib.suppress(OSError, ValueError):
            self._socket.shutdown(socket.SHUT_WR)
            for _ in range(16):
                self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
                if not self._socket.recv_into(self._buffer[: 64 << 10]):
                    break
        self._socket.close()

    def _fill(self, size: int) -> None:
        """Until `size` bytes from the start are there."""
        have = self._end - self._start
        if self._start and (not have or self._start + size > BUFFER):
            self._buffer[:have] = self._buffer[self._start : self._end]
            self._start, self._end = 0, have
        end = self._start + size
        while self._end < end:
            self._end += self._read([self._buffer[self._end : max(end, self._end + self._sip)]])

    def _land(self, places: list[memoryview], *, more: bool) -> int:
        """Read into places, and of what follows the heads alone, as the buffer is empty.

        Returns:
            How much landed.
        """
        room = sum(map(len, places))
        self._start, self._end = 0, 0
        count = self._read([*places, self._buffer[: HEAD + PDV_HEAD]] if more else places)
        self._end = max(0, count - room)
        return count - self._end

    def _read(self, buffers: list[memoryview]) -> int:
        """What comes, at least a byte. Raises as `next`."""
        now = time.monotonic()
        deadline, count = now + self._patience, None
        while count is None:
            if now >= deadline:
                raise Ended("it was silent for too long, or too slow")
            with contextlib.suppress(BlockingIOError):
                count = self._stream.recv_into(buffers)
            now = time.monotonic()
        if not count:
            raise Ended("it closed the connection")
        self._patience = deadline - now
        self._received += count
        return count
