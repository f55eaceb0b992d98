"""The door: who is asking, and what may they see?

`hub/portal` and `hub/dicomweb` ask this for every request. Stations are handed the answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aiohttp import web
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.brake import Buckets, TooMany, asker
from gateway.clock import Clock, parse_rfc3339, rfc3339
from gateway.database import Database
from gateway.errors import GatewayError, NotAllowed
from gateway.log import logger
from hub.access import totp
from hub.access.accounts import Accounts, BadCredentials
from hub.access.flows import Flows
from hub.access.passkeys import Passkeys
from hub.access.passwords import Passwords
from hub.access.roles import PIXELS, SECOND_FACTOR
from hub.access.sessions import COOKIE, Session, Sessions
from hub.access.signing import SigningKeys
from hub.access.vault import Vault
from hub.archive.scope import NOTHING, Scope
from hub.people import Account, Role
from hub.reach import reach_of
from hub.record import Deed, Record, Trail, user
from hub.seals import Seals
from hub.standing import Standing, faults
from hub.tables.account import users
from hub.tables.case import cases
from hub.tables.study import studies

log = logger("hub.access")

BEARER_PATHS = ("/dicomweb/",)
"""Where bearer tokens count. A stolen token reads images of its scope; it cannot read mail or sign."""

RECENT = timedelta(days=30)
"""How long after reporting a case still opens its images; older ones open as priors."""

MOST_STUDIES = 30_000
"""Studies in one scope, the newest ones; a statement can bind 32 766 values (SQLite)."""

_STUDY_PATH = re.compile(r"/dicomweb/studies/([0-9.]{1,64})(?:/|$)")
_WORD = re.compile(r"[A-Za-z0-9_-]{1,40}")
IN_LEAVES = frozenset({"factors", "how", "policy", "why"})
"""What of a deed's detail may stand in the custody log, where it is one word: no text that somebody wrote."""

_UID = re.compile(r"[0-9.]{1,64}")
_SESSION = web.RequestKey("telerad.session", Session)


class NotLoggedIn(NotAllowed):
    """No session, or none any more."""


class SecondFactorRequired(NotAllowed):
    """Logged in with a password alone where the hub asks for two factors."""


class Edited(NotAllowed):
    """The account's rows are not what the custody log says (`hub.standing`)."""


class StepUpRequired(NotAllowed):
    """This act needs the second factor shown again, just now."""


@dataclass(frozen=True, slots=True)
class Login:
    """A fresh session: the token for the cookie, and the session itself."""

    token: str
    session: Session


class Access:
    """Accounts, sessions and scopes, together.

    Args:
        database: of the hub.
        custody: where logins and account changes are recorded.
        clock: of the process.
        passwords: hashing; handed in so that tests are fast.
        require_second_factor: whether readers, leads and administrators need one.
        idle: seconds until an idle session ends.
        absolute: seconds until any session ends.
        issuer: the hub's name in authenticator apps and to passkeys.
        vault: seals secrets that must be read again.
        seals: tell sessions that this program opened from those that it did not.
        trail: the audit trail.
        origin: of the portal, as browsers reach it.
        step_up: seconds for which a second factor counts as just shown.
    """

    def __init__(
        self,
        database: Database,
        custody: Record,
        clock: Clock,
        *,
        vault: Vault,
        seals: Seals,
        trail: Trail,
        origin: str = "https://localhost:8443",
        step_up: float = 15 * 60.0,
        passwords: Passwords | None = None,
        require_second_factor: bool = True,
        idle: float = 15 * 60.0,
        absolute: float = 12 * 3600.0,
        issuer: str = "telerad",
    ) -> None:
        hashing = passwords or Passwords()
        self.standing = Standing(custody, seals)
        self.accounts = Accounts(database, hashing, clock, self.standing, vault)
        self.flows = Flows(database, clock)
        self.passkeys = Passkeys(database, clock, self.flows, self.standing, origin=origin, name=issuer)
        self.sessions = Sessions(database, clock, seals, self.standing, idle=idle, absolute=absolute)
        self.signing_keys = SigningKeys(database, hashing, clock, self.standing)
        self._database, self._custody, self._clock = database, custody, clock
        self._require, self._issuer, self._trail, self._step_up = (
            require_second_factor,
            issuer,
            trail,
            step_up,
        )
        self._addresses = Buckets()

    async def login(
        self,
        name: str,
        password: str,
        code: str | None,
        *,
        address: str,
        agent: str = "",
        older: str = "",
    ) -> Login:
        """Open a session; that of the token `older`, which this browser had, ends.

        Raises:
            BadCredentials: something is wrong (not told what).
            CodeRequired: the password is right and a code is missing.
            PasskeyRequired: the password is right and the second factor is a passkey.
            TooMany: too many tries; ``retry_after`` in seconds.
        """
        self.brake(address)
        try:
            account = await self.accounts.prove(name, password, code)
        except GatewayError as error:
            await self.note(name, "login-refused", address=address, refused=True, why=type(error).__name__)
            raise
        factors = account.factors
        return await self.enter(account.name, factors=factors, address=address, agent=agent, older=older)

    async def login_with_passkey(
        self, credential: Mapping[str, Any], *, address: str, agent: str = "", older: str = ""
    ) -> Login:
        """As `login`, by a passkey alone; it is two factors. Raises BadCredentials or TooMany."""
        self.brake(address)
        try:
            name = await self.passkeys.prove(credential, None)
        except BadCredentials as error:
            await self.note("", "login-refused", address=address, refused=True, why=type(error).__name__)
            raise
        return await self.enter(name, factors=2, address=address, agent=agent, how="passkey", older=older)

    async def enter(
        self,
        name: str,
        *,
        factors: int,
        address: str,
        agent: str = "",
        how: str = "password",
        older: str = "",
    ) -> Login:
        """A session for somebody who has proved who they are.

        Raises:
            BadCredentials: they are barred.
            Edited: the account is not as the custody log says it is.
        """
        await self._check_standing(name, address)
        token, _ = await self.sessions.open(name, factors=factors, address=address, agent=agent)
        session = await self.sessions.find(token, kind="browser", touch=False)
        if session is None:
            await self.note(name, "login-refused", address=address, refused=True, why="disabled")
            raise BadCredentials("wrong name, password or code")
        await self.note(name, "login", address=address, role=session.account.role, factors=factors, how=how)
        before = await self.sessions.find(older, kind="browser", touch=False) if older else None
        if before is not None:
            await self.logout(before)
        return Login(token, session)

    async def _check_standing(self, name: str, address: str) -> None:
        async with self._database.reading() as connection:
            odd = await faults(connection, name)
        if odd:
            log.error("the database was edited behind the program's back", what=odd)
            await self.note(name, "login-refused", address=address, refused=True, why="edited")
            raise Edited("this account was changed behind the program's back; ask the administrator")

    def brake(self, address: str) -> None:
        """Raises TooMany if this address tries too often."""
        wait = self._addresses.take(asker(address), self._clock.monotonic())
        if wait > 0:
            raise TooMany("too many logins from this address", retry_after=wait)

    async def step_up(
        self,
        session: Session,
        *,
        code: str | None,
        credential: Mapping[str, Any] | None,
        address: str,
        agent: str = "",
    ) -> str:
        """Show the second factor again. Returns the token that replaces the session's.

        Raises:
            BadCredentials: it is wrong.
            TooMany: too many wrong tries just now.
        """
        name = session.account.name
        try:
            if credential is not None:
                await self.passkeys.prove(credential, name)
            else:
                await self.accounts.prove_factor(name, code or "")
        except GatewayError:
            await self.note(name, "step-up", address=address, role=session.account.role, refused=True)
            raise
        await self.note(name, "step-up", address=address, role=session.account.role)
        return await self.sessions.raise_factors(session, address=address, agent=agent)

    def check_fresh(self, session: Session) -> None:
        """Raises StepUpRequired unless the second factor, if there is one, was shown just now."""
        if session.kind == "bearer" or not (session.enrolled or session.proved_at):
            return
        shown = parse_rfc3339(session.proved_at) if session.proved_at else None
        if shown is None or (self._clock.now() - shown).total_seconds() >= self._step_up:
            raise StepUpRequired("show your second factor again")

    async def logout(self, session: Session) -> None:
        """End a session; its cookie is worth nothing from now on."""
        await self.sessions.end(session.digest)
        await self.note(session.account.name, "logout", role=session.account.role)

    async def begin_second_factor(self, session: Session) -> dict[str, str]:
        """A new secret to put into an app: ``secret`` to type, ``uri`` for a QR code."""
        name = session.account.name
        secret = await self.accounts.begin_second_factor(name)
        return {
            "secret": totp.base32(secret),
            "uri": totp.uri(secret, name=name, issuer=self._issuer),
        }

    async def confirm_second_factor(self, session: Session, code: str, *, address: str) -> str:
        """Put it in force. Returns the token that replaces the session's."""
        await self.accounts.confirm_second_factor(session.account.name, code)
        await self.note(session.account.name, "second-factor", address=address, role=session.account.role)
        return await self.sessions.raise_factors(session, address=address)

    async def session(self, request: web.Request, *, touch: bool = True) -> Session:
        """The session of a request.

        Raises:
            NotLoggedIn: there is none.
        """
        if _SESSION in request:
            return request[_SESSION]
        token, kind = _credential(request)
        found = await self.sessions.find(token, kind=kind, touch=touch) if token else None
        if found is None:
            raise NotLoggedIn("log in first")
        request[_SESSION] = found
        return found

    async def alive(self, request: web.Request) -> bool:
        """Whether the session of a long answer is still open; no sign of life."""
        token, kind = _credential(request)
        return await self.sessions.find(token, kind=kind, touch=False) is not None

    async def account(self, request: web.Request, *, touch: bool = True) -> Account:
        """Who is asking, with every factor the hub asks for.

        Raises:
            NotLoggedIn: nobody.
            SecondFactorRequired: somebody who still owes a factor.
        """
        session = await self.session(request, touch=touch)
        if self.second_factor(session) in ("required", "unproved"):
            raise SecondFactorRequired("the second factor comes first")
        return session.account

    def second_factor(self, session: Session) -> str:
        """``enrolled``, ``unproved``, ``required`` or ``none``.

        Before anything else works, one that is unproved must be shown, and one that is required set up.
        """
        if session.kind == "bearer":
            return "none"
        if session.account.factors > 1:
            return "enrolled"
        if session.enrolled:
            return "unproved"
        return "required" if self._require and session.account.role in SECOND_FACTOR else "none"

    async def scope(self, request: web.Request) -> Scope:
        """Which studies' images this request may see; for DICOMweb. Raises as `account`."""
        account = await self.account(request)
        async with self._database.reading() as connection:
            return await self.scope_of(connection, account, study_uid=_study_asked_for(request))

    async def scope_of(
        self, connection: AsyncConnection, account: Account, *, study_uid: str | None = None
    ) -> Scope:
        """Which studies' images `account` may see; of `study_uid` alone, if that is all that matters."""
        if account.role not in PIXELS:
            return NOTHING
        if account.role is Role.SERVICE:
            return Scope(all=True)
        if account.role is Role.SITE:
            return Scope(sites=frozenset({account.site} if account.site else ()))
        now = self._clock.now()
        reach = await reach_of(connection, account, rfc3339(now))
        recent = cases.c.reported_at.is_(None) | (cases.c.reported_at >= rfc3339(now - RECENT))
        own = select(studies.c.patient).join_from(cases, studies).where(reach.standing().clause(), recent)
        # the patient's other studies are the priors; a patient belongs to one site, so the licence holds.
        # What was opened in an emergency is that study alone.
        query = select(studies.c.id).where(studies.c.patient.in_(own) | studies.c.id.in_(reach.granted))
        if study_uid is not None:
            query = query.where(studies.c.study_uid == study_uid)
        query = query.order_by(studies.c.id.desc()).limit(MOST_STUDIES)
        return Scope(studies=frozenset((await connection.execute(query)).scalars()))

    async def refused(self, request: web.Request, account: Account, policy: str) -> None:
        """Somebody tried what their role may not do."""
        await self.note(
            account.name,
            "refused",
            role=account.role,
            address=request.remote or "",
            refused=True,
            policy=policy,
        )

    async def note(
        self,
        name: str,
        event: str,
        *,
        role: str = "",
        address: str = "",
        refused: bool = False,
        **detail: Any,
    ) -> None:
        """Record an event about an account: in the custody log without its name, in the trail with it."""
        deed = Deed(event, person=name, role=role, address=address, refused=refused, detail=detail)
        plain = {key: value for key, value in detail.items() if key in IN_LEAVES and _is_word(value)}
        async with self._database.writing() as connection:
            known = await connection.execute(select(users.c.name).where(users.c.name == name))
            # what was typed and is no account stands in the trail alone
            subject = user(name) if known.first() else ""
            await self._custody.append(connection, event, subject=subject, detail=plain)
            await self._trail.append(connection, deed)


def _is_word(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and _WORD.fullmatch(value) is not None)


def _study_asked_for(request: web.Request) -> str | None:
    """The one study a DICOMweb request is about, if it names one: the scope need hold no other."""
    named = _STUDY_PATH.match(request.path)
    if named:
        return named[1]
    asked = request.query.getall("StudyInstanceUID", [])
    return asked[0] if len(asked) == 1 and _UID.fullmatch(asked[0]) else None  # no list, no wildcard


def _credential(request: web.Request) -> tuple[str, str]:
    """(token, kind); the token empty if there is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and request.path.startswith(BEARER_PATHS):
        return token.strip(), "bearer"
    return request.cookies.get(COOKIE, ""), "browser"
