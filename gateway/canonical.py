"""Canonical JSON: one value, one byte string (RFC 8785), so that it can be signed and hashed.

Only what our records need: objects, arrays, strings, integers, booleans, null. Floats are refused,
since their text is where canonical forms go wrong; amounts are written as integers with a unit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gateway.errors import Malformed

MAX_INTEGER = 2**53 - 1
"""RFC 8785 §3.2.2.3 follows IEEE doubles: larger integers would not survive other readers."""


def dump(value: Any) -> bytes:
    """The canonical bytes of `value`.

    Raises:
        Malformed: it holds a float, an integer beyond 2^53-1, a lone surrogate or another type.
    """
    _check(value)
    return json.dumps(_sorted(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def load(data: bytes) -> Any:
    """Read canonical JSON, refusing bytes that are not exactly canonical (so a digest has one preimage).

    Raises:
        Malformed: not JSON, or not in canonical form.
    """
    try:
        value = json.loads(data)
        canonical = dump(value)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not canonical JSON: {error}") from error
    if canonical != data:
        raise Malformed("JSON is not in canonical form (RFC 8785)")
    return value


def _check(value: Any) -> None:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise Malformed(f"integer beyond 2^53-1: {value}")
    elif isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise Malformed("text with a lone surrogate") from error
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise Malformed(f"key {key!r} is not text")
            _check(key)
            _check(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check(item)
    else:
        raise Malformed(f"{type(value).__name__} has no canonical form")


def _sorted(value: Any) -> Any:
    """Objects in the order of their keys' UTF-16 code units (RFC 8785 §3.2.3)."""
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value, key=lambda k: k.encode("utf-16-be"))}
    if isinstance(value, (list, tuple)):
        return [_sorted(item) for item in value]
    return value
