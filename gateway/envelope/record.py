"""Reading a JSON object strictly: exactly the keys it must have, each of its kind and within bounds."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from gateway import canonical
from gateway.clock import parse_rfc3339
from gateway.errors import Malformed

T = TypeVar("T")


def base64_text(data: bytes) -> str:
    """RFC 4648 §4, with padding."""
    return b64encode(data).decode("ascii")


def base64_bytes(text: str) -> bytes:
    """Read what `base64_text` writes, and nothing else (so that one text stands for given bytes).

    Raises:
        Malformed: it is another text.
    """
    try:
        data = b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("not base64 (RFC 4648 §4)") from error
    if base64_text(data) != text:
        raise Malformed("not the one base64 form of its bytes (RFC 4648 §3.5)")
    return data


class Record:
    """One JSON object of a known kind.

    Args:
        value: what the JSON reader gave.
        what: how to name it when it is wrong.
        keys: these must be there.
        optional: these may be there; no others.

    Raises:
        Malformed: not an object, or other keys.
    """

    def __init__(
        self, value: Any, what: str, keys: frozenset[str], optional: Collection[str] = frozenset()
    ) -> None:
        if not isinstance(value, Mapping):
            raise Malformed(f"{what} is not a JSON object")
        odd = sorted((value.keys() - optional) ^ keys)
        if odd:
            raise Malformed(f"{what}: missing or unknown {', '.join(map(repr, odd))}")
        self._value, self._what = value, what

    @classmethod
    def parse(
        cls,
        data: bytes,
        what: str,
        keys: frozenset[str],
        *,
        limit: int,
        optional: Collection[str] = frozenset(),
    ) -> Record:
        """Read canonical JSON of at most `limit` bytes. Raises Malformed."""
        if len(data) > limit:
            raise Malformed(f"{what} is larger than {limit} bytes")
        return cls(canonical.load(data), what, keys, optional)

    def _fault(self, key: str, wanted: str) -> Malformed:
        return Malformed(f"{self._what}: {key} is not {wanted}")

    def has(self, key: str) -> bool:
        """Whether an optional key is there."""
        return key in self._value

    def text(self, key: str, limit: int = 256) -> str:
        """A string of at most `limit` characters."""
        value = self._value[key]
        if not isinstance(value, str) or len(value) > limit:
            raise self._fault(key, f"text of at most {limit} characters")
        return value

    def checked(self, key: str, check: Callable[[str], T], limit: int = 256) -> T:
        """A string that `check` accepts and turns into its own type."""
        try:
            return check(self.text(key, limit))
        except Malformed as error:
            raise Malformed(f"{self._what}: {key}: {error}") from error

    def integer(self, key: str, low: int, high: int = canonical.MAX_INTEGER) -> int:
        """An integer from `low` to `high`, both included."""
        value = self._value[key]
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self._fault(key, f"an integer from {low} to {high}")
        return value

    def binary(self, key: str, limit: int, *, exact: bool = False) -> bytes:
        """Base64 of at most (or `exact`: of) `limit` bytes."""
        data = self.checked(key, base64_bytes, (limit + 2) // 3 * 4)
        if len(data) > limit or (exact and len(data) != limit):
            raise self._fault(key, f"{'' if exact else 'at most '}{limit} bytes")
        return data

    def moment(self, key: str) -> str:
        """A time as `gateway.clock.rfc3339` writes it."""
        value = self.text(key, 27)
        try:
            parse_rfc3339(value)
        except ValueError as error:
            raise self._fault(key, "an RFC 3339 time in UTC with microseconds") from error
        return value

    def items(self, key: str, low: int, high: int) -> list[Any]:
        """An array of `low` to `high` items."""
        value = self._value[key]
        if not isinstance(value, list) or not low <= len(value) <= high:
            raise self._fault(key, f"a list of {low} to {high} items")
        return value

    def mapping(self, key: str) -> Mapping[str, Any]:
        """A JSON object of any content."""
        value = self._value[key]
        if not isinstance(value, dict):
            raise self._fault(key, "a JSON object")
        return value
