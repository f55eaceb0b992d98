"""The index: patients, studies, series, instances. The blobs themselves are files named by digest."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from hub.tables.schema import digest, json_text, metadata, moment, uid, word

patients = Table(
    "patients",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("site", String(32), nullable=False),
    Column("issuer", String(64), nullable=False, default=""),  # (0010,0021), empty if absent
    Column("patient_id", String(64), nullable=False),  # (0010,0020), empty if absent
    Column("name", Text, nullable=False, default=""),  # (0010,0010), decoded for display
    Column("birth_date", String(10), nullable=False, default=""),  # DA as sent
    Column("sex", String(16), nullable=False, default=""),
    UniqueConstraint("site", "issuer", "patient_id"),
    Index("patients_patient_id", "patient_id"),
)

studies = Table(
    "studies",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("site", String(32), nullable=False),
    uid("study_uid", nullable=False),
    Column("patient", ForeignKey("patients.id"), nullable=False),
    # as this study's own header says: two people under one patient ID must not hide each other
    Column("patient_name", Text, nullable=False, default=""),
    Column("patient_name_folded", Text, nullable=False, default=""),  # case-folded, for searching
    Column("patient_birth_date", String(10), nullable=False, default=""),
    Column("patient_sex", String(16), nullable=False, default=""),
    word("state", nullable=False),  # hub/archive/states.py: arriving, complete, reopened
    Column("completeness", Text, nullable=False, default=""),  # which evidence closed it, in words
    Column("priority", Integer, nullable=False, default=2),  # gateway.model.Priority
    Column("study_date", String(8), nullable=False, default=""),
    Column("study_time", String(16), nullable=False, default=""),
    Column("accession", String(64), nullable=False, default=""),
    Column("study_id", String(64), nullable=False, default=""),
    Column("description", Text, nullable=False, default=""),
    Column("referring", Text, nullable=False, default=""),
    Column("institution", Text, nullable=False, default=""),
    Column("clinical_question", Text, nullable=False, default=""),  # from order or header
    Column("modalities", Text, nullable=False, default=""),  # distinct, sorted, joined by a backslash
    Column("body_parts", Text, nullable=False, default=""),  # likewise
    Column("series_count", Integer, nullable=False, default=0),
    Column("instance_count", Integer, nullable=False, default=0),
    Column("received_count", Integer, nullable=False, default=0),  # arrivals, copies counted too
    Column("expected_count", Integer),  # instances here and those announced by the edge, yet to come
    Column("conflicts", Integer, nullable=False, default=0),  # instances whose UID came with other bytes
    moment("first_at", nullable=False),
    moment("last_at", nullable=False),
    moment("completed_at"),
    UniqueConstraint("site", "study_uid"),
    Index("studies_uid", "study_uid"),
    Index("studies_date", "study_date", "study_time", "id"),  # the order in which they are listed
    Index("studies_patient", "patient"),
    Index("studies_state", "state", "last_at"),
    Index("studies_accession", "accession"),
)

series = Table(
    "series",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study", ForeignKey("studies.id"), nullable=False),
    uid("series_uid", nullable=False),
    Column("modality", String(16), nullable=False, default=""),
    Column("number", Integer),
    Column("description", Text, nullable=False, default=""),
    Column("body_part", String(64), nullable=False, default=""),
    Column("laterality", String(16), nullable=False, default=""),
    Column("date", String(8), nullable=False, default=""),
    Column("time", String(16), nullable=False, default=""),
    Column("instance_count", Integer, nullable=False, default=0),
    UniqueConstraint("study", "series_uid"),
    Index("series_uid", "series_uid"),
)

instances = Table(
    "instances",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("series", ForeignKey("series.id"), nullable=False),
    uid("sop_class_uid", nullable=False),
    uid("sop_instance_uid", nullable=False),
    uid("transfer_syntax_uid", nullable=False),
    digest("sha256", nullable=False),  # of the dataset bytes as the modality sent them; names the blob
    Column("size", BigInteger, nullable=False),
    Column("number", Integer),
    Column("rows", Integer),
    Column("columns", Integer),
    Column("frames", Integer, nullable=False, default=1),
    Column("bits_allocated", Integer),
    Column("frame_bits", BigInteger),  # size of one frame in native encoding
    Column("pixel_offset", BigInteger),  # of the pixel data element's value in the dataset bytes
    Column("pixel_length", BigInteger),  # null for encapsulated (undefined length)
    Column("metadata", LargeBinary),  # zstd of the DICOM JSON model without bulk data
    Column("current", Boolean, nullable=False, default=True),  # false: another version of this UID leads
    Column("origin", String(16), nullable=False, default="edge"),  # edge, or hub for reports made here
    Column("calling_ae", String(16), nullable=False, default=""),
    Column("parcel_id", String(32), nullable=False, default=""),
    Column("flaw", Text, nullable=False, default=""),  # why the header could only be read in part
    moment("received_at", nullable=False),  # by the edge
    moment("indexed_at", nullable=False),
    UniqueConstraint("series", "sop_instance_uid", "sha256"),
    Index("instances_uid", "sop_instance_uid"),
    Index("instances_sha256", "sha256"),
)

study_notes = Table(
    "study_notes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("site", String(32), nullable=False),
    uid("study_uid", nullable=False),  # may come before the study's first instance
    Column("association", String(32), nullable=False),
    Column("instances", Integer, nullable=False, default=0),  # of this study that the association carried
    json_text("note", nullable=False),  # as the edge told it (FORMAT.md, notices)
    moment("at", nullable=False),
    UniqueConstraint("site", "association", "study_uid"),
    Index("study_notes_study", "site", "study_uid"),
)
