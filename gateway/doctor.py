"""``telerad doctor``: is this machine fit to run, and if not, what is wrong, in plain words.

Each end brings its own checks, as an entry point of the group ``telerad.checks`` (`edge.checks`,
`hub.checks`), since nothing here may know either end. Checks only look; they change nothing.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import Enum
from importlib.metadata import entry_points
from pathlib import Path

import yaml
from cryptography import x509

from gateway import config, durable
from gateway.errors import UsageError

EXAMPLES = """examples:
  telerad doctor -c edge.yaml
  telerad doctor -c hub.yaml --json
"""

READ_ONLY = "look at the system log and the disk, repair the file system (fsck), mount it for writing"

CLOCK_WARNING = timedelta(seconds=30)
CLOCK_FAULT = timedelta(minutes=5)
"""Beyond this, certificates and signatures begin to be refused for their times."""


class Level(Enum):
    """How a check came out."""

    GOOD = "good"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: such as ``clock`` or ``disk``.
        level: how it is.
        words: a sentence for the technician, with what to do if it is not good.
    """

    what: str
    level: Level
    words: str


Checks = Callable[[Path], Iterable[Finding]]
"""Takes the configuration file."""


def fill(parser: argparse.ArgumentParser) -> None:
    """Check clock, disk, certificates and the way to the hub."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "-c", "--config", type=Path, required=True, metavar="FILE", help="edge.yaml or hub.yaml"
    )
    parser.add_argument("--json", action="store_true", help="answer as JSON")
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace) -> int:
    kind = which_end(parsed.config)
    points = tuple(entry_points(group="telerad.checks", name=kind))
    if not points:
        raise UsageError(f"this installation brings no checks for the {kind}; install it anew")
    checks: Checks = points[0].load()
    return report(list(checks(parsed.config)), as_json=parsed.json)


def report(findings: list[Finding], *, as_json: bool) -> int:
    """Print what was found. Returns 1 if there is a fault, else 0."""
    if as_json:
        print(json.dumps([{**asdict(one), "level": one.level.value} for one in findings], ensure_ascii=False))
    else:
        for one in findings:
            print(f"{one.level.value:<8} {one.what:<12} {one.words}")
    return int(any(one.level is Level.FAULT for one in findings))


def which_end(file: Path) -> str:
    """Whose configuration a file is: ``hub`` if it names a certificate authority (`pki`), else ``edge``.

    Raises:
        ConfigError: it is no configuration file at all.
        UsageError: it cannot be read.
    """
    try:
        root = config.compose(file.read_bytes(), file=file)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    keys = [name.value for name, _ in root.value] if isinstance(root, yaml.MappingNode) else []
    return "hub" if "pki" in keys else "edge"


def disk(folder: Path, reserve: int) -> Finding:
    """Whether the file system of `folder` can be written, and has more than `reserve` bytes free."""
    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    if os.statvfs(there).f_flag & os.ST_RDONLY:
        words = f"{folder} can only be read: {READ_ONLY}"
        return Finding("disk", Level.FAULT, words)
    free = durable.free_bytes(there)
    words = f"{free / 1e9:.1f} GB free for {folder}, {reserve / 1e9:.1f} GB are kept in reserve"
    if free <= reserve:
        return Finding("disk", Level.FAULT, f"{words}: nothing more is accepted until there is room")
    return Finding("disk", Level.WARNING if free < 2 * reserve else Level.GOOD, words)


def clock(offset: timedelta | None) -> Finding:
    """How far this machine's clock is from the hub's.

    Args:
        offset: the hub's clock minus ours; None if the hub did not answer.
    """
    if offset is None:
        return Finding("clock", Level.WARNING, "not compared: the hub did not answer")
    seconds = offset.total_seconds()
    if abs(seconds) < 2:
        return Finding("clock", Level.GOOD, "agrees with the hub's")
    words = f"{abs(seconds):.0f} s {'behind' if seconds > 0 else 'ahead of'} the hub's"
    if abs(offset) >= CLOCK_FAULT:
        return Finding("clock", Level.FAULT, f"{words}: set it, best by NTP; signatures will be refused")
    return Finding("clock", Level.WARNING if abs(offset) >= CLOCK_WARNING else Level.GOOD, words)


def certificate(what: str, leaf: x509.Certificate, now: datetime) -> Finding:
    """How long a certificate is still good; from 80 % of its life on, its renewal is overdue."""
    start, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if now > end:
        return Finding(
            what,
            Level.FAULT,
            f"expired on {end:%Y-%m-%d %H:%M} UTC; this machine's clock says {now:%Y-%m-%d %H:%M}",
        )
    if now < start:
        return Finding(
            what, Level.FAULT, f"not valid before {start:%Y-%m-%d %H:%M} UTC; is this machine's clock right?"
        )
    days = (end - now) / timedelta(days=1)
    words = f"good for {days:.1f} days, until {end:%Y-%m-%d %H:%M} UTC"
    if now > start + (end - start) * 0.8:
        return Finding(what, Level.WARNING, f"{words}; it should have been renewed by now")
    return Finding(what, Level.GOOD, words)
