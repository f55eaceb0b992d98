"""Passkeys (WebAuthn level 3): a key in the person's device that answers a challenge of this hub alone.

User verification (fingerprint, face, PIN) is always required, so one passkey is two factors: what
they have and what they are or know. It is bound to the hub's origin: a page elsewhere gets nothing.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import RowMapping, delete, select, update
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from gateway.clock import Clock, rfc3339
from gateway.database import Database
from gateway.errors import NotFound, Refused
from hub.access.accounts import BadCredentials
from hub.access.flows import Flows
from hub.standing import Standing
from hub.tables.account import passkeys

CHALLENGE_BYTES = 32
CHALLENGE_SECONDS = 300.0
MOST = 20
"""Passkeys of one account."""

LONGEST_LABEL = 64
LONGEST_ID = 512


class Passkeys:
    """The table of passkeys, and the challenges they answer.

    Args:
        database: of the hub.
        clock: of the process.
        flows: where challenges wait.
        standing: is told of every change.
        origin: of the portal, such as ``https://hub.example:8443``; its host is the relying party.
        name: the hub's, as the browser shows it.
    """

    def __init__(
        self, database: Database, clock: Clock, flows: Flows, standing: Standing, *, origin: str, name: str
    ) -> None:
        self._database, self._clock, self._flows, self._standing = database, clock, flows, standing
        self._origin, self._name = origin.rstrip("/"), name
        self._host = urlsplit(origin).hostname or "localhost"

    async def begin_registration(self, user: str, display_name: str) -> dict[str, Any]:
        """Options for ``navigator.credentials.create``. Raises Refused if there are too many."""
        known = await self.of(user)
        if len(known) >= MOST:
            raise Refused(f"an account has at most {MOST} passkeys; remove one first")
        challenge = await self._challenge("register", user)
        options = generate_registration_options(
            rp_id=self._host,
            rp_name=self._name,
            user_id=user.encode(),
            user_name=user,
            user_display_name=display_name,
            challenge=challenge,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=_described(known),
        )
        return dict(json.loads(options_to_json(options)))

    async def register(self, user: str, credential: Mapping[str, Any], label: str) -> None:
        """Keep a new passkey.

        Raises:
            BadCredentials: it does not answer a challenge of ours for this user.
            Refused: it is registered already.
        """
        challenge = await self._answered("register", credential, user)
        try:
            found = verify_registration_response(
                credential=dict(credential),
                expected_challenge=challenge,
                expected_rp_id=self._host,
                expected_origin=self._origin,
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError) as error:
            raise BadCredentials("the passkey was not made for this hub") from error
        if len(found.credential_id) > LONGEST_ID:
            raise Refused("the passkey's identifier is too long")
        row = {
            "id": bytes_to_base64url(found.credential_id),
            "user": user,
            "label": label.strip()[:LONGEST_LABEL] or "Passkey",
            "public_key": found.credential_public_key,
            "sign_count": found.sign_count,
            "created_at": rfc3339(self._clock.now()),
        }
        async with self._database.writing() as connection:
            known = select(passkeys.c.id).where(passkeys.c.id == row["id"])
            if (await connection.execute(known)).first():
                raise Refused("this passkey is registered already")
            await connection.execute(passkeys.insert().values(row))
            await self._standing.enter(connection, user)

    async def begin(self, user: str | None) -> dict[str, Any]:
        """Options for ``navigator.credentials.get``; without `user` any passkey of this hub may answer."""
        known = await self.of(user) if user else []
        challenge = await self._challenge("assert", user or "")
        options = generate_authentication_options(
            rp_id=self._host,
            challenge=challenge,
            allow_credentials=_described(known),
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return dict(json.loads(options_to_json(options)))

    async def prove(self, credential: Mapping[str, Any], user: str | None) -> str:
        """Whose passkey answered.

        Args:
            credential: as the browser's ``toJSON`` gives it.
            user: who it must be; None: anybody.

        Raises:
            BadCredentials: nobody's, another user's, or the answer is to another challenge or page.
        """
        challenge = await self._answered("assert", credential, user or "")
        query = select(passkeys).where(passkeys.c.id == str(credential.get("id", "")))
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).mappings().first()
        if row is None or (user is not None and row["user"] != user):
            raise BadCredentials("this passkey is not known here")
        try:
            found = verify_authentication_response(
                credential=dict(credential),
                expected_challenge=challenge,
                expected_rp_id=self._host,
                expected_origin=self._origin,
                credential_public_key=row["public_key"],
                credential_current_sign_count=row["sign_count"],
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError) as error:
            raise BadCredentials("the passkey's answer does not hold") from error
        used = {"sign_count": found.new_sign_count, "used_at": rfc3339(self._clock.now())}
        # asked again where it is written: two copies may answer at the same moment (WebAuthn §6.1.1)
        counted, count = passkeys.c.sign_count, found.new_sign_count
        later = counted < count if count else counted == 0
        async with self._database.writing() as connection:
            mine = update(passkeys).where(passkeys.c.id == row["id"], later)
            if (await connection.execute(mine.values(used))).rowcount != 1:
                raise BadCredentials("the passkey's counter has fallen back")
        return str(row["user"])

    async def of(self, user: str) -> Sequence[RowMapping]:
        """The passkeys of an account, oldest first."""
        query = select(passkeys).where(passkeys.c.user == user).order_by(passkeys.c.created_at)
        async with self._database.reading() as connection:
            return (await connection.execute(query)).mappings().all()

    async def remove(self, user: str, identifier: str) -> None:
        """Forget one. Raises NotFound if it is not this user's."""
        mine = (passkeys.c.user == user) & (passkeys.c.id == identifier)
        async with self._database.writing() as connection:
            if (await connection.execute(delete(passkeys).where(mine))).rowcount != 1:
                raise NotFound("there is no such passkey")
            await self._standing.enter(connection, user)

    async def _challenge(self, kind: str, user: str) -> bytes:
        challenge = secrets.token_bytes(CHALLENGE_BYTES)
        await self._flows.begin(kind, bytes_to_base64url(challenge), life=CHALLENGE_SECONDS, user=user)
        return challenge

    async def _answered(self, kind: str, credential: Mapping[str, Any], user: str) -> bytes:
        """The challenge a credential answers: one of ours, begun for this user, and not answered before."""
        try:
            told = json.loads(base64url_to_bytes(credential["response"]["clientDataJSON"]))
            challenge = str(told["challenge"])
        except (KeyError, TypeError, ValueError):
            raise BadCredentials("the passkey's answer cannot be read") from None
        flow = await self._flows.take(kind, challenge)
        if flow is None or flow.user != user:
            raise BadCredentials("the passkey answered too late, or to something else")
        return base64url_to_bytes(challenge)


def _described(known: Sequence[RowMapping]) -> list[PublicKeyCredentialDescriptor]:
    return [PublicKeyCredentialDescriptor(id=base64url_to_bytes(row["id"])) for row in known]
