"""What an administrator should look at: never deleted, ended by itself or acknowledged by a person."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, Text

from hub.tables.schema import json_text, metadata, moment, word

alerts = Table(
    "alerts",
    metadata,
    Column("id", Integer, primary_key=True),
    word("kind", nullable=False),  # hub/alerts.py
    word("severity", nullable=False),  # alarm, warning
    Column("site", String(32), nullable=False, default=""),  # empty: about the hub itself
    Column("edge", String(64), nullable=False, default=""),
    Column("about", String(128), nullable=False, default=""),  # tells two of one kind and edge apart
    Column("words", Text, nullable=False),
    json_text("facts", nullable=False, default="{}"),  # what the words say, for a page in another language
    moment("at", nullable=False),  # when it began
    moment("last_at", nullable=False),  # when it was last found
    Column("times", Integer, nullable=False, default=1),
    moment("ended_at"),  # of what stands for a while: when it was over
    moment("acknowledged_at"),
    Column("acknowledged_by", String(64)),  # the login
    Column("reason", Text),
    moment("changed_at", nullable=False),
    Index("alerts_same", "kind", "site", "edge", "about"),
    Index("alerts_changed", "changed_at"),
    Index("alerts_open", "acknowledged_at", "ended_at"),
)
