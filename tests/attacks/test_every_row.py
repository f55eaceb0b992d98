"""Each of the 28 rows of the threat model has a test that is named after it."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROWS = 28


def test_every_row_has_its_test() -> None:
    found: set[int] = set()
    for path in TESTS.rglob("test_*.py"):
        found |= {int(row) for row in re.findall(r"def test_attack_(\d\d)_", path.read_text("utf-8"))}
    assert found == set(range(1, ROWS + 1))
