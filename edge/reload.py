"""Reads the configuration again when its file changes, for the keys that may change while the edge runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from edge.config import EdgeConfig
from gateway import config
from gateway.errors import ConfigError
from gateway.log import logger

LOOK_SECONDS = 2.0
log = logger("edge.reload")


class Reload:
    """Looks at the file.

    Args:
        file: edge.yaml.
        settings: as it was read at the start.
        apply: takes the new settings; only ``uplink.budget`` is in force at once.

    Attributes:
        fault: what is wrong with the file as it is now; empty if nothing is. The old settings go on.
    """

    def __init__(self, file: Path, settings: EdgeConfig, apply: Callable[[EdgeConfig], None]) -> None:
        self._file, self._settings, self._apply = file, settings, apply
        self._seen = _mark(file)
        self.fault = ""

    async def run(self) -> None:
        """Look for ever. A service: ends only by cancellation."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> bool:
        """Look once. Returns whether new settings were taken."""
        mark = _mark(self._file)
        if mark == self._seen:
            return False
        self._seen = mark
        try:
            found = config.load(self._file, EdgeConfig)
        except ConfigError as error:
            self.fault = str(error)
            log.warning("the configuration is faulty, the old one stays", why=self.fault)
            return False
        self.fault = ""
        self._apply(found)
        if _without_budget(found) != _without_budget(self._settings):
            log.warning("some changed keys are in force only after a restart; budgets are now")
        else:
            log.info("budgets read again", entries=len(found.uplink.budget))
        return True


def _without_budget(settings: EdgeConfig) -> EdgeConfig:
    return replace(settings, uplink=replace(settings.uplink, budget=()))


def _mark(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None  # being replaced, or gone: reading it says so
    return found.st_mtime_ns, found.st_size, found.st_ino
