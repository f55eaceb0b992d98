"""``telerad hub user``, ``reader`` and ``bearer``: accounts from the command line.

Passwords come from standard input (first line; a second line is the signing passphrase, which is
otherwise the same), or are asked for on the terminal. They never stand on a command line, where
every user of the machine could read them.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Any

from gateway import config
from gateway.config import Seconds
from gateway.database import open_database
from gateway.errors import UsageError
from hub.access.accounts import NewAccount
from hub.access.commands_factors import fill_factors
from hub.access.offline import People
from hub.access.roles import SIGNERS
from hub.config import HubConfig
from hub.people import Role
from hub.record import Deed, operator, user
from hub.tables import VERSION, metadata
from hub.trail import AuditTrail

USER_EXAMPLES = """examples:
  telerad hub user create -c hub.yaml --name chen --display "Dr Chen" --email chen@example.org \\
      --role reader --group neuro --site H001:2027-06-30
  printf '%s\\n' "$PASSWORD" | telerad hub user password -c hub.yaml --name chen --password-stdin
  telerad hub user list -c hub.yaml --json
  telerad hub user recovery -c hub.yaml --name chen
  telerad hub user link -c hub.yaml --name chen --subject 8f2c1e
"""
READER_EXAMPLES = """examples:
  telerad hub reader set -c hub.yaml --name chen --group neuro --group chest --site H001 --capacity 20
  telerad hub reader away -c hub.yaml --name chen
"""
BEARER_EXAMPLES = """examples:
  telerad hub bearer create -c hub.yaml --name research --days 30
"""

Work = Callable[[argparse.Namespace, People], Awaitable[int]]
Actions = Any  # argparse keeps the type of sub-parsers to itself


def fill(commands: Actions) -> None:
    """Accounts, readers and tokens."""
    _fill_user(_group(commands, "user", "accounts of the hub", USER_EXAMPLES))
    _fill_reader(_group(commands, "reader", "what a reader reads", READER_EXAMPLES))
    tokens = _group(commands, "bearer", "tokens for programs that speak DICOMweb", BEARER_EXAMPLES)
    create = _command(tokens, "create", "make a token (and its service account)", _create_bearer)
    create.add_argument("--name", default="dicomweb", help="the service account (default dicomweb)")
    create.add_argument("--days", type=float, default=90.0, help="life of the token (default 90)")


def _group(commands: Actions, name: str, summary: str, examples: str) -> Actions:
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser.add_subparsers(metavar="ACTION", required=True)


def _command(
    group: Actions, name: str, summary: str, work: Work, *, changes: bool = True
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = group.add_parser(name, help=summary, description=summary)
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="hub.yaml")
    parser.add_argument("--json", action="store_true", help="answer as JSON")
    parser.set_defaults(run=lambda parsed: asyncio.run(_with_database(parsed, work, name if changes else "")))
    return parser


def _fill_user(user: Actions) -> None:
    create = _command(user, "create", "add an account; a reader gets a signing key too", _create_user)
    create.add_argument("--name", required=True, help="login")
    create.add_argument("--display", required=True, help="name as printed on reports")
    create.add_argument("--email", default="")
    create.add_argument("--role", required=True, choices=[role.value for role in Role])
    create.add_argument("--language", default="en", choices=["en", "zh"])
    create.add_argument("--capacity", type=int, default=50, help="weighted cases open at once")
    _add_reading(create)
    create.add_argument("--password-stdin", action="store_true", help="password on standard input")
    _command(user, "list", "list the accounts", _list_users, changes=False)
    for name, summary, work in (
        ("disable", "bar an account and end its sessions", _disable_user),
        ("enable", "let an account in again", _enable_user),
        ("password", "set another password", _set_password),
        ("passphrase", "make a new signing key under a new passphrase", _set_passphrase),
        ("forget-factor", "take away a lost second factor", _forget_factor),
    ):
        command = _command(user, name, summary, work)
        command.add_argument("--name", required=True, help="login")
        if name.startswith("pass"):
            command.add_argument("--password-stdin", action="store_true", help="on standard input")
    fill_factors(user, _command)


def _fill_reader(reader: Actions) -> None:
    _command(reader, "list", "list readers, groups, licences", _list_readers, changes=False)
    change = _command(reader, "set", "replace a reader's groups, licences or capacity", _set_reader)
    change.add_argument("--name", required=True, help="login")
    change.add_argument("--capacity", type=int, help="weighted cases open at once")
    _add_reading(change)
    for name, summary, work in (
        ("away", "give this reader no new cases", _reader_away),
        ("back", "give this reader cases again", _reader_back),
    ):
        _command(reader, name, summary, work).add_argument("--name", required=True, help="login")


def _add_reading(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--group", action="append", default=[], help="reading group; may be given again")
    parser.add_argument(
        "--site",
        action="append",
        default=[],
        metavar="SITE[:YYYY-MM-DD]",
        help="site (and last day of the licence) a reader may read; none: every site. "
        "For role site: the hospital",
    )


async def _with_database(parsed: argparse.Namespace, work: Work, change: str) -> int:
    """Do the work; a change is an administrative act, and goes into the custody log and the audit trail."""
    settings = config.load(parsed.config, HubConfig)
    database = await open_database(settings.database_url, metadata, version=VERSION)
    try:
        people = People.of(settings, database)
        code = await work(parsed, people)
        if change and code == 0:
            await _note(people, change, parsed.name)
        return code
    finally:
        await database.close()


async def _note(people: People, change: str, name: str) -> None:
    detail = {"account": name, "change": change, "by": operator().name, "from": "command line"}
    trail = AuditTrail(people.database, people.clock)
    async with people.database.writing() as connection:
        told = {"change": change, "by": operator()}
        await people.log.append(connection, "account-changed", subject=user(name), detail=told)
        await trail.append(connection, Deed("account-changed", detail=detail))


async def _create_user(parsed: argparse.Namespace, people: People) -> int:
    role = Role(parsed.role)
    licences = [_licence(text) for text in parsed.site]
    if role is Role.SITE and len(licences) != 1:
        raise UsageError("a site account needs exactly one --site")
    new = NewAccount(
        name=parsed.name,
        display_name=parsed.display,
        email=parsed.email,
        role=role,
        language=parsed.language,
        site=licences[0][0] if role is Role.SITE else None,
        groups=parsed.group,
        sites=() if role is Role.SITE else licences,
        capacity=parsed.capacity,
    )
    new.check()
    password, passphrase = _read_secrets(parsed)
    await people.accounts.create(new, password)
    if role in SIGNERS:
        await _make_key(people, (new.name, new.display_name, new.email), passphrase)
    _answer(parsed, {"name": new.name, "role": role.value}, f"account {new.name} ({role}) is there")
    return 0


async def _make_key(people: People, who: tuple[str, str, str], passphrase: str) -> None:
    from certs.authority import Authority

    authority = Authority.open(people.settings.pki, people.clock)
    await people.signing_keys.create(*who, passphrase, authority)


async def _list_users(parsed: argparse.Namespace, people: People) -> int:
    found = await people.accounts.all()
    lines = [
        f"{one['name']:<20} {one['role']:<8} {one['display_name']}"
        + ("  (disabled)" if one["disabled"] else "")
        + ("" if one["second_factor"] else "  (no second factor)")
        for one in found
    ]
    _answer(parsed, {"users": found}, "\n".join(lines) or "no accounts")
    return 0


async def _disable_user(parsed: argparse.Namespace, people: People) -> int:
    await people.accounts.set_disabled(parsed.name, disabled=True)
    _answer(parsed, {"name": parsed.name, "disabled": True}, f"account {parsed.name} is barred")
    return 0


async def _enable_user(parsed: argparse.Namespace, people: People) -> int:
    await people.accounts.set_disabled(parsed.name, disabled=False)
    _answer(parsed, {"name": parsed.name, "disabled": False}, f"account {parsed.name} may log in")
    return 0


async def _forget_factor(parsed: argparse.Namespace, people: People) -> int:
    await people.accounts.remove_second_factor(parsed.name)
    _answer(parsed, {"name": parsed.name}, f"account {parsed.name} has no second factor now")
    return 0


async def _set_password(parsed: argparse.Namespace, people: People) -> int:
    password, _unused = _read_secrets(parsed)
    await people.accounts.set_password(parsed.name, password)
    _answer(parsed, {"name": parsed.name}, "the password is set; every session has ended")
    return 0


async def _set_passphrase(parsed: argparse.Namespace, people: People) -> int:
    row = await people.accounts.find(parsed.name)
    if Role(row["role"]) not in SIGNERS:
        raise UsageError(f"{parsed.name} does not sign reports")
    passphrase, _unused = _read_secrets(parsed)
    who = (row["name"], row["display_name"], row["email"])
    await _make_key(people, who, passphrase)
    _answer(parsed, {"name": parsed.name}, "there is a new signing key under the new passphrase")
    return 0


async def _list_readers(parsed: argparse.Namespace, people: People) -> int:
    found = await people.readers.all()
    lines = [
        f"{one['name']:<20} {'' if one['available'] else 'away  '}"
        f"groups {', '.join(one['groups']) or 'none'}; "
        f"sites {', '.join(s['site'] for s in one['sites']) or 'every'}; capacity {one['capacity']}"
        for one in found
    ]
    _answer(parsed, {"readers": found}, "\n".join(lines) or "no readers")
    return 0


async def _set_reader(parsed: argparse.Namespace, people: People) -> int:
    licences = [_licence(text) for text in parsed.site]
    await people.readers.change(
        parsed.name, groups=parsed.group or None, sites=licences or None, capacity=parsed.capacity
    )
    _answer(parsed, {"name": parsed.name}, f"reader {parsed.name} is changed")
    return 0


async def _reader_away(parsed: argparse.Namespace, people: People) -> int:
    await people.readers.change(parsed.name, available=False)
    _answer(parsed, {"name": parsed.name, "available": False}, f"{parsed.name} gets no new cases")
    return 0


async def _reader_back(parsed: argparse.Namespace, people: People) -> int:
    await people.readers.change(parsed.name, available=True)
    _answer(parsed, {"name": parsed.name, "available": True}, f"{parsed.name} gets cases again")
    return 0


async def _create_bearer(parsed: argparse.Namespace, people: People) -> int:
    accounts = people.accounts
    known = {one["name"]: one["role"] for one in await accounts.all()}
    if known.get(parsed.name, Role.SERVICE) != Role.SERVICE:
        raise UsageError(f"{parsed.name} is a person; a token belongs to a service account")
    if parsed.name not in known:
        await accounts.create_service(parsed.name)
    token = await people.sessions.bearer(parsed.name, life=Seconds(parsed.days * 86400))
    _answer(parsed, {"name": parsed.name, "token": token}, token)
    return 0


def _licence(text: str) -> tuple[str, str | None]:
    site, _, until = text.partition(":")
    if not until:
        return site, None
    try:
        return site, date.fromisoformat(until).isoformat()
    except ValueError:
        raise UsageError(f"--site {text}: the licence's last day must be YYYY-MM-DD") from None


def _read_secrets(parsed: argparse.Namespace) -> tuple[str, str]:
    """(password, signing passphrase)."""
    if parsed.password_stdin:
        lines = [line.rstrip("\r\n") for line in sys.stdin.readlines()[:2]]
        if not lines or not lines[0]:
            raise UsageError("standard input has no password")
        return lines[0], lines[1] if len(lines) > 1 and lines[1] else lines[0]
    if not sys.stdin.isatty():
        raise UsageError("give the password on standard input and say --password-stdin")
    first = getpass.getpass("password (and signing passphrase): ")
    if getpass.getpass("again: ") != first:
        raise UsageError("the two are not the same")
    return first, first


def _answer(parsed: argparse.Namespace, document: dict[str, Any], text: str) -> None:
    print(json.dumps(document, ensure_ascii=False) if parsed.json else text)
