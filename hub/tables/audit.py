"""The audit trail: who did what, for the auditor's page and for the hospital's audit repository.

Unlike the custody log it names people and studies, so it can be searched; and it proves nothing.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table

from hub.tables.schema import json_text, metadata, moment, uid, word

audit_events = Table(
    "audit_events",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    moment("at", nullable=False),
    word("event", nullable=False),  # hub/audit/events.py
    Column("outcome", Integer, nullable=False, default=0),  # PS3.15 A.5: 0, 4, 8, 12
    Column("person", String(64), nullable=False, default=""),  # the login; empty: the hub itself
    word("role", nullable=False, default=""),
    Column("address", String(64), nullable=False, default=""),
    Column("site", String(32), nullable=False, default=""),
    uid("study_uid", nullable=False, default=""),
    Column("patient_id", String(64), nullable=False, default=""),
    json_text("detail", nullable=False, default="{}"),
    Index("audit_events_at", "at"),
    Index("audit_events_person", "person", "at"),
    Index("audit_events_study", "study_uid"),
)

audit_marks = Table(  # how far something has come
    "audit_marks",
    metadata,
    Column("name", String(32), primary_key=True),  # exported: last audit event taken by the repository
    Column("position", BigInteger, nullable=False),
)
