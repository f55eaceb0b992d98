"""The accounts: made by an administrator, proved by password and one-time code.

Everything that can go wrong at a login looks the same from outside and costs the same, whether
the login exists, is disabled, or the password is wrong; only somebody who knows the password
learns that a code is wanted.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import RowMapping, delete, select, update

from gateway.brake import TooMany
from gateway.clock import Clock, parse_rfc3339, rfc3339
from gateway.database import Database
from gateway.errors import Broken, NotAllowed, NotFound, Refused
from hub.access import recovery, totp
from hub.access.passwords import Passwords, check_new
from hub.access.roles import SECOND_FACTOR, SIGNERS
from hub.access.throttle import Failures, wait_after
from hub.access.vault import Vault
from hub.people import Account, Role
from hub.standing import Standing
from hub.tables.account import passkeys, recovery_codes, sessions, users
from hub.tables.case import reader_groups, reader_sites, readers


class BadCredentials(NotAllowed):
    """Login, password or code: one of them is wrong, and which is not told."""


class CodeRequired(NotAllowed):
    """The password is right; this account has a second factor and its code is missing."""


class PasskeyRequired(NotAllowed):
    """The password is right; this account's second factor is a passkey."""


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What an administrator says of a new account.

    Args:
        name: login, 1 to 64 of letters, digits, ``. _ -``.
        display_name: as printed on reports.
        email: stands in the signing certificate.
        role: what it is for.
        language: of the portal.
        site: for role site, the hospital.
        groups: for readers and leads.
        sites: for readers, (site, licensed until as ISO date or None); empty: every site.
        capacity: for readers, weighted units open at once.
    """

    name: str
    display_name: str
    role: Role
    email: str = ""
    language: str = "en"
    site: str | None = None
    groups: Sequence[str] = ()
    sites: Sequence[tuple[str, str | None]] = ()
    capacity: int = 50

    def check(self) -> None:
        """Raises Refused, in plain words, if it makes no sense."""
        if not self.name or len(self.name) > 64 or not all(c.isalnum() or c in "._-" for c in self.name):
            raise Refused(f"a login is 1 to 64 letters, digits, '.', '_' or '-', not {self.name!r}")
        if not self.display_name.strip():
            raise Refused("the display name is empty; it is printed on reports")
        if self.role in SIGNERS and "@" not in self.email:
            raise Refused("somebody who signs reports needs an e-mail address; it stands in the certificate")
        if self.role is Role.SITE and not self.site:
            raise Refused("a site account needs its site (--site H001)")
        if self.role is not Role.SITE and self.site:
            raise Refused("only a site account belongs to one site")
        if self.role not in (Role.READER, Role.LEAD) and (self.groups or self.sites):
            raise Refused("only readers and leads have groups and licences")


class Accounts:
    """The table of users."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        clock: Clock,
        standing: Standing,
        vault: Vault | None = None,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._database, self._passwords, self._clock, self._random = database, passwords, clock, random
        self._standing = standing
        self._vault = vault  # without it, as on the command line, no code can be proved
        self.recovery = recovery.RecoveryCodes(database, clock, standing)
        self._strangers = Failures()  # so that a login that does not exist locks like one that does

    async def create(self, new: NewAccount, password: str) -> None:
        """Add an account. Raises Refused if it exists, makes no sense, or the password is too weak."""
        new.check()
        if new.role is not Role.SERVICE:
            check_new(password, name=new.name, alone=new.role not in SECOND_FACTOR)
        row = {
            "name": new.name,
            "display_name": new.display_name.strip(),
            "email": new.email,
            "role": new.role.value,
            "language": new.language,
            "site": new.site,
            "password": await self._passwords.hash(password),
            "created_at": rfc3339(self._clock.now()),
        }
        async with self._database.writing() as connection:
            known = await connection.execute(select(users.c.name).where(users.c.name == new.name))
            if known.first():
                raise Refused(f"there is an account {new.name!r} already")
            await connection.execute(users.insert().values(row))
            if new.role in (Role.READER, Role.LEAD):
                await connection.execute(readers.insert().values(user=new.name, capacity=new.capacity))
            for group in dict.fromkeys(new.groups):
                await connection.execute(reader_groups.insert().values(user=new.name, group=group))
            for site, until in new.sites:
                await connection.execute(
                    reader_sites.insert().values(user=new.name, site=site, licensed_until=until)
                )
            await self._standing.enter(connection, new.name)

    async def create_service(self, name: str) -> None:
        """A service account; nobody knows its password, it only holds bearer tokens."""
        new = NewAccount(name=name, display_name=name, role=Role.SERVICE)
        await self.create(new, secrets.token_urlsafe(32))

    async def all(self) -> list[dict[str, Any]]:
        """Every account, without its secrets, by name."""
        async with self._database.reading() as connection:
            rows = (await connection.execute(select(users).order_by(users.c.name))).mappings().all()
        return [
            {
                "name": row["name"],
                "display_name": row["display_name"],
                "email": row["email"],
                "role": row["role"],
                "language": row["language"],
                "site": row["site"],
                "second_factor": row["totp_secret"] is not None,
                "disabled": row["disabled"],
                "created_at": row["created_at"],
            }
            for row in rows
        ]

    async def find(self, name: str) -> RowMapping:
        """The row of one account. Raises NotFound."""
        row = await self._row(name)
        if row is None:
            raise NotFound(f"there is no account {name!r}")
        return row

    async def prove(self, name: str, password: str, code: str | None) -> Account:
        """Who this is, with the number of factors proved.

        Raises:
            BadCredentials: something is wrong.
            CodeRequired: all is right so far, and a code is missing.
            PasskeyRequired: all is right so far, and the second factor is a passkey.
            TooMany: too many wrong tries just now; ``retry_after`` says how long.
        """
        row = await self._row(name)
        if row is None or row["disabled"]:
            await self._stranger(name, password)
            raise BadCredentials("wrong name, password or code")
        self._check_lock(row)
        if not await self._passwords.verify(password, row["password"]):
            await self.wrong(name)
            raise BadCredentials("wrong name, password or code")
        if row["totp_secret"] is None and not await self.has_passkey(name):
            await self._set(name, failures=0, locked_until=None)
            return account_of(row, factors=1)
        if code is None or not code.strip():
            if row["totp_secret"] is None:
                raise PasskeyRequired("this account has a passkey; use it")
            raise CodeRequired("this account has a second factor; give its code")
        await self.prove_factor(name, code)
        return account_of(row, factors=2)

    async def prove_factor(self, name: str, code: str) -> None:
        """Use up one code of the app, or one recovery code.

        Raises:
            BadCredentials: it is wrong or was used before.
            TooMany: too many wrong tries just now.
        """
        self._check_lock(await self.find(name))
        by_paper = recovery.looks_like_one(code)
        right = await (self.recovery.use(name, code) if by_paper else self.use_code(name, code))
        if not right:
            await self.wrong(name)
            raise BadCredentials("wrong name, password or code")
        await self._set(name, failures=0, locked_until=None)

    async def has_passkey(self, name: str) -> bool:
        """Whether an account has one."""
        async with self._database.reading() as connection:
            return (
                await connection.execute(select(passkeys.c.id).where(passkeys.c.user == name).limit(1))
            ).first() is not None

    def _check_lock(self, row: RowMapping) -> None:
        now = self._clock.now()
        if row["locked_until"] and parse_rfc3339(row["locked_until"]) > now:
            wait = (parse_rfc3339(row["locked_until"]) - now).total_seconds()
            raise TooMany("too many wrong tries; wait before the next", retry_after=wait)

    async def use_code(self, name: str, code: str) -> bool:
        """Use up one code of an enrolled app; false if it is wrong, was used before, or there is no app."""
        async with self._database.writing() as connection:
            query = select(users.c.totp_secret, users.c.totp_step).where(users.c.name == name)
            row = (await connection.execute(query)).mappings().one()
            if row["totp_secret"] is None:
                return False
            secret = self._opened(row["totp_secret"], name)
            at = self._clock.now().timestamp()
            step = totp.accepted_step(secret, code, at=at, last_step=row["totp_step"])
            if step is None:
                return False
            await connection.execute(update(users).where(users.c.name == name).values(totp_step=step))
        return True

    def _opened(self, sealed: bytes, name: str) -> bytes:
        if self._vault is None:
            raise Broken("codes cannot be proved without the key that seals their secrets")
        return self._vault.open(sealed, f"totp:{name}")

    async def begin_second_factor(self, name: str) -> bytes:
        """A new secret, in force after `confirm_second_factor`. Raises Refused if there is one already."""
        row = await self.find(name)
        if row["totp_secret"] is not None:
            raise Refused("this account has a second factor; an administrator can take it away")
        if self._vault is None:
            raise Broken("no secret is kept without the key that seals it")
        secret = self._random(totp.SECRET_BYTES)
        await self._set(name, totp_pending=self._vault.seal(secret, f"totp:{name}"))
        return secret

    async def confirm_second_factor(self, name: str, code: str) -> None:
        """Put the new secret in force and end every session; the caller opens a new one.

        Raises:
            Refused: nothing was begun.
            BadCredentials: the code is wrong.
        """
        row = await self.find(name)
        if row["totp_pending"] is None or row["totp_secret"] is not None:
            raise Refused("no second factor was begun")
        at = self._clock.now().timestamp()
        step = totp.accepted_step(self._opened(row["totp_pending"], name), code, at=at, last_step=0)
        if step is None:
            await self.wrong(name)
            raise BadCredentials("the code is wrong")
        await self._change(name, totp_secret=row["totp_pending"], totp_pending=None, totp_step=step)
        await self.end_sessions(name)

    async def remove_second_factor(self, name: str) -> None:
        """Take every second factor away and end every session (a lost telephone)."""
        await self.find(name)
        async with self._database.writing() as connection:
            none = {"totp_secret": None, "totp_pending": None}
            await connection.execute(update(users).where(users.c.name == name).values(none))
            await connection.execute(delete(recovery_codes).where(recovery_codes.c.user == name))
            await connection.execute(delete(passkeys).where(passkeys.c.user == name))
            await self._standing.enter(connection, name)
        await self.end_sessions(name)

    async def set_password(self, name: str, password: str) -> None:
        """Another password; every session ends. Raises Refused if it is too weak."""
        row = await self.find(name)
        check_new(password, name=name, alone=Role(row["role"]) not in SECOND_FACTOR)
        hashed = await self._passwords.hash(password)
        await self._change(name, password=hashed, failures=0, locked_until=None)
        await self.end_sessions(name)

    async def set_disabled(self, name: str, *, disabled: bool) -> None:
        """Bar an account (every session and token ends at once), or let it in again."""
        await self.find(name)
        await self._change(name, disabled=disabled)
        if disabled:
            await self.end_sessions(name)

    async def set_language(self, name: str, language: str) -> None:
        """The language of the portal."""
        await self._set(name, language=language)

    async def _row(self, name: str) -> RowMapping | None:
        async with self._database.reading() as connection:
            return (await connection.execute(select(users).where(users.c.name == name))).mappings().first()

    async def _change(self, name: str, **values: Any) -> None:
        """As `_set`, of something the account stands for."""
        async with self._database.writing() as connection:
            await connection.execute(update(users).where(users.c.name == name).values(values))
            await self._standing.enter(connection, name)

    async def _set(self, name: str, **values: Any) -> None:
        async with self._database.writing() as connection:
            await connection.execute(update(users).where(users.c.name == name).values(values))

    async def end_sessions(self, name: str) -> None:
        """End every session and token of an account. Raises NotFound."""
        await self.find(name)
        ended = {"revoked_at": rfc3339(self._clock.now())}
        async with self._database.writing() as connection:
            open_ones = (sessions.c.user == name) & (sessions.c.revoked_at.is_(None))
            token = select(sessions.c.user).where(open_ones, sessions.c.kind == "bearer").limit(1)
            had_token = (await connection.execute(token)).first() is not None
            await connection.execute(update(sessions).where(open_ones).values(ended))
            if had_token:
                await self._standing.enter(connection, name)

    async def wrong(self, name: str) -> None:
        """Count one more wrong try; from the sixth on it costs a wait."""
        async with self._database.writing() as connection:
            query = select(users.c.failures).where(users.c.name == name)
            failures = (await connection.execute(query)).scalar_one() + 1
            wait = wait_after(failures)
            until = rfc3339(self._clock.now() + timedelta(seconds=wait)) if wait else None
            changed = {"failures": failures, "locked_until": until}
            await connection.execute(update(users).where(users.c.name == name).values(changed))

    async def _stranger(self, name: str, password: str) -> None:
        now = self._clock.monotonic()
        wait = self._strangers.wait(name, now)
        if wait > 0:
            raise TooMany("too many wrong tries; wait before the next", retry_after=wait)
        await self._passwords.verify(password, None)
        self._strangers.wrong(name, now)


def account_of(row: RowMapping, *, factors: int) -> Account:
    """The account of a row of `users`."""
    return Account(
        name=row["name"],
        display_name=row["display_name"],
        role=Role(row["role"]),
        language=row["language"],
        site=row["site"],
        factors=factors,
    )
