"""What both benches share: a folder that goes again, signals, words on the screen, JSON on demand."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from gateway import config
from gateway.config import BitRate, Bytes
from gateway.errors import ConfigError

WIDTH = 110
"""Columns of the tables, in a file or a pipe."""


class Desk:
    """Where a bench works and speaks.

    Args:
        options: ``--json``, ``--keep`` and ``--dir`` of `add_options`.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.as_json: bool = options.json
        self._keep: bool = options.keep
        self._within: Path | None = options.dir
        self.screen = Console(stderr=self.as_json)  # with --json, standard output is for the script
        if self.screen.width < WIDTH and not self.screen.is_terminal:
            self.screen = Console(stderr=self.as_json, width=WIDTH)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A new folder, removed at the end, also after Ctrl-C, unless --keep."""
        # A shell starts a background job deaf to SIGINT; any of these ends the bench in order.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _end)
        made = Path(tempfile.mkdtemp(prefix="telerad-bench-", dir=self._within))
        try:
            yield made
        finally:
            if self._keep:
                self.screen.print(f"kept: {made}", soft_wrap=True)
            else:
                shutil.rmtree(made, ignore_errors=True)

    @contextmanager
    def step(self, words: str) -> Iterator[None]:
        """Say what is being done, and how long it took."""
        started = time.monotonic()
        with self.screen.status(words):
            yield
        self.screen.print(f"  [green]✓[/] {words} [dim]({time.monotonic() - started:.1f} s)[/]")

    def tell(self, words: str) -> None:
        """A remark."""
        self.screen.print(f"  [yellow]·[/] {words}", highlight=False)

    def machine(self) -> dict[str, float]:
        """What is measured on, and how busy it is with other work; said if that will be felt."""
        load, cpus = os.getloadavg()[0], os.cpu_count() or 1
        if load > cpus / 2:
            self.tell(f"this machine is busy already (load {load:.1f} on {cpus} CPUs): figures will be worse")
        return {"cpus": cpus, "load_before": load}

    def answer(self, facts: dict[str, Any]) -> None:
        """The result for a script, if one asked."""
        if self.as_json:
            print(json.dumps(facts, indent=2))


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options both benches have."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON; words go to stderr")
    parser.add_argument("--keep", action="store_true", help="keep logs, configuration and studies")
    parser.add_argument(
        "--dir", type=Path, metavar="DIR", help="work in a new folder below DIR (system temp)"
    )


@dataclass(frozen=True, slots=True)
class _Units:
    size: Bytes = Bytes(0)
    rate: BitRate = BitRate(0)


def size(text: str) -> int:
    """Bytes of ``2GB``, as in a configuration file; for argparse."""
    return _parsed("size", text).size


def rate(text: str) -> int:
    """Bits per second of ``384 kbit``, as in a configuration file; for argparse."""
    return _parsed("rate", text).rate


def _parsed(field: str, text: str) -> _Units:
    try:
        return config.parse(f"{field}: {text}".encode(), _Units)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _end(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt
