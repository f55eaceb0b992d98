"""``telerad hub``: hands over to the stations' own commands, each imported only here."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

STATIONS = (
    "hub.custody_commands",
    "hub.fleet.commands",
    "hub.access.commands",
    "hub.disk_commands",
    "hub.archive.commands",
)
"""Modules with ``fill(actions)``, which adds their sub-commands."""

EXAMPLES = """examples:
  telerad hub run -c hub.yaml
  telerad hub token create -c hub.yaml --site H001
  telerad hub edge list -c hub.yaml
  telerad hub import -c hub.yaml /media/usb
  telerad hub study list -c hub.yaml
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Run a hub, and keep its edges and accounts."""
    parser.epilog = EXAMPLES
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    summary = "run the hub until it is told to stop"
    run = actions.add_parser("run", help=summary, description=summary)
    run.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="hub.yaml")
    run.set_defaults(run=_run)
    for station in STATIONS:
        import_module(station).fill(actions)


def _run(parsed: argparse.Namespace) -> int:
    code: int = import_module("hub.app").run(parsed.config)
    return code
