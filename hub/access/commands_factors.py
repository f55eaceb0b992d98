"""``telerad hub user`` for what an administrator does about factors, sessions and single sign-on."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import delete, insert, select

from gateway.clock import rfc3339
from gateway.errors import UsageError
from hub.access.offline import People
from hub.tables.account import identities

Command = Callable[..., argparse.ArgumentParser]


def fill_factors(user: Any, command: Command) -> None:
    """Add ``recovery``, ``sessions``, ``log-out``, ``link`` and ``unlink``."""
    made = [
        command(user, "recovery", "print ten new recovery codes; those before end", _recovery),
        command(user, "sessions", "list the open sessions", _sessions, changes=False),
        command(user, "log-out", "end every session of an account", _log_out),
        command(user, "link", "let somebody in by single sign-on", _link),
        command(user, "unlink", "single sign-on lets this account in no more", _unlink),
    ]
    for one in made:
        one.add_argument("--name", required=True, help="login")
    made[3].add_argument("--subject", required=True, help="`sub` of the person at the issuer")


async def _recovery(parsed: argparse.Namespace, people: People) -> int:
    accounts = people.accounts
    await accounts.find(parsed.name)
    codes = await accounts.recovery.renew(parsed.name)
    _answer(parsed, {"name": parsed.name, "codes": codes}, "\n".join(codes))
    return 0


async def _sessions(parsed: argparse.Namespace, people: People) -> int:
    await people.accounts.find(parsed.name)
    open_ones = await people.sessions.of(parsed.name)
    lines = [f"{one['seen_at']}  {one['address']:<39} {one['agent']}" for one in open_ones]
    _answer(parsed, {"name": parsed.name, "sessions": open_ones}, "\n".join(lines) or "no open session")
    return 0


async def _log_out(parsed: argparse.Namespace, people: People) -> int:
    await people.accounts.end_sessions(parsed.name)
    _answer(parsed, {"name": parsed.name}, f"every session of {parsed.name} has ended")
    return 0


async def _link(parsed: argparse.Namespace, people: People) -> int:
    if people.settings.access.oidc is None:
        raise UsageError("the configuration has no access.oidc; there is no single sign-on to link to")
    await people.accounts.find(parsed.name)
    issuer = people.settings.access.oidc.issuer
    async with people.database.writing() as connection:
        same = (identities.c.issuer == issuer) & (identities.c.subject == parsed.subject)
        before = (await connection.execute(select(identities.c.user).where(same))).scalars().all()
        await connection.execute(delete(identities).where(same | (identities.c.user == parsed.name)))
        row = {"issuer": issuer, "subject": parsed.subject, "user": parsed.name}
        await connection.execute(insert(identities).values(**row, linked_at=rfc3339(people.clock.now())))
        for name in {parsed.name, *before}:
            await people.standing.enter(connection, name)
    _answer(parsed, row, f"{parsed.subject} at {issuer} is {parsed.name}")
    return 0


async def _unlink(parsed: argparse.Namespace, people: People) -> int:
    accounts = people.accounts
    await accounts.find(parsed.name)
    async with people.database.writing() as connection:
        await connection.execute(delete(identities).where(identities.c.user == parsed.name))
        await people.standing.enter(connection, parsed.name)
    await accounts.end_sessions(parsed.name)
    _answer(parsed, {"name": parsed.name}, f"single sign-on lets {parsed.name} in no more")
    return 0


def _answer(parsed: argparse.Namespace, document: dict[str, Any], text: str) -> None:
    print(json.dumps(document, ensure_ascii=False) if parsed.json else text)
