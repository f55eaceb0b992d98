"""JSON from outside, of which every text can be written down again."""

from __future__ import annotations

import json
from typing import Any

from gateway.errors import Malformed


def load(data: bytes) -> Any:
    """The value of a JSON text (RFC 8259).

    Raises:
        Malformed: it is none, or a text in it has half a surrogate pair (§8.2): no database, digest or
            log can take that.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise Malformed("the body is not JSON") from None
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Malformed("the body has characters that are no text (half a surrogate pair)") from None
    return value
