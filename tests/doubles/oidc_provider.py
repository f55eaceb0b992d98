"""A small OpenID provider on its own HTTPS port: discovery, keys, tokens; honest unless told otherwise."""

from __future__ import annotations

import base64
import hashlib
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

CLIENT, SECRET = "telerad", "client secret"


@dataclass
class Provider:
    issuer: str = ""
    now: Callable[[], float] = time.time
    key: Any = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "1"}, private=True))
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    document: dict[str, Any] = field(default_factory=dict)  # bends the discovery document
    claims: dict[str, Any] = field(default_factory=dict)  # bends the claims; None takes one away
    header: dict[str, Any] = field(default_factory=dict)
    signer: Any = None  # signs instead of the published key
    raw: str | None = None  # the whole token
    asked: list[str] = field(default_factory=list)

    def log_in(self, url: str, subject: str = "s-1") -> dict[str, str]:
        """What the person's browser brings back from the log-in page."""
        given = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert given["response_type"] == "code"
        assert given["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self.codes[code] = {**given, "sub": subject}
        return {"code": code, "state": given["state"], "iss": self.issuer}

    async def discovery(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        told = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }
        return web.json_response(told | self.document)

    async def keys(self, request: web.Request) -> web.Response:
        return web.json_response({"keys": [self.key.as_dict(private=False)]})

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        begun = self.codes.pop(str(form["code"]), None)
        digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        proof = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        basic = "Basic " + base64.b64encode(f"{CLIENT}:client%20secret".encode()).decode()
        if (
            begun is None
            or proof != begun["code_challenge"]
            or form["redirect_uri"] != begun["redirect_uri"]
            or request.headers.get("Authorization") != basic
        ):
            return web.json_response({"error": "invalid_grant"}, status=400)
        return web.json_response({"token_type": "Bearer", "id_token": self.raw or self._signed(begun)})

    def _signed(self, begun: dict[str, str]) -> str:
        now = int(self.now())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": begun["sub"],
            "aud": CLIENT,
            "nonce": begun["nonce"],
            "iat": now,
            "exp": now + 300,
            "email": "chen@example.org",
            "email_verified": True,
            "preferred_username": "chen",
        }
        claims = {name: value for name, value in (claims | self.claims).items() if value is not None}
        header = {"alg": "RS256", "kid": "1"} | self.header
        return jwt.encode(header, claims, self.signer or self.key, algorithms=[header["alg"]])


OTHER_KEY = RSAKey.generate_key(2048, {"kid": "1"}, private=True)
CURVE_KEY = ECKey.generate_key("P-256", {"kid": "1"}, private=True)
SHARED_KEY = OctKey.import_key("client secret that is long enough to be taken for one")


@asynccontextmanager
async def provider(context: ssl.SSLContext, host: str = "localhost") -> AsyncIterator[Provider]:
    """Serve one on a free port of the loopback."""
    made = Provider()
    app = web.Application()
    app.add_routes(
        [
            web.get("/.well-known/openid-configuration", made.discovery),
            web.get("/keys", made.keys),
            web.post("/token", made.token),
        ]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    made.issuer = f"https://{host}:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()
