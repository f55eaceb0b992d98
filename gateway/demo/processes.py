"""The hub and the edges as real processes, each with its own log file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from ssl import SSLContext

from gateway.errors import Unavailable, UsageError

START_SECONDS = 60.0
"""A process that does not answer by then is broken, even on a slow machine."""


class Processes:
    """Started processes by name; stopped in reverse order."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def pids(self) -> dict[str, int | None]:
        """Process ids by name."""
        return {name: process.pid for name, process in self._running.items()}

    def start(self, name: str, *words: str | Path) -> None:
        """Start ``telerad WORDS…``; what it says goes to ``logs/NAME.log``."""
        self.logs.mkdir(parents=True, exist_ok=True)
        with (self.logs / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", "gateway.cli", *map(str, words)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the demo, which then stops them in order
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    def wait_for(self, name: str, answers: Callable[[], bool]) -> None:
        """Wait until process `name` answers.

        Raises:
            UsageError: it ended; the message carries the end of its log.
            Unavailable: it runs and does not answer.
        """
        process = self._running[name]
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if process.poll() is not None:
                raise UsageError(f"{name} ended with code {process.returncode}:\n{self.tail(name)}")
            if answers():
                return
            time.sleep(0.1)
        raise Unavailable(f"{name} did not answer within {START_SECONDS:.0f} s:\n{self.tail(name)}")

    def ended(self) -> list[str]:
        """The names of processes that have ended since the last time; they are ours no longer."""
        names = [name for name, process in self._running.items() if process.poll() is not None]
        for name in names:
            del self._running[name]
        return names

    def tail(self, name: str, lines: int = 15) -> str:
        """The last lines of a log."""
        text = (self.logs / f"{name}.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def stop(self, name: str | None = None) -> None:
        """Ask one process, or all, to end; wait; insist after twenty seconds."""
        for chosen in [name] if name else list(reversed(self._running)):
            process = self._running.pop(chosen)
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def answers(url: str, context: SSLContext | None = None) -> bool:
    """Whether a GET of `url` is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=2, context=context) as response:  # noqa: S310  # our own address
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
