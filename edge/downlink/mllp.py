"""MLLP, the framing of HL7 v2 over TCP (Minimal Lower Layer Protocol, HL7 v2.5.1 Appendix C), bounded.

A message stands between VT (0x0B) and FS CR (0x1C 0x0D). `Deframer` is sans-IO; `exchange` sends one
message on its own connection and waits for the one answer.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from gateway.errors import Malformed, Unavailable

START, END = b"\x0b", b"\x1c\x0d"
MAX_ANSWER = 256 << 10
"""Bytes of an acknowledgement; a usual one has 200."""

CONNECT_SECONDS = 15.0
ANSWER_SECONDS = 60.0
CLOSE_SECONDS = 2.0


def frame(message: bytes) -> bytes:
    """The message with its framing.

    Raises:
        Malformed: it holds a framing byte itself; HL7 escapes control characters.
    """
    if b"\x0b" in message or b"\x1c" in message:
        raise Malformed("an HL7 message must not hold the bytes 0x0B and 0x1C")
    return START + message + END


class Deframer:
    """Finds messages in a stream of bytes.

    Args:
        limit: bytes of one message.
    """

    def __init__(self, limit: int = MAX_ANSWER) -> None:
        self._limit = limit
        self._kept = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes as they come; give the messages that are whole now.

        Raises:
            Malformed: bytes outside a frame, or a message beyond the limit.
        """
        self._kept += data
        found = []
        while self._kept:
            stray = len(self._kept) - len(self._kept.lstrip(b"\r\n"))  # some senders put line ends between
            del self._kept[:stray]
            if not self._kept:
                break
            if self._kept[:1] != START:
                raise Malformed("bytes outside of an MLLP frame")
            end = self._kept.find(END)
            if end < 0:
                if len(self._kept) > self._limit:
                    raise Malformed(f"an HL7 message of more than {self._limit} bytes")
                break
            if end > self._limit:
                raise Malformed(f"an HL7 message of more than {self._limit} bytes")
            found.append(bytes(self._kept[1:end]))
            del self._kept[: end + len(END)]
        return found


async def exchange(host: str, port: int, message: bytes, *, answer_seconds: float = ANSWER_SECONDS) -> bytes:
    """Send one message and wait for its answer.

    Args:
        host: of the receiver.
        port: of the receiver.
        message: without framing.
        answer_seconds: how long it may say nothing.

    Raises:
        Unavailable: not there, silent, closing early, or answering with something that is no MLLP.
    """
    place = f"{host}:{port}"
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError) as error:
        raise Unavailable(f"{place} cannot be reached: {_words(error)}") from error
    try:
        writer.write(frame(message))
        async with asyncio.timeout(answer_seconds):
            await writer.drain()
        return await _answer(reader, answer_seconds)
    except TimeoutError as error:
        raise Unavailable(f"{place} gave no answer within {answer_seconds:g} seconds") from error
    except (OSError, Malformed) as error:
        raise Unavailable(f"{place} did not answer as HL7 does: {_words(error)}") from error
    finally:
        writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await writer.wait_closed()


async def _answer(reader: asyncio.StreamReader, seconds: float) -> bytes:
    deframer = Deframer()
    while True:
        async with asyncio.timeout(seconds):
            data = await reader.read(64 << 10)
        if not data:
            raise Malformed("the connection was closed without an answer")
        found = deframer.feed(data)
        if found:
            return found[0]


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
