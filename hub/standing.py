"""What an account stands for, entered in the custody log at every change, and compared with it.

An ``account-standing`` entry holds a salted digest of each thing by which somebody gets in as this account,
and of what it may do then. So an administrator added, a role raised, a password or a factor replaced behind
the program's back is noticed: by the audit (`hub.rows_accounts`), and when that account next logs in. Nothing
of it can be led back to a person once the salt is erased (`hub.persons`), and nobody without the hub's key
can add an entry that fits (`hub.sealed`).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import canonical
from gateway.custody.commitment import person_digest
from hub.custody import entry_of
from hub.persons import salted
from hub.record import USER, Record
from hub.rows_cases import newest_case
from hub.seals import Seals
from hub.sessions_sealed import end_odd, seal_open
from hub.tables.account import identities, passkeys, recovery_codes, sessions, signing_keys, users
from hub.tables.case import reader_groups, reader_sites, readers
from hub.tables.custody import custody, person_salts

ENTERED = "account-standing"
BEGUN = "standing-begun"
"""Before it accounts were not entered; those that were there then are taken as they were."""

ERASED = "person-erased"
"""Somebody's salt was erased; the entry's subjects lead nowhere from now on."""

KIND = "standing"
"""Of the subject: these entries apart from what else a person did, so that the newest is found at once."""

_ONE = {  # a part, where it stands, its columns
    "account": (users, ("display_name", "email", "role", "site", "disabled")),
    "password": (users, ("password",)),
    "app code": (users, ("totp_secret",)),
    "signing key": (signing_keys, ("certificate", "chain", "wrapped")),
    "reading": (readers, ("available", "capacity")),
}
_MANY = {
    "passkey": (passkeys, ("id", "public_key")),
    "recovery code": (recovery_codes, ("code_sha256", "used_at")),
    "single sign-on": (identities, ("issuer", "subject")),
    "reading group": (reader_groups, ("group",)),
    "site to read for": (reader_sites, ("site", "licensed_until")),
    "token": (sessions, ("token_sha256", "expires_at")),
}
Rows = Mapping[str, list[tuple[Any, ...]]]
"""By part: what one account's rows say."""


class Standing:
    """Enters and compares the standing of accounts.

    Args:
        record: the custody log.
        seals: of the hub.
    """

    def __init__(self, record: Record, seals: Seals) -> None:
        self._record, self._seals = record, seals
        self._begun = False

    async def begin(self, connection: AsyncConnection) -> None:
        """Once in a log's life: take the accounts and sessions that are there as they are."""
        if self._begun:
            return
        begun = select(custody.c.position).where(custody.c.event == BEGUN).limit(1)
        if (await connection.execute(begun)).first() is None:
            await self._record.append(connection, BEGUN, detail={"cases": await newest_case(connection)})
            await seal_open(connection, self._seals)
            for name in sorted(await _read(connection, None)):
                await self._enter(connection, name)
        self._begun = True

    async def enter(self, connection: AsyncConnection, name: str) -> None:
        """Enter how an account stands now, in the `writing` transaction that changed it."""
        if not self._begun:
            await self.begin(connection)
        await self._enter(connection, name)

    async def vouch(self, connection: AsyncConnection, at: str) -> int:
        """Take every account as it is, whatever was entered before. Returns how many.

        Open sessions that have no seal of ours end: whoever they are of logs in anew.
        """
        await self.begin(connection)
        await end_odd(connection, self._seals, at)
        names = sorted(await _read(connection, None))
        for name in names:
            await self._enter(connection, name)
        return len(names)

    async def _enter(self, connection: AsyncConnection, name: str) -> None:
        salt = await salted(connection, USER, name)
        rows = (await _read(connection, name))[name]
        subject = person_digest(salt, KIND, name)
        await self._record.append(connection, ENTERED, subject=subject, detail=_digests(salt, rows))


async def cases_before(connection: AsyncConnection) -> int:
    """The newest case from before the log knew of accounts and cases."""
    query = select(custody.c.leaf).where(custody.c.event == BEGUN).order_by(custody.c.position).limit(1)
    leaf = (await connection.execute(query)).scalar()
    known = 0 if leaf is None else entry_of(leaf)["detail"].get("cases", 0)
    return known if isinstance(known, int) else 0


async def faults(connection: AsyncConnection, name: str | None = None) -> list[str]:
    """What of the accounts (or of the one named) is not as the log last heard, one line each."""
    found = await _read(connection, name)
    if not found:
        return []
    salts = await _salts(connection)
    subjects = {one: person_digest(salts[one], KIND, one) for one in found if one in salts}
    entered = await _newest(connection, subjects.values())
    lines = []
    for one, rows in sorted(found.items()):
        leaf = entered.get(subjects.get(one, ""))
        if leaf is None:
            lines.append(f"account {one}: it is there, and nobody made it")
        else:
            lines += [f"account {one}: {fault}" for fault in _differences(leaf, salts[one], rows)]
    return lines


async def known_subjects(connection: AsyncConnection) -> set[str]:
    """The subjects under which the accounts that are there stand in the log."""
    salts, found = await _salts(connection), await _read(connection, None)
    return {person_digest(salts[name], KIND, name) for name in found if name in salts}


def _differences(entered: Mapping[str, Any], salt: str, rows: Rows) -> Iterable[str]:
    now = _digests(salt, rows)
    for part in _ONE:
        if entered.get(part) != now[part]:
            yield f"its {part} was changed" if entered.get(part) else f"its {part} was added"
    for part in _MANY:
        told = entered.get(part)
        known, here = {str(one) for one in told} if isinstance(told, list) else set(), set(now[part])
        for row in rows[part]:
            if _digest(salt, part, row) not in known:
                yield f"a {part} was added or changed ({_named(row)})"
        if known - here and not here - known:
            yield f"a {part} is gone ({len(known - here)})"


def _named(row: tuple[Any, ...]) -> str:
    return f"{str(row[0])[:24]}…" if len(str(row[0])) > 24 else str(row[0])


def _digests(salt: str, rows: Rows) -> dict[str, Any]:
    one = {part: _digest(salt, part, rows[part]) if rows[part] else "" for part in _ONE}
    many = {part: sorted(_digest(salt, part, row) for row in rows[part]) for part in _MANY}
    return one | many


def _digest(salt: str, part: str, said: Any) -> str:
    return hashlib.sha256(f"{salt}\n{part}\n".encode() + canonical.dump(_plain(said))).hexdigest()


def _plain(said: Any) -> Any:
    """Rows as JSON: the same whether a database hands back 1 or true, bytes or a view of them."""
    if isinstance(said, (list, tuple)):
        return [_plain(one) for one in said]
    if isinstance(said, (bytes, memoryview)):
        return {"hex": bytes(said).hex()}
    if isinstance(said, float):  # as only somebody by hand puts it there
        return {"float": repr(said)}
    return int(said) if isinstance(said, bool) else said


async def _read(connection: AsyncConnection, name: str | None) -> dict[str, dict[str, list[Any]]]:
    """By account and part: the rows, of one account or of all; who has rows and no account is one, too."""
    found: defaultdict[str, dict[str, list[Any]]] = defaultdict(
        lambda: {part: [] for part in (*_ONE, *_MANY)}
    )
    for part, (table, columns) in (_ONE | _MANY).items():
        for user, *row in await connection.execute(_query(table, columns, name)):
            if part in _MANY or any(one is not None for one in row):
                found[user][part].append(tuple(row))
    return dict(found)


def _query(table: Table, columns: Iterable[str], name: str | None) -> Any:
    owner = table.c.name if table is users else table.c.user
    query = select(owner, *(table.c[one] for one in columns))
    if table is sessions:
        query = query.where(sessions.c.kind == "bearer", sessions.c.revoked_at.is_(None))
    return query if name is None else query.where(owner == name)


async def _salts(connection: AsyncConnection) -> dict[str, str]:
    query = select(person_salts.c.name, person_salts.c.salt).where(person_salts.c.kind == USER)
    return {row.name: row.salt for row in await connection.execute(query)}


async def _newest(connection: AsyncConnection, subjects: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """By subject: the detail of its newest entry."""
    wanted, found = sorted(subjects), {}
    for at in range(0, len(wanted), 500):
        some = custody.c.subject.in_(wanted[at : at + 500]) & (custody.c.event == ENTERED)
        newest = select(func.max(custody.c.position)).where(some).group_by(custody.c.subject)
        query = select(custody.c.subject, custody.c.leaf).where(custody.c.position.in_(newest))
        for row in await connection.execute(query):
            found[row.subject] = entry_of(row.leaf)["detail"]
    return found
