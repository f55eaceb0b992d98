"""What edges tell of a study besides its instances: procedure steps, warnings, progress; and what changed."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, UniqueConstraint

from hub.tables.schema import json_text, metadata, moment, uid, word

study_procedures = Table(  # modality performed procedure steps (PS3.4 Annex F)
    "study_procedures",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("site", String(32), nullable=False),
    uid("study_uid", nullable=False),  # may come before the study's first instance
    Column("procedure", String(64), nullable=False),  # the step's UID; the station where none was told
    word("status", nullable=False),  # IN PROGRESS, COMPLETED, DISCONTINUED
    json_text("series", nullable=False),  # Series Instance UID → images made
    moment("at", nullable=False),
    UniqueConstraint("site", "study_uid", "procedure"),
)

study_quality = Table(  # the newest word of the site's edge on a study
    "study_quality",
    metadata,
    Column("site", String(32), primary_key=True),
    uid("study_uid", primary_key=True),
    json_text("warnings", nullable=False),  # list of {kind, severity, series_uid, parameters}
    json_text("acquisition", nullable=False),  # list of {series_uid, parameters}
    moment("told_at", nullable=False),  # by the edge's clock: an older word does not replace a newer one
    moment("at", nullable=False),  # by the hub's
    Index("study_quality_at", "at"),
)

study_progress = Table(  # from heartbeats; an edge's rows are replaced by its next one
    "study_progress",
    metadata,
    Column("site", String(32), primary_key=True),
    Column("edge", String(64), primary_key=True),
    uid("study_uid", primary_key=True),
    Column("received", Integer, nullable=False),  # by the edge
    Column("confirmed", Integer, nullable=False),  # with this hub's receipt
    Column("waiting_bytes", BigInteger, nullable=False),
    Column("eta_seconds", Integer),
    Column("priority", Integer, nullable=False),  # gateway.model.Priority
    moment("told_at", nullable=False),
    Index("study_progress_study", "site", "study_uid"),
)

series_promises = Table(  # what a series' own tags say of its size
    "series_promises",
    metadata,
    Column("series", ForeignKey("series.id"), primary_key=True),
    Column("instances", Integer, nullable=False),
)

study_clocks = Table(  # by how much a study's own times differ from UTC: its header, else its sender's zone
    "study_clocks",
    metadata,
    Column("study", ForeignKey("studies.id"), primary_key=True),
    Column("utc_offset", String(5), nullable=False),  # such as +0800
)

case_series = Table(  # the series of a case when the study was last complete: what changed is told by it
    "case_series",
    metadata,
    Column("case", ForeignKey("cases.id"), primary_key=True),
    Column("series", ForeignKey("series.id"), primary_key=True),
    Column("instances", Integer, nullable=False),
)

case_changes = Table(
    "case_changes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("case", ForeignKey("cases.id"), nullable=False),
    Column("series", ForeignKey("series.id"), nullable=False),
    Column("before", Integer, nullable=False),
    Column("now", Integer, nullable=False),
    moment("at", nullable=False),
    Index("case_changes_case", "case"),
)
