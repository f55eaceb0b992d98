"""People: accounts, signing keys under their own passphrase, sessions, bearer tokens."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from hub.tables.schema import digest, metadata, moment, word

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
    Column("totp_secret", LargeBinary),  # null: no second factor yet
    Column("totp_pending", LargeBinary),  # shown to the user, not confirmed by a code yet
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
    moment("created_at", nullable=False),
    moment("seen_at", nullable=False),
    moment("expires_at", nullable=False),
    moment("revoked_at"),
    Index("sessions_user", "user"),
)
