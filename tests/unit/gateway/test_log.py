"""Lines of JSON: whatever is logged, one line of ASCII that reads back."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.log import _json_line, _StandardError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=8).filter(lambda key: key != "exc_info"), VALUES, max_size=5))
def test_a_line_reads_back_as_it_was(event: dict[str, Any]) -> None:
    line = _json_line(None, "info", event)
    assert line.isascii()
    assert not any(ord(one) < 0x20 for one in line)
    assert json.loads(line) == event


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("half \ud800 of a pair", "half \ud800 of a pair"),
        (2**70, 2**70),
        ({1: "key"}, {"1": "key"}),
        (Path("/a"), "PosixPath('/a')"),
        (b"\n", "b'\\n'"),
        (
            datetime(2026, 1, 2, tzinfo=UTC),
            "datetime.datetime(2026, 1, 2, 0, 0, tzinfo=datetime.timezone.utc)",
        ),
    ],
)
def test_what_is_no_plain_value_is_written_all_the_same(value: object, read: object) -> None:
    line = _json_line(None, "info", {"event": "odd", "value": value})
    assert line.isascii()
    assert json.loads(line) == {"event": "odd", "value": read}
    umlaut = _json_line(None, "info", {"event": "ä", "value": value})  # by the other encoder
    assert umlaut.isascii()
    assert json.loads(umlaut) == {"event": "ä", "value": read}


def test_a_log_that_cannot_be_written_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="No space"), Path("/dev/full").open("w", buffering=1) as full:
        monkeypatch.setattr(sys, "stderr", full)
        _StandardError().write("lost\n")
        _StandardError().flush()
        monkeypatch.undo()  # and that it was lost indeed is said when it is closed
