"""The edges: tokens, certificates, who is revoked, when each was last seen, who asks to come back."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, String, Table, Text

from hub.tables.schema import digest, json_text, metadata, moment, word

tokens = Table(
    "tokens",
    metadata,
    digest("token_sha256", primary_key=True),
    Column("site", String(32), nullable=False),
    moment("created_at", nullable=False),
    moment("expires_at", nullable=False),
    moment("used_at"),
    Column("edge", String(64)),  # the edge's number within its site; none: the next free one
    digest("device"),  # fingerprint of the certificate it was spent on
)

devices = Table(
    "devices",
    metadata,
    digest("fingerprint", primary_key=True),  # SHA-256 of the certificate, DER
    Column("site", String(32), nullable=False),
    Column("edge", String(64), nullable=False),  # the edge's number within its site
    Column("serial", String(64), nullable=False),
    Column("certificate", LargeBinary, nullable=False),
    moment("issued_at", nullable=False),
    moment("not_after", nullable=False),
    Column("revoked", Boolean, nullable=False, default=False),
    moment("revoked_at"),
    Column("revoked_why", Text),
    Index("devices_site", "site"),
)

edge_status = Table(
    "edge_status",
    metadata,
    Column("site", String(32), primary_key=True),
    Column("edge", String(64), primary_key=True),
    moment("last_seen", nullable=False),
    Column("last_sequence", Integer),
    json_text("status"),  # as the edge last told it
    Column("roots", Text),  # pins of the roots it said it trusts, separated by commas
)

edge_turns = Table(  # the newest number of each edge's chain (hub/fleet/turns.py)
    "edge_turns",
    metadata,
    Column("site", String(32), primary_key=True),
    Column("edge", String(64), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("tag", String(16), nullable=False),
)

edge_returns = Table(  # edges whose certificate expired, and which ask to come back
    "edge_returns",
    metadata,
    digest("request", primary_key=True),  # SHA-256 of the new key, DER
    digest("fingerprint", nullable=False),  # of the expired certificate
    Column("site", String(32), nullable=False),
    Column("edge", String(64), nullable=False),
    moment("asked_at", nullable=False),
    word("decision", nullable=False),  # asked, approved, refused
    moment("decided_at"),
    digest("device"),  # fingerprint of the certificate it was given
    Index("edge_returns_fingerprint", "fingerprint"),
)
