"""A hub and an edge as real processes, started once for all journeys by ``telerad demo``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
START_SECONDS = 120


@dataclass(frozen=True)
class Stack:
    """What ``demo.json`` says, and where the processes log."""

    folder: Path
    hub: dict[str, Any]
    edge: dict[str, Any]
    users: list[dict[str, str]]

    @property
    def data(self) -> Path:
        """The edge's data folder."""
        return Path(self.edge["config"]).parent / "data"

    def user(self, role: str) -> dict[str, str]:
        """The first user with this role."""
        return next(user for user in self.users if user["role"] == role)

    def logs(self) -> str:
        """All logs, for a failing test to show."""
        return "\n".join(
            f"== {log.name}\n{log.read_text()[-4000:]}" for log in (self.folder / "logs").iterdir()
        )


def environment() -> dict[str, str]:
    """The environment for a ``telerad`` process of this checkout."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default", "COLUMNS": "160"}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    command = [sys.executable, "-m", "gateway.cli", "demo", "--no-study", "--headless", "--dir", str(folder)]
    with (folder / "demo.out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment())
    try:
        until = time.monotonic() + START_SECONDS
        while not (folder / "demo.json").exists():
            assert process.poll() is None, (folder / "demo.out").read_text()
            assert time.monotonic() < until, (folder / "demo.out").read_text()
            time.sleep(0.2)
        described = json.loads((folder / "demo.json").read_text())
        yield Stack(folder, described["hub"], described["edges"][0], described["users"])
        assert process.poll() is None, (folder / "demo.out").read_text()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
