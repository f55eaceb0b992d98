"""Reports: the draft that belongs to the study, every saved revision, and the signed versions."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from hub.tables.schema import digest, json_text, metadata, moment, uid, word

drafts = Table(
    "drafts",
    metadata,
    Column("case", ForeignKey("cases.id"), primary_key=True),
    Column("revision", Integer, primary_key=True),  # 1, 2, 3 …; every save is kept
    json_text("body", nullable=False),  # gateway/report/CANONICAL.md, "body"
    Column("author", String(64), nullable=False),
    moment("at", nullable=False),
)

reports = Table(
    "reports",
    metadata,
    Column("id", String(32), primary_key=True),  # random UUID in hexadecimal
    Column("case", ForeignKey("cases.id"), nullable=False),
    Column("version", Integer, nullable=False),  # 1 the report, 2… addenda
    word("state", nullable=False),  # hub/reports/lifecycle.py
    word("kind", nullable=False),  # report, addendum
    json_text("canonical", nullable=False),  # what was signed (CANONICAL.md)
    digest("canonical_sha256", nullable=False),
    digest("pdf_sha256", nullable=False),  # names the PDF among the blobs
    uid("sr_uid", nullable=False),
    uid("pdf_uid", nullable=False),
    Column("signed_by", ForeignKey("users.name"), nullable=False),
    moment("signed_at", nullable=False),
    Column("supersedes", String(32)),
    UniqueConstraint("case", "version"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("report", ForeignKey("reports.id"), nullable=False),
    Column("site", String(32), nullable=False),
    Column("edge", String(64)),  # of the site, which has taken it over by fetching it
    word("state", nullable=False),  # hub/downlink/states.py
    moment("queued_at", nullable=False),
    moment("fetched_at"),
    moment("acknowledged_at"),
    json_text("acknowledgement"),  # as signed by the edge
    Column("reason", Text),  # the receiver's own words, if it refused
    Index("deliveries_site", "site", "state"),
)

delivery_outcomes = Table(  # one row a destination, from the edge's acknowledgements
    "delivery_outcomes",
    metadata,
    Column("delivery", ForeignKey("deliveries.id"), primary_key=True),
    Column("destination", String(64), primary_key=True),
    word("kind", nullable=False),  # folder, dicom, hl7
    word("outcome", nullable=False),  # delivered, refused, waiting
    Column("detail", Text, nullable=False, default=""),
    moment("at", nullable=False),
)
