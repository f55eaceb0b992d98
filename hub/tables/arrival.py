"""What came over the line: parcels on their way in, their receipts, and what had to be put aside."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text, UniqueConstraint

from hub.tables.schema import digest, metadata, moment, word

arrivals = Table(
    "arrivals",
    metadata,
    Column("parcel_id", String(32), primary_key=True),
    Column("site", String(32), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    digest("header_digest", nullable=False),
    Column("header", LargeBinary, nullable=False),  # the signed header, exactly as received
    word("state", nullable=False),  # hub/intake/states.py
    Column("chunks", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),  # sealed bytes
    moment("announced_at", nullable=False),
    moment("changed_at", nullable=False),
    Column("receipt", LargeBinary),  # the signed receipt, once there is one
    Column("reason", Text),  # why it is quarantined
    UniqueConstraint("site", "sequence", "parcel_id"),
    Index("arrivals_state", "state"),
    Index("arrivals_header_digest", "header_digest"),
)

header_chain = Table(
    "header_chain",
    metadata,
    Column("site", String(32), primary_key=True),
    Column("edge", String(64), primary_key=True),  # as the certificate that signed the header says
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    digest("digest", primary_key=True),
    digest("previous", nullable=False),  # the digest it names
    moment("at", nullable=False),
)

chain_findings = Table(
    "chain_findings",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("site", String(32), nullable=False),
    Column("edge", String(64), nullable=False),
    word("kind", nullable=False),  # gap: numbers that have not come; fork: two histories
    Column("first", BigInteger, nullable=False),  # number of the first header it is about
    Column("last", BigInteger, nullable=False),
    Column("words", Text, nullable=False),
    moment("at", nullable=False),
    moment("closed_at"),  # a gap's, when all had come after all
    Index("chain_findings_edge", "site", "edge"),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("site", String(32), nullable=False),
    Column("parcel_id", String(32)),
    Column("path", Text, nullable=False),  # where the bytes lie, below the hub's data folder
    Column("reason", Text, nullable=False),
    moment("at", nullable=False),
    moment("resolved_at"),
)
