"""Messages between the edge's process and an acceptor: JSON lists, each behind its length. Thread-safe.

JSON, since what comes from a process that speaks with strangers is read as values and never as code.
"""

from __future__ import annotations

import binascii
import json
import select
import socket
import struct
import threading
from typing import Any

import orjson

from gateway.errors import DataError, GatewayError, Malformed, ResourceError, StorageFull, Unavailable

_LENGTH = struct.Struct("<L")
PIECE = 1 << 16
Message = list[Any]

_ERRORS: dict[str, type[GatewayError]] = {
    kind.__name__: kind for kind in (StorageFull, ResourceError, Malformed, DataError, Unavailable)
}


class Line:
    """One end. Sending is for any thread, receiving for one.

    Args:
        connected: one socket of a pair.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._lock = threading.Lock()
        self._buffer = bytearray()
        self._reading = select.poll()
        self._reading.register(connected, select.POLLIN)

    def send(self, *message: Any) -> None:
        """Waits while the other end does not keep up. Raises OSError: it is gone."""
        data = _written(message)
        with self._lock:
            self._socket.sendall(_LENGTH.pack(len(data)) + data)

    def comes(self, seconds: float) -> bool:
        """Whether something comes in so long, if only the end. For who receives."""
        return bool(self._reading.poll(seconds * 1000))

    def receive(self) -> list[Message]:
        """Every message that has come, at least one; none: the other end is gone."""
        found: list[Message] = []
        while not found:
            try:
                data = self._socket.recv(PIECE)
            except OSError:
                return []
            if not data:
                return []
            self._buffer += data
            found = self._whole()
        return found

    def end(self) -> None:
        """Nothing more is sent or received; whoever receives sees the end."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it has ended already

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _whole(self) -> list[Message]:
        found, at = [], 0
        while len(self._buffer) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer, at)
            end = at + _LENGTH.size + length
            if end > len(self._buffer):
                break
            found.append(_read(self._buffer[at + _LENGTH.size : end]))
            at = end
        del self._buffer[:at]
        return found


def _written(message: tuple[Any, ...]) -> bytes:
    try:
        return orjson.dumps(message)
    except TypeError:  # half of a surrogate pair, which JSON may hold and UTF-8 may not
        return json.dumps(message).encode()


def _read(data: bytearray) -> Message:
    try:
        found: Message = orjson.loads(data)
    except ValueError:  # likewise
        found = json.loads(data)
    return found


def packed(data: bytes) -> str:
    """Bytes for a message."""
    return binascii.b2a_base64(data, newline=False).decode()


def unpacked(text: str) -> bytes:
    """What was `packed`."""
    return binascii.a2b_base64(text)


def fault(error: GatewayError) -> list[str]:
    """An error for a message."""
    for kind in _ERRORS.values():  # the more exact come first
        if isinstance(error, kind):
            return [kind.__name__, str(error)]
    return [ResourceError.__name__, str(error)]


def raised(words: list[str]) -> GatewayError:
    """The error of a message."""
    name, text = words
    return _ERRORS.get(name, ResourceError)(text)
