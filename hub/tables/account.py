"""People: accounts, their factors and signing keys, sessions, bearer tokens, emergency access."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from hub.tables.schema import digest, json_text, metadata, moment, word

users = Table(
    "users",
    metadata,
    Column("name", String(64), primary_key=True),  # the login
    Column("display_name", String(128), nullable=False),
    Column("email", String(254), nullable=False, default=""),
    word("role", nullable=False),  # hub/access/roles.py
    Column("language", String(8), nullable=False, default="en"),
    Column("site", String(32)),  # for site users
    Column("password", Text, nullable=False),  # Argon2id, PHC string
    Column("totp_secret", LargeBinary),  # sealed (hub/access/vault.py); null: no such factor
    Column("totp_pending", LargeBinary),  # sealed; shown to the user, not confirmed by a code yet
    Column("totp_step", Integer, nullable=False, default=0),  # last step used, RFC 6238 §5.2
    Column("failures", Integer, nullable=False, default=0),
    moment("locked_until"),
    Column("disabled", Boolean, nullable=False, default=False),
    moment("created_at", nullable=False),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("user", ForeignKey("users.name"), primary_key=True),
    Column("certificate", LargeBinary, nullable=False),  # DER
    Column("chain", LargeBinary, nullable=False),  # PEM of the CAs up to, not including, the root
    Column("wrapped", LargeBinary, nullable=False),  # private key, sealed under the signing passphrase
    moment("created_at", nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    digest("token_sha256", primary_key=True),
    Column("user", ForeignKey("users.name"), nullable=False),
    word("kind", nullable=False, default="browser"),  # browser (cookie) or bearer (DICOMweb token)
    Column("csrf", String(64), nullable=False),
    Column("factors", Integer, nullable=False, default=1),
    Column("address", String(64), nullable=False, default=""),
    Column("agent", String(128), nullable=False, default=""),  # the browser, as it calls itself
    moment("proved_at"),  # when the second factor was last shown; null: not in this session
    moment("created_at", nullable=False),
    moment("seen_at", nullable=False),
    moment("expires_at", nullable=False),
    moment("revoked_at"),
    Index("sessions_user", "user"),
)

session_seals = Table(
    "session_seals",  # that the program itself opened a session (hub/seals.py)
    metadata,
    Column("token_sha256", ForeignKey("sessions.token_sha256"), primary_key=True),
    digest("seal", nullable=False),
)

passkeys = Table(
    "passkeys",
    metadata,
    Column(
        "id", String(700), primary_key=True
    ),  # credential id, base64url (WebAuthn allows 1023 bytes; ours 512)
    Column("user", ForeignKey("users.name"), nullable=False),
    Column("label", String(64), nullable=False),
    Column("public_key", LargeBinary, nullable=False),  # COSE
    Column("sign_count", BigInteger, nullable=False, default=0),
    moment("created_at", nullable=False),
    moment("used_at"),
    Index("passkeys_user", "user"),
)

recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("user", ForeignKey("users.name"), primary_key=True),
    digest("code_sha256", primary_key=True),  # 80 random bits need no slow hash
    moment("used_at"),
)

identities = Table(  # who somebody is at the organisation's own log-in (OpenID Connect)
    "identities",
    metadata,
    Column("issuer", String(255), primary_key=True),
    Column("subject", String(255), primary_key=True),
    Column("user", ForeignKey("users.name"), nullable=False),
    moment("linked_at", nullable=False),
)

flows = Table(  # begun in one request and ended in a later one: challenges, single sign-on
    "flows",
    metadata,
    digest("secret_sha256", primary_key=True),
    word("kind", nullable=False),
    Column("user", String(64), nullable=False, default=""),
    json_text("detail", nullable=False),
    moment("expires_at", nullable=False),
)

break_glass = Table(  # a reader's way, with a reason and for a time, to a study beyond their reach
    "break_glass",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("user", ForeignKey("users.name"), nullable=False),
    Column("study", ForeignKey("studies.id"), nullable=False),
    Column("reason", Text, nullable=False),
    moment("at", nullable=False),
    moment("until", nullable=False),
    Index("break_glass_user", "user", "until"),
)
