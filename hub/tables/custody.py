"""The custody log: append-only, no names in it, its Merkle root signed."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from hub.tables.schema import digest, json_text, metadata, moment, word

custody = Table(
    "custody",
    metadata,
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),  # from 0, gap-free
    word("event", nullable=False),
    moment("at", nullable=False),
    Column("site", String(32), nullable=False, default=""),
    digest("subject", nullable=False, default=""),  # what it is about: a digest or an opaque id
    json_text("leaf", nullable=False),  # canonical JSON (RFC 8785); no names, no UIDs
    digest("leaf_hash", nullable=False),
    Index("custody_subject", "subject"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("size", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    digest("root", nullable=False),
    Column("note", LargeBinary, nullable=False),  # C2SP signed note
    moment("at", nullable=False),
)

witnesses = Table(
    "witnesses",
    metadata,
    Column("name", String(128), primary_key=True),  # of the witness key
    Column("site", String(32), nullable=False),
    Column("edge", String(64), nullable=False),
    Column("statement", LargeBinary, nullable=False),  # signed by the edge: this key is mine
    moment("at", nullable=False),
)

cosignatures = Table(
    "cosignatures",
    metadata,
    Column("size", ForeignKey("checkpoints.size"), primary_key=True),
    Column("witness", ForeignKey("witnesses.name"), primary_key=True),
    Column("line", Text, nullable=False),  # C2SP tlog-cosignature
    moment("at", nullable=False),
)

subject_salts = Table(
    "subject_salts",  # erasable: without it a leaf cannot be led back to what it is about
    metadata,
    digest("subject", primary_key=True),
    Column("salt", String(32), nullable=False),
)

person_salts = Table(
    "person_salts",  # erasable, as `subject_salts`: without it no leaf can be led back to a person
    metadata,
    word("kind", primary_key=True),  # user, os-user
    Column("name", String(128), primary_key=True),
    Column("salt", String(32), nullable=False),
)

leaf_seals = Table(
    "leaf_seals",  # that the program itself wrote an entry (hub/seals.py)
    metadata,
    Column("position", ForeignKey("custody.position"), primary_key=True),
    digest("seal", nullable=False),
)
