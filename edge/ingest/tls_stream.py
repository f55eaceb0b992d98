"""A TLS connection that one thread reads while others write."""

from __future__ import annotations

import errno
import select
import ssl
import threading
import time


class TlsStream:
    """Reads and writes as a plain socket with time-outs of its kernel does.

    OpenSSL bears one call at a time on a connection. Python lets another thread go on while it is in one:
    without the lock, who reads sees an end that is none while another writes. Nobody waits within the lock.

    Args:
        connection: after its handshake.
        read_seconds: after which reading says that nothing came.
        write_seconds: after which writing is given up.
    """

    def __init__(self, connection: ssl.SSLSocket, read_seconds: float, write_seconds: float) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._read_seconds, self._write_seconds = read_seconds, write_seconds
        self._lock = threading.Lock()

    def recv_into(self, buffers: list[memoryview]) -> int:
        """What has come, into the first of these.

        Raises:
            BlockingIOError: nothing yet, ask again.
            OSError: the connection broke.
        """
        try:
            with self._lock:
                return self._connection.recv_into(buffers[0])
        except ssl.SSLWantReadError:
            self._wait(select.POLLIN, self._read_seconds)
        except ssl.SSLWantWriteError:
            self._wait(select.POLLOUT, self._read_seconds)
        raise BlockingIOError

    def sendall(self, data: bytes) -> None:
        """Write all of it; for one thread at a time. Raises OSError."""
        left, deadline = memoryview(data), time.monotonic() + self._write_seconds
        while left:
            try:
                with self._lock:
                    left = left[self._connection.send(left) :]
                continue
            except ssl.SSLWantWriteError:
                event = select.POLLOUT
            except ssl.SSLWantReadError:
                event = select.POLLIN
            if not self._wait(event, deadline - time.monotonic()):
                raise TimeoutError("it does not read what it is told")

    def _wait(self, event: int, seconds: float) -> bool:
        handle = self._connection.fileno()
        if handle < 0:
            raise OSError(errno.EBADF, "the connection has been closed")
        waiting = select.poll()
        waiting.register(handle, event)
        return bool(waiting.poll(max(seconds, 0) * 1000))
