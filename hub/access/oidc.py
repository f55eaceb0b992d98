"""Single sign-on at the organisation's own log-in: OpenID Connect Core 1.0, authorization code with PKCE.

What comes back through the browser is only a code. It counts if this browser began the flow (state in a
cookie and in the table, good once), it is exchanged directly with the pinned issuer together with
the PKCE verifier (RFC 7636), and the ID token is signed by a key of that issuer, for this client,
now, and for this flow (nonce). Who that is here was provisioned, or is found once by a verified claim.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from sqlalchemy import func, insert, select

from gateway.clock import Clock, rfc3339
from gateway.database import Database
from gateway.errors import Malformed, UsageError
from hub.access.accounts import BadCredentials
from hub.access.flows import Flows
from hub.access.outbound import Outbound
from hub.people import Role
from hub.standing import Standing
from hub.tables.account import identities, users

ALGORITHMS = ("RS256", "PS256", "ES256")
"""Asymmetric alone: with HS256 our own secret would sign, with ``none`` nobody."""

FLOW_SECONDS = 600.0
LEEWAY = 60
"""Seconds two clocks may differ."""

DISCOVERY_SECONDS = 3600.0
MANY_FACTORS = frozenset({"mfa", "hwk", "swk", "otp", "fpt", "face"})
"""Values of ``amr`` (RFC 8176 §2) that say more than a password was shown."""


@dataclass(frozen=True, slots=True)
class Provider:
    """The organisation's log-in.

    Args:
        issuer: as its tokens name it.
        client_id: ours there.
        client_secret: ours there; empty: a public client, PKCE alone.
        redirect: our callback, as registered there.
        link_claim: claim by which an account is found the first time: ``email`` or
            ``preferred_username``; empty: only provisioned identities come in.
        trust_factors: whether its word that several factors were shown (``amr``) counts here.
        label: on the log-in page's button.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    redirect: str
    link_claim: str = ""
    trust_factors: bool = False
    label: str = "Single sign-on"


@dataclass(frozen=True, slots=True)
class Begun:
    """Where to send the browser, and what it must bring back in its cookie."""

    url: str
    state: str


@dataclass(frozen=True, slots=True)
class Known:
    """Who came back."""

    user: str
    factors: int
    linked: bool


class SingleSignOn:
    """The client side of OpenID Connect.

    Args:
        provider: where people log in.
        outbound: the guarded way there.
        flows: where begun flows wait.
    """

    def __init__(
        self,
        provider: Provider,
        outbound: Outbound,
        flows: Flows,
        database: Database,
        clock: Clock,
        standing: Standing,
    ) -> None:
        self.provider, self._outbound, self._flows, self._standing = provider, outbound, flows, standing
        self._database, self._clock = database, clock
        self._found: tuple[float, dict[str, Any], KeySet] | None = None

    async def begin(self) -> Begun:
        """Begin a flow. Raises what `Outbound.json` raises if the issuer cannot be asked."""
        document, _ = await self._discovered()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        await self._flows.begin(
            "oidc", state, life=FLOW_SECONDS, detail={"nonce": nonce, "verifier": verifier}
        )
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
        asked = {
            "response_type": "code",
            "client_id": self.provider.client_id,
            "redirect_uri": self.provider.redirect,
            "scope": "openid profile email",
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge.decode(),
            "code_challenge_method": "S256",
        }
        endpoint = document["authorization_endpoint"]
        return Begun(f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(asked)}", state)

    async def finish(self, *, code: str, state: str, cookie: str, issuer: str | None) -> Known:
        """Who came back with `code`.

        Args:
            code: from the callback.
            state: from the callback.
            cookie: what this browser was given at `begin`.
            issuer: ``iss`` of the callback, if it has one (RFC 9207).

        Raises:
            BadCredentials: the flow or the token does not hold, or nobody here is meant.
        """
        if not state or not hmac.compare_digest(_bytes(state), _bytes(cookie)):
            raise BadCredentials("this sign-on was not begun in this browser")
        flow = await self._flows.take("oidc", state)
        if flow is None:
            raise BadCredentials("this sign-on is too old, or was ended before")
        if issuer is not None and issuer != self.provider.issuer:
            raise BadCredentials("another issuer answered")
        document, _ = await self._discovered()
        if issuer is None and document.get("authorization_response_iss_parameter_supported") is True:
            raise BadCredentials("the issuer always names itself, and has not (RFC 9207 §2.4)")
        if not code.isascii():  # RFC 6749 §A.11
            raise BadCredentials("the code is none")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.provider.redirect,
            "client_id": self.provider.client_id,
            "code_verifier": str(flow.detail["verifier"]),
        }
        try:
            told = await self._outbound.json(
                document["token_endpoint"], form=form, authorization=self._auth()
            )
        except Malformed as error:
            raise BadCredentials("the issuer did not take the code") from error
        claims = await self._claims(str(told.get("id_token", "")), str(flow.detail["nonce"]))
        return await self._person(claims)

    def _auth(self) -> str:
        if not self.provider.client_secret:
            return ""
        # RFC 6749 §2.3.1: form-encoded before it becomes Basic
        pair = f"{quote(self.provider.client_id, '')}:{quote(self.provider.client_secret, '')}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"

    async def _claims(self, token: str, nonce: str) -> dict[str, Any]:
        """The claims of an ID token that holds (OpenID Connect Core §3.1.3.7). Raises BadCredentials."""
        try:
            _, keys = await self._discovered()
            try:
                decoded = jwt.decode(token, keys, algorithms=list(ALGORITHMS))
            except (JoseError, ValueError):
                _, keys = await self._discovered(anew=True)  # the issuer may have new keys
                decoded = jwt.decode(token, keys, algorithms=list(ALGORITHMS))
            now = int(self._clock.now().timestamp())
            jwt.JWTClaimsRegistry(
                now=now,
                leeway=LEEWAY,
                iss={"essential": True, "value": self.provider.issuer},
                aud={"essential": True, "value": self.provider.client_id},
                sub={"essential": True},
                exp={"essential": True},
                iat={"essential": True},
                nonce={"essential": True, "value": nonce},
            ).validate(decoded.claims)
        except (JoseError, ValueError, TypeError) as error:
            raise BadCredentials("the issuer's token does not hold") from error
        claims = dict(decoded.claims)
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if (several or "azp" in claims) and claims.get("azp") != self.provider.client_id:
            raise BadCredentials("the issuer's token is for another client")
        if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 255:
            raise BadCredentials("the issuer's token names nobody")
        return claims

    async def _person(self, claims: dict[str, Any]) -> Known:
        amr = claims.get("amr")
        shown = set(amr) if isinstance(amr, list) and all(isinstance(one, str) for one in amr) else set()
        factors = 2 if self.provider.trust_factors and shown & MANY_FACTORS else 1
        issuer, subject = self.provider.issuer, claims["sub"]
        async with self._database.writing() as connection:
            mine = (identities.c.issuer == issuer) & (identities.c.subject == subject)
            user = (await connection.execute(select(identities.c.user).where(mine))).scalar()
            if user is not None:
                return Known(user, factors, linked=False)
            query = select(users.c.name).where(users.c.role.not_in(self._unlinked()), self._claimed(claims))
            found = (await connection.execute(query.limit(2))).scalars().all()
            if len(found) != 1:
                raise BadCredentials("nobody here is linked to this sign-on; ask the administrator")
            taken = (identities.c.issuer == issuer) & (identities.c.user == found[0])
            if (await connection.execute(select(identities.c.subject).where(taken))).first():
                raise BadCredentials("this account is linked to another person of the same issuer")
            now = rfc3339(self._clock.now())
            await connection.execute(
                insert(identities).values(issuer=issuer, subject=subject, user=found[0], linked_at=now)
            )
            await self._standing.enter(connection, found[0])
            return Known(found[0], factors, linked=True)

    def _unlinked(self) -> list[str]:
        """Roles that no claim finds: programs, and administrators by a name that anybody may have chosen."""
        by_name = self.provider.link_claim == "preferred_username"  # OpenID Connect Core §5.7
        return [Role.SERVICE.value, *([Role.ADMIN.value] if by_name else [])]

    def _claimed(self, claims: dict[str, Any]) -> Any:
        name = self.provider.link_claim
        value = claims.get(name) if name else None
        if not isinstance(value, str) or not value:
            raise BadCredentials("nobody here is linked to this sign-on; ask the administrator")
        if name == "email":
            if claims.get("email_verified") is not True:
                raise BadCredentials("the issuer has not verified this e-mail address")
            return func.lower(users.c.email) == value.lower()
        return users.c.name == value

    async def _discovered(self, *, anew: bool = False) -> tuple[dict[str, Any], KeySet]:
        """The issuer's document and keys, pinned: it must name itself, and hosts that may be asked."""
        now = self._clock.monotonic()
        if self._found is not None and not anew and now - self._found[0] < DISCOVERY_SECONDS:
            return self._found[1], self._found[2]
        issuer = self.provider.issuer
        document = await self._outbound.json(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if document.get("issuer") != issuer:
            raise Malformed("the discovery document is another issuer's")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not isinstance(document.get(name), str):
                raise Malformed(f"the discovery document has no {name}")
            self._outbound.check(document[name])
        try:
            keys = KeySet.import_key_set(await self._outbound.json(document["jwks_uri"]))  # type: ignore[arg-type]
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise Malformed("the issuer's keys cannot be read") from error
        self._found = now, document, keys
        return document, keys


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # a header may hold any byte


def check_provider(provider: Provider) -> None:
    """Raises UsageError if the configuration makes no sense."""
    if provider.link_claim not in ("", "email", "preferred_username"):
        raise UsageError("access.oidc.link_claim must be email, preferred_username or null")
    if urlsplit(provider.issuer).scheme != "https":
        raise UsageError("access.oidc.issuer must be an https address")
