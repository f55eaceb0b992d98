"""What technician and reader write to each other about a study."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, Text, UniqueConstraint

from hub.tables.schema import metadata, moment, uid, word

messages = Table(
    "messages",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("site", String(32), nullable=False),
    uid("study_uid", nullable=False),  # may come before the study's first instance
    Column(
        "message_id", String(32), nullable=False
    ),  # random, by whoever wrote it: once however often it comes
    word("sender", nullable=False),  # reader or site
    word("purpose", nullable=False),  # gateway/message.py
    word("need", nullable=False, default=""),  # of a request
    Column("text", Text, nullable=False),
    Column("author", String(64), nullable=False, default=""),  # a user; empty: the hospital's page
    moment("written_at", nullable=False),  # by the writer's clock
    moment("at", nullable=False),  # by the hub's
    moment("seen_at"),  # by the other side
    moment("closed_at"),  # of a request: when it was answered, or the report signed without
    UniqueConstraint("site", "message_id"),
    Index("messages_study", "site", "study_uid", "sender"),
)
