"""Reading: groups, readers and what they may read, and one case for each study to be read."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from hub.tables.schema import json_text, metadata, moment, word

readers = Table(
    "readers",
    metadata,
    Column("user", ForeignKey("users.name"), primary_key=True),
    Column("available", Boolean, nullable=False, default=True),
    Column("capacity", Integer, nullable=False, default=50),  # weighted units open at once
)

reader_groups = Table(
    "reader_groups",
    metadata,
    Column("user", ForeignKey("users.name"), primary_key=True),
    Column("group", String(64), primary_key=True),
)

reader_sites = Table(  # no row at all for a reader: every site
    "reader_sites",
    metadata,
    Column("user", ForeignKey("users.name"), primary_key=True),
    Column("site", String(32), primary_key=True),
    Column("licensed_until", String(10)),  # ISO date; null: no end
)

cases = Table(
    "cases",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study", ForeignKey("studies.id"), nullable=False),
    word("state", nullable=False),  # hub/assign/states.py
    Column("priority", Integer, nullable=False),
    Column("group", String(64), nullable=False, default=""),
    Column("assignee", ForeignKey("users.name")),
    Column("weight", Integer, nullable=False, default=1),
    Column("rule", String(128), nullable=False, default=""),
    json_text("why", nullable=False),  # list of sentences: the explanation kept with the decision
    json_text("prefer", nullable=False, default="[]"),  # readers tried first
    Column("hold", Text),  # why it is given to nobody: a person must take it
    moment("deadline"),
    moment("created_at", nullable=False),
    moment("assigned_at"),
    moment("opened_at"),
    moment("reported_at"),
    moment("lease_until"),  # a lease, not a lock
    Column("lease_by", String(64)),
    Column("return_reason", Text),
    moment("settled_at", nullable=False),  # studies.completed_at as last seen; later: late instances came
    Column("instances", Integer, nullable=False, default=0),  # how many there were then
    Column("late", Integer, nullable=False, default=0),  # how many came after the report was signed
    UniqueConstraint("study"),
    Index("cases_state", "state", "priority"),
    Index("cases_assignee", "assignee", "state"),
)

case_events = Table(
    "case_events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("case", ForeignKey("cases.id"), nullable=False),
    word("event", nullable=False),
    Column("by", String(64), nullable=False),  # a user, or "hub"
    Column("detail", Text, nullable=False, default=""),
    moment("at", nullable=False),
    Index("case_events_case", "case"),
)
