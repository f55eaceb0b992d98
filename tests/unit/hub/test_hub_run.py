"""``telerad hub run``, up to where it would serve."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HELD = """
import resource, sys
from pathlib import Path
from gateway.errors import UsageError
from gateway.exclusive import folder_held
from hub.app import run

data, file = Path(sys.argv[1]), Path(sys.argv[2])
with folder_held(data):
    try:
        run(file)
    except UsageError:
        print(resource.getrlimit(resource.RLIMIT_CORE))
"""


def test_a_hub_leaves_no_core_file(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "hub.yaml"
    data.mkdir()
    file.write_text(f"data: {data}\npki: {tmp_path / 'pki'}\nrules: {tmp_path / 'rules.yaml'}\n")
    done = subprocess.run(
        [sys.executable, "-c", HELD, str(data), str(file)], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "(0, 0)", done.stderr
