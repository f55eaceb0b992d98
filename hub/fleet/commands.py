"""``telerad hub token`` and ``telerad hub edge``: who may join, who is there, who must leave."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from certs.authority import Authority, Issuer
from gateway import config, durable
from gateway.clock import SystemClock
from gateway.database import Database, open_database
from gateway.errors import UsageError
from gateway.trust import spki_pin
from hub import alerts
from hub.config import HubConfig
from hub.custody import CustodyLog
from hub.fleet import devices, returns
from hub.fleet.desk import Actor, FleetDesk
from hub.identity import new_kem
from hub.record import operator
from hub.tables import VERSION, metadata
from hub.trail import AuditTrail

JOIN_EXAMPLES = """examples:
  telerad hub token create -c hub.yaml --site H001
  telerad hub token create -c hub.yaml --site H001 --edge 1 --hours 2 --json
  telerad hub token list -c hub.yaml
  telerad hub token withdraw -c hub.yaml 5f0c1e                   by the first digits that list shows
"""
EDGE_EXAMPLES = """examples:
  telerad hub edge list -c hub.yaml
  telerad hub edge approve -c hub.yaml --site H001 --edge 1       an expired edge that asks to come back
  telerad hub edge revoke -c hub.yaml --site H001 --edge 1 --why "stolen"
"""

KEYS_EXAMPLES = """examples:
  telerad hub keys rotate -c hub.yaml           the running hub and its edges take them up by themselves
"""

DIGITS = 12
"""Of a token's number, as it is shown."""

Actions = Any  # argparse keeps the type of sub-parsers to itself


@dataclass(frozen=True, slots=True)
class Desk:
    """What a command works with."""

    parsed: argparse.Namespace
    settings: HubConfig
    database: Database
    authority: Authority

    @property
    def custody(self) -> CustodyLog:
        """The log, to be added to."""
        return CustodyLog.of(self.settings.data, self.database)

    @property
    def fleet(self) -> FleetDesk:
        """Where the acts are done."""
        clock = SystemClock()
        logs = (self.custody, AuditTrail(self.database, clock))
        return FleetDesk(self.database, self.authority, logs, clock, self.settings.web.url)


Work = Callable[[Desk], Awaitable[int]]


def fill(actions: Actions) -> None:
    """Enrolment tokens and edges."""
    token = _group(actions, "token", "one-time tokens, by which edges enrol", JOIN_EXAMPLES)
    create = _command(token, "create", "make a token and print it with the command for the edge", _create)
    create.add_argument("--site", required=True, help="the site the edge will speak for, such as H001")
    create.add_argument("--edge", help="its number; who has it is replaced (default: the next free)")
    create.add_argument("--hours", type=float, default=24.0, help="how long the token is good (default 24)")
    create.add_argument("--qr", action="store_true", help="show the code as QR, too (a terminal always does)")
    _command(token, "list", "tokens that are not used yet and still good", _tokens)
    withdraw = _command(token, "withdraw", "let a token that is not used yet be good for nothing", _withdraw)
    withdraw.add_argument("digits", metavar="DIGITS", help="the first digits of its number, as list shows it")
    edge = _group(actions, "edge", "the edges of this hub", EDGE_EXAMPLES)
    _command(edge, "list", "every edge, its certificate and when it was last heard", _list)
    for name, summary, work in (
        ("approve", "let an expired edge that asks come back, with a new certificate", _approve),
        ("refuse", "turn an expired edge that asks to come back down", _refuse),
    ):
        decision = _command(edge, name, summary, work)
        decision.add_argument("--site", required=True)
        decision.add_argument("--edge", required=True)
        decision.add_argument("--request", default="", help="its first digits, where one edge asks twice")
    keys = _group(actions, "keys", "the hub's own keys", KEYS_EXAMPLES)
    _command(keys, "rotate", "make new keys for parcels to be sealed to; old ones still open", _rotate)
    revoke = _command(edge, "revoke", "put an edge out, at once and for good", _revoke)
    revoke.add_argument("--site", required=True)
    revoke.add_argument("--edge", help="its number (default: every edge of the site)")
    revoke.add_argument("--why", default="", help="shown to the edge")


def _group(actions: Actions, name: str, summary: str, epilog: str) -> Actions:
    form = argparse.RawDescriptionHelpFormatter
    parser = actions.add_parser(name, help=summary, description=summary, epilog=epilog, formatter_class=form)
    return parser.add_subparsers(metavar="ACTION", required=True)


def _command(group: Actions, name: str, summary: str, work: Work) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = group.add_parser(name, help=summary, description=summary)
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="hub.yaml")
    parser.add_argument("--json", action="store_true", help="answer as JSON")
    parser.set_defaults(run=lambda parsed: asyncio.run(_with_desk(parsed, work)))
    return parser


async def _with_desk(parsed: argparse.Namespace, work: Work) -> int:
    settings = config.load(parsed.config, HubConfig)
    durable.make_folder(settings.data)
    database = await open_database(settings.database_url, metadata, version=VERSION)
    try:
        return await work(Desk(parsed, settings, database, Authority.open(settings.pki, SystemClock())))
    finally:
        await database.close()


async def _create(desk: Desk) -> int:
    parsed = desk.parsed
    life = timedelta(hours=parsed.hours)
    made = await desk.fleet.invite(parsed.site, parsed.edge, life, by=_who())
    invitation, code = made.invitation, made.invitation.code()
    hub, token, pin = invitation.hub, invitation.token, invitation.pin
    command = f"telerad edge enroll -c edge.yaml {code}"
    if parsed.json:
        facts = {"token": token, "pin": pin, "hub": hub, "site": made.site, "command": command, "code": code}
        print(json.dumps(facts))
        return 0
    print(f"code for one edge of {made.site}, good for {parsed.hours:g} hours and one use:\n\n{code}\n")
    if parsed.qr or sys.stdout.isatty():
        invitation.qr().terminal(compact=True)
    print(f"its parts, if no code can be pasted: --hub {hub} --token {token} --pin {pin}")
    print(f"on the edge, run:\n  {command}")
    return 0


async def _tokens(desk: Desk) -> int:
    found = await desk.fleet.codes()
    if desk.parsed.json:
        print(json.dumps(found))
        return 0
    for one in found:
        edge = one["edge"] or "next free"
        print(
            f"{one['id'][:DIGITS]}  {one['site']}/{edge}  made {one['created_at']}  until {one['expires_at']}"
        )
    if not found:
        print("no token waits to be used")
    return 0


async def _withdraw(desk: Desk) -> int:
    digits = desk.parsed.digits.lower()
    found = [one for one in await desk.fleet.codes() if digits and one["id"].startswith(digits)]
    if len(found) > 1:
        raise UsageError(f"{len(found)} tokens begin with {digits}: name more digits")
    if not found:
        print(f"no unused token begins with {digits} (see telerad hub token list)")
        return 1
    (one,) = found
    await desk.fleet.withdraw(one["id"], by=_who())
    facts = {"id": one["id"], "site": one["site"], "edge": one["edge"]}
    print(json.dumps(facts) if desk.parsed.json else f"withdrawn; nobody joins {one['site']} with it")
    return 0


def _who() -> Actor:
    return Actor(operator(), known={"by": getpass.getuser(), "from": "command line"})


async def _list(desk: Desk) -> int:
    async with desk.database.reading() as connection:
        edges = await devices.listed(connection)
        waiting = await returns.waiting(connection)
        found = await alerts.listed(connection)
    waiting_alerts = [one for one in found if not one["acknowledged_at"] and not one["ended_at"]]
    newest = spki_pin(desk.authority.certificate(Issuer.ROOT))
    for edge in edges:
        edge["trusts_newest_root"] = newest in (edge["roots"] or "").split(",")
    if desk.parsed.json:
        print(json.dumps({"edges": edges, "returns": waiting, "alerts": waiting_alerts}, ensure_ascii=False))
        return 0
    several = len(desk.authority.roots) > 1
    for edge in edges:
        state = f"revoked {edge['revoked_at']}" if edge["revoked"] else f"until {edge['not_after']}"
        root = ", has not taken the newest root" if several and not edge["trusts_newest_root"] else ""
        print(f"{edge['site']}/{edge['edge']:<4} {state}  last heard {edge['last_seen'] or 'never'}{root}")
    for one in waiting:
        print(f"{one['site']}/{one['edge']} expired and asks to come back since {one['asked_at']}")
        print(
            f"  approve or refuse: --site {one['site']} --edge {one['edge']} --request {one['request'][:12]}"
        )
    for one in waiting_alerts:
        where = f"{one['site']}/{one['edge']}" if one["edge"] else one["site"] or "hub"
        print(f"{one['severity'].upper()} {one['at']} {where}: {one['words']}")
    if not edges:
        print("no edges")
    return 0


async def _approve(desk: Desk) -> int:
    return await _decide(desk, approve=True)


async def _refuse(desk: Desk) -> int:
    return await _decide(desk, approve=False)


async def _decide(desk: Desk, *, approve: bool) -> int:
    parsed = desk.parsed
    async with desk.database.reading() as connection:
        found = [
            one["request"]
            for one in await returns.waiting(connection)
            if (one["site"], one["edge"]) == (parsed.site, parsed.edge)
            and one["request"].startswith(parsed.request)
        ]
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} different requests of {parsed.site}/{parsed.edge} wait: one of them holds a"
            " copied key. Ask at the hospital, and name the right one with --request"
        )
    if not found:
        print(f"no request of {parsed.site}/{parsed.edge} waits (see telerad hub edge list)")
        return 1
    await desk.fleet.decide(parsed.site, parsed.edge, found[0], approve=approve, by=_who())
    said = "is let back in when it asks next" if approve else "was turned down"
    facts = {"site": parsed.site, "edge": parsed.edge, "request": found[0], "approved": approve}
    print(json.dumps(facts) if parsed.json else f"{parsed.site}/{parsed.edge} {said}")
    return 0


async def _rotate(desk: Desk) -> int:
    folder = desk.settings.data / "keys"
    if not (folder / "checkpoint.key").exists():
        raise UsageError(
            f"{folder} has no keys yet: this hub has not run yet, and makes its keys when it does"
        )
    made = [new_kem(folder, suite, SystemClock()) for suite in desk.settings.suites]
    async with desk.database.writing() as connection:
        await desk.custody.append(
            connection,
            "kem-rotated",
            detail={"made": made, "by": operator()},
        )
    print(
        json.dumps({"made": made}) if desk.parsed.json else f"made {', '.join(made)}; edges seal to it soon"
    )
    return 0


async def _revoke(desk: Desk) -> int:
    parsed = desk.parsed
    out = await desk.fleet.revoke(parsed.site, parsed.edge, parsed.why, by=_who())
    if parsed.json:
        print(json.dumps({"revoked": list(out.fingerprints)}))
    elif out.fingerprints:
        print(f"{len(out.fingerprints)} certificates revoked; the hub's line refuses them from now on")
    else:
        which = f"site {parsed.site}" if parsed.edge is None else f"edge {parsed.edge} of site {parsed.site}"
        print(f"nothing to revoke: {which} has no certificate that is still good (see telerad hub edge list)")
    return 0 if out.fingerprints else 1
