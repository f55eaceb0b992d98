"""``telerad conformance``: the DICOM Conformance Statement of a configuration."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from importlib.metadata import entry_points, version
from pathlib import Path

from gateway import durable
from gateway.conformance.document import Section, Statement
from gateway.doctor import which_end
from gateway.errors import UsageError

EXAMPLES = """examples:
  telerad conformance -c edge.yaml
  telerad conformance -c edge.yaml --hub hub.yaml --format html -o conformance.html
  telerad conformance -c hub.yaml --format json
"""

Part = Callable[[Path], Section]
"""Takes the configuration file."""


def fill(parser: argparse.ArgumentParser) -> None:
    """Write the DICOM Conformance Statement (PS3.2) of a configuration."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "-c", "--config", type=Path, required=True, metavar="FILE", help="edge.yaml or hub.yaml"
    )
    parser.add_argument("--hub", type=Path, metavar="FILE", help="hub.yaml: its web services, too")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="instead of standard output")
    parser.add_argument(
        "--format", choices=("md", "html", "json"), default="md", help="md unless said otherwise"
    )
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace) -> int:
    files = [parsed.config, *([parsed.hub] if parsed.hub else [])]
    text = written(statement(files), parsed.format)
    if parsed.output is None:
        print(text)
        return 0
    try:
        durable.replace(parsed.output, text.encode(), mode=0o644)
    except OSError as error:
        raise UsageError(f"{parsed.output} cannot be written: {error.strerror or error}") from error
    return 0


def statement(files: list[Path]) -> Statement:
    """Of these configurations.

    Raises:
        ConfigError: one is wrong.
        UsageError: one cannot be read, or this installation does not know it.
    """
    title = f"DICOM Conformance Statement: Telerad Gateway {version('telerad-gateway')}"
    return Statement(title, tuple(_part(file) for file in files))


def written(made: Statement, form: str) -> str:
    """As ``md``, ``html`` or ``json``."""
    if form == "json":
        return json.dumps(made.as_json(), indent=2, ensure_ascii=False)
    return made.as_html() if form == "html" else made.as_markdown()


def _part(file: Path) -> Section:
    kind = which_end(file)
    points = tuple(entry_points(group="telerad.conformance", name=kind))
    if not points:
        raise UsageError(f"this installation brings no statement for the {kind}; install it anew")
    part: Part = points[0].load()
    return part(file)
