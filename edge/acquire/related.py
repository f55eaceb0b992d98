"""Reads ``multipart/related`` (RFC 2046 §5.1, RFC 2387) part by part as it comes, bounded."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from gateway.errors import Malformed, Refused

HEADER_LIMIT = 16 << 10
"""Bytes of one part's header, and of what may stand before the first part."""

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
_PARAMETER = re.compile(r';\s*([A-Za-z0-9_.-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;\s]*)')


class TooLarge(Refused):
    """A part is larger than is taken here."""


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type and its parameters, names and type in lower case (RFC 9110 §8.3.1)."""

    essence: str
    parameters: dict[str, str]


def media_type(text: str) -> MediaType:
    """Read a Content-Type field; what cannot be read is left out."""
    essence = text.partition(";")[0].strip().lower()
    found = {name.lower(): _unquoted(value) for name, value in _PARAMETER.findall(text)}
    return MediaType(essence, found)


def _unquoted(value: str) -> str:
    if value.startswith('"'):
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value


@dataclass(slots=True)
class Part:
    """One whole part.

    Attributes:
        headers: field names in lower case.
        body: as it came; no transfer encoding is undone.
    """

    headers: dict[str, str]
    body: bytearray


async def parts(read: Callable[[], Awaitable[bytes]], boundary: str, *, limit: int) -> AsyncIterator[Part]:
    """Yield every part once its end has come.

    Args:
        read: gives the next bytes, empty at the end.
        boundary: of the Content-Type.
        limit: bytes of one part's body.

    Raises:
        Malformed: no multipart, or it ends before its closing boundary. Parts before were whole.
        TooLarge: a part is larger than `limit`.
    """
    if not _BOUNDARY.fullmatch(boundary):
        raise Malformed("the boundary is missing or no boundary (RFC 2046 §5.1.1)")
    source = _Source(read, b"\r\n--" + boundary.encode("ascii"))
    await source.until_delimiter(HEADER_LIMIT, "before the first part")
    while await source.opens_a_part():
        header = await source.until(b"\r\n\r\n", HEADER_LIMIT)
        body = await source.until_delimiter(limit, "in a part")
        yield Part(_fields(header), body)


def _fields(header: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in header.decode("latin_1").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            found[name.strip().lower()] = value.strip()
    return found


class _Source:
    def __init__(self, read: Callable[[], Awaitable[bytes]], delimiter: bytes) -> None:
        self._read, self._delimiter = read, delimiter
        self._buffer = bytearray(b"\r\n")  # the first delimiter may stand at the very start

    async def _more(self) -> None:
        found = await self._read()
        if not found:
            raise Malformed("the body ends before its closing boundary")
        self._buffer += found

    async def until_delimiter(self, limit: int, place: str) -> bytearray:
        """What stands before the next delimiter; both are taken off."""
        at, size = 0, len(self._delimiter)
        while True:
            found = self._buffer.find(self._delimiter, at)
            if found >= 0:
                while len(self._buffer) < found + size + 2:
                    await self._more()
                if self._buffer[found + size : found + size + 1].startswith((b"\r", b"-", b" ", b"\t")):
                    break
                at = found + size  # the boundary is the beginning of something longer
                continue
            at = max(at, len(self._buffer) - size)
            if len(self._buffer) > limit + size:
                raise TooLarge(f"more than {limit} bytes {place}")
            await self._more()
        if found > limit:
            raise TooLarge(f"more than {limit} bytes {place}")
        rest = self._buffer[found + size :]
        body, self._buffer = self._buffer, rest
        del body[found:]
        return body

    async def opens_a_part(self) -> bool:
        """After a delimiter: whether a part follows, or the end."""
        if self._buffer.startswith(b"--"):
            return False
        padding = await self.until(b"\r\n", HEADER_LIMIT)
        if padding.strip():
            raise Malformed("a boundary is followed by text")
        if self._buffer.startswith(b"\r\n"):  # a part without any header
            self._buffer[:0] = b"\r\n"
        return True

    async def until(self, mark: bytes, limit: int) -> bytes:
        """What stands before `mark`; both are taken off."""
        at = 0
        while (found := self._buffer.find(mark, at)) < 0:
            if len(self._buffer) > limit:
                raise Malformed(f"more than {limit} bytes of header")
            at = max(0, len(self._buffer) - len(mark) + 1)
            await self._more()
        taken = bytes(self._buffer[:found])
        del self._buffer[: found + len(mark)]
        return taken
