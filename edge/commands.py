"""``telerad edge``: run an edge, enrol it, ask how it is."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from importlib import import_module
from pathlib import Path

from edge.config import EdgeConfig
from edge.enroll import enroll
from edge.identity import FOLDER, EdgeIdentity
from edge.proxy import Proxy
from gateway import config
from gateway.clock import SystemClock, rfc3339
from gateway.errors import UsageError
from gateway.invitation import Invitation

STATIONS = ("edge.status_command", "edge.disk_commands", "edge.import_commands", "edge.give_up_command")
"""Modules with ``fill(actions)``, which adds their sub-commands."""

EXAMPLES = """examples:
  telerad edge enroll -c edge.yaml TG1-ABCDE-…          the code the hub's administrator gave you
  telerad edge enroll -c edge.yaml --hub https://hub.example.org:8443 --token T --pin sha256:…
  telerad edge run -c edge.yaml
  telerad edge show -c edge.yaml
  telerad edge status -c edge.yaml
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Run an edge, and enrol it with a hub."""
    parser.epilog = EXAMPLES
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    run = _action(actions, "run", "run the edge until it is told to stop")
    run.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="edge.yaml")
    run.set_defaults(run=_run)
    joining = _action(actions, "enroll", "get a certificate from a hub, by a one-time token")
    _add_place(joining)
    joining.add_argument(
        "code", nargs="*", metavar="CODE", help="from `telerad hub token create`; - reads it"
    )
    joining.add_argument("--hub", metavar="URL", help="instead of a code: the hub's web address,")
    joining.add_argument("--token", help="the one-time token")
    joining.add_argument("--pin", metavar="sha256:…", help="and the pin of the hub's root")
    joining.add_argument("--again", action="store_true", help="enrol anew; the old identity is kept aside")
    joining.set_defaults(run=_enroll)
    shown = _action(actions, "show", "who this edge is, and until when")
    _add_place(shown)
    shown.set_defaults(run=_show)
    for station in STATIONS:
        import_module(station).fill(actions)


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str
) -> argparse.ArgumentParser:
    return actions.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_place(parser: argparse.ArgumentParser) -> None:
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("-c", "--config", type=Path, metavar="FILE", help="edge.yaml")
    place.add_argument("--data", type=Path, metavar="DIR", help="the edge's data folder")
    parser.add_argument("--json", action="store_true", help="answer as JSON")


def _proxy(parsed: argparse.Namespace) -> Proxy | None:
    return None if parsed.config is None else Proxy.configured(config.load(parsed.config, EdgeConfig).uplink)


def _data(parsed: argparse.Namespace) -> Path:
    data: Path = parsed.data or config.load(parsed.config, EdgeConfig).data
    return data


def _run(parsed: argparse.Namespace) -> int:
    code: int = import_module("edge.app").run(parsed.config)
    return code


def _enroll(parsed: argparse.Namespace) -> int:
    invitation = _invitation(parsed)
    clock, proxy = SystemClock(), _proxy(parsed)
    identity = asyncio.run(enroll(invitation, _data(parsed), clock, again=parsed.again, proxy=proxy))
    _tell(parsed, identity)
    return 0


def _invitation(parsed: argparse.Namespace) -> Invitation:
    """From the code, or from its three parts. Raises UsageError."""
    parts = (parsed.hub, parsed.token, parsed.pin)
    if parsed.code and not any(parts):
        code = sys.stdin.readline() if parsed.code == ["-"] else " ".join(parsed.code)
        return Invitation.of_code(code)
    if parsed.code or not all(parts):
        raise UsageError(
            "give the code from the hub's administrator, or all of --hub, --token and --pin instead"
        )
    return Invitation(*parts)


def _show(parsed: argparse.Namespace) -> int:
    folder = _data(parsed) / FOLDER
    if not folder.exists():
        raise UsageError(f"this edge is not enrolled: {folder} is missing")
    _tell(parsed, EdgeIdentity.load(folder))
    return 0


def _tell(parsed: argparse.Namespace, identity: EdgeIdentity) -> None:
    facts = {
        "site": identity.site,
        "edge": identity.edge,
        "hub_url": identity.addresses.web,
        "line_url": identity.addresses.line,
        "not_after": rfc3339(identity.certificate.not_valid_after_utc),
        "fingerprint": identity.fingerprint,
        "recipients": [key.kid for key in identity.recipients],
    }
    if parsed.json:
        print(json.dumps(facts))
        return
    print(f"this is edge {facts['edge']} of site {facts['site']}, until {facts['not_after']}")
    print(f"hub {facts['hub_url']}, line {facts['line_url']}")
