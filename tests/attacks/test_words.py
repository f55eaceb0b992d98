"""Attacks by words: rows 20 and 22 of the threat model (row 16 is in tests/browser, row 21 with the audit trail)."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway import config
from gateway.errors import ConfigError
from hub.config import HubConfig

HOSTILE = [
    "Zhang\r\nlevel=error forged",
    "\x1b[31mred\x1b[0m",
    "a\u2028b\u2029c\u0085d",
    "x" * 100_000,
    '"}\n{"event":"forged"',
]
PROGRAM = """
import sys
from gateway import log
log.configure(json=True)
for name in __import__("json").load(sys.stdin):
    log.logger("test").warning("refused", why=name)
    __import__("logging").getLogger("library").warning("%s", name)
"""


def test_attack_20_log_injection_forges_no_line_and_floods_no_disk() -> None:
    """Through the real set-up, in a process of its own; our lines and those of libraries."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=json.dumps(HOSTILE), capture_output=True, text=True, check=True
    )
    lines = done.stderr.splitlines()
    assert len(lines) == 2 * len(HOSTILE)
    for line in lines:
        assert line.isascii()
        assert line.isprintable()
        assert json.loads(line)["event"] != "forged"
    for line, name in zip(lines[::2], HOSTILE, strict=True):
        told = json.loads(line)
        assert told["event"] == "refused"
        assert told["why"] == name if len(name) <= 512 else len(told["why"]) == 513
        assert len(line) < 5_000


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join(['*' + old] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
GOOD = "data: d\npki: p\nrules: r\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "alias"),
        (GOOD + "name: hub\nname: other\n", "name"),
        (GOOD + "access: {idle: 15m, idle: 30d}\n", "idle"),
        (GOOD + "name: !!python/object/apply:os.system ['true']\n", "single value"),
        (GOOD + "<<: {name: x}\n", "<<"),
        (GOOD + "web: {port: 1:30}\n", "port"),
        (GOOD + "access: {require_second_factor: 1}\n", "require_second_factor"),
        (GOOD + "access: {require_second_facter: false}\n", "require_second_facter"),
        (GOOD + "name: " + "x" * (2 << 20), "larger"),
        (GOOD + "web: " + "[" * 5_000, "nested"),
    ],
    ids=[
        "bomb",
        "twice",
        "twice below",
        "object",
        "merge",
        "sexagesimal",
        "number for yes",
        "misspelt",
        "huge",
        "deep",
    ],
)
def test_attack_22_yaml_bombs_and_confusions_are_refused_at_once(
    tmp_path: Path, text: str, words: str
) -> None:
    file = tmp_path / "hub.yaml"
    file.write_text(text, "utf-8")
    begun = time.monotonic()
    with pytest.raises(ConfigError) as told:
        config.load(file, HubConfig)
    assert words in str(told.value)
    assert time.monotonic() - begun < 5


def test_attack_22_no_stays_a_name_and_is_no_falsehood(tmp_path: Path) -> None:
    file = tmp_path / "hub.yaml"
    file.write_text(GOOD + "name: no\n", "utf-8")
    assert config.load(file, HubConfig).name == "no"
