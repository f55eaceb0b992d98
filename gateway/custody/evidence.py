"""The evidence of a study: everything needed to tell its way offline. EVIDENCE.md beside this file. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway import canonical
from gateway.custody.bundle import BUNDLE_LIMIT
from gateway.custody.checkpoint import NOTE_LIMIT
from gateway.custody.merkle import PROOF_LIMIT
from gateway.custody.witness import LINE_LIMIT
from gateway.envelope.inner import MANIFEST_LIMIT
from gateway.envelope.record import Record, base64_bytes, base64_text
from gateway.envelope.signature import STATEMENT_LIMIT
from gateway.errors import Malformed
from gateway.model import Sha256, SiteId, sha256_hex, site_id

EVIDENCE_LIMIT = 256 << 20
START = b'{"log":'
"""How a file of evidence begins."""

MANY = 100_000
PDF_LIMIT = 64 << 20
_KEYS = frozenset({"version", "study", "log_key", "log", "witnesses", "parcels", "reports"})
_STUDY_KEYS = frozenset({"site", "study_uid", "subject", "salt", "cases", "instances"})
_INSTANCE_KEYS = frozenset({"sop_instance_uid", "sha256", "length"})
_PARCEL_KEYS = frozenset({"header", "manifest", "receipt"})


@dataclass(frozen=True, slots=True)
class Instance:
    """One image the evidence is about: UID, SHA-256 and length of the bytes the modality sent."""

    sop_instance_uid: str
    sha256: Sha256
    length: int


@dataclass(frozen=True, slots=True)
class Study:
    """What the evidence is about.

    Attributes:
        subject: of the study in the custody log.
        salt: by which its leaves are bound to it; empty: it was never complete, or the salt was erased.
        cases: subjects of its cases there.
    """

    site: SiteId
    study_uid: str
    subject: str
    salt: str
    cases: tuple[str, ...]
    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class Parcel:
    """Signed header, inner manifest in clear, signed receipt."""

    header: bytes
    manifest: bytes
    receipt: bytes


@dataclass(frozen=True, slots=True)
class ReportEvidence:
    """A signed PDF, and the edge's signed word of its delivery (empty: there is none yet)."""

    pdf: bytes
    acknowledgement: bytes


@dataclass(frozen=True, slots=True)
class Witness:
    """What one edge has witnessed.

    Attributes:
        key: its statement of its witness key.
        note: the checkpoint it saw, as signed by the hub.
        line: its cosignature.
        proof: that the log of `note` grew into that of the evidence.
    """

    key: bytes
    note: bytes
    line: str
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A file of evidence, not judged yet (`gateway.custody.judge`)."""

    study: Study
    log_key: bytes
    log: bytes
    witnesses: tuple[Witness, ...]
    parcels: tuple[Parcel, ...]
    reports: tuple[ReportEvidence, ...]

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        study = self.study
        return canonical.dump(
            {
                "version": 1,
                "study": {
                    "site": study.site,
                    "study_uid": study.study_uid,
                    "subject": study.subject,
                    "salt": study.salt,
                    "cases": list(study.cases),
                    "instances": [
                        {"sop_instance_uid": one.sop_instance_uid, "sha256": one.sha256, "length": one.length}
                        for one in study.instances
                    ],
                },
                "log_key": base64_text(self.log_key),
                "log": base64_text(self.log),
                "witnesses": [
                    {
                        "key": base64_text(one.key),
                        "note": base64_text(one.note),
                        "line": one.line,
                        "proof": [base64_text(item) for item in one.proof],
                    }
                    for one in self.witnesses
                ],
                "parcels": [
                    {
                        "header": base64_text(one.header),
                        "manifest": base64_text(one.manifest),
                        "receipt": base64_text(one.receipt),
                    }
                    for one in self.parcels
                ],
                "reports": [
                    {"pdf": base64_text(one.pdf), "acknowledgement": base64_text(one.acknowledgement)}
                    for one in self.reports
                ],
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Evidence:
        """Read it. Raises Malformed."""
        record = Record.parse(data, "the evidence", _KEYS, limit=EVIDENCE_LIMIT)
        record.integer("version", 1, 1)
        return cls(
            study=_study(record.mapping("study")),
            log_key=record.binary("log_key", STATEMENT_LIMIT),
            log=record.binary("log", BUNDLE_LIMIT),
            witnesses=tuple(map(_witness, record.items("witnesses", 0, 1000))),
            parcels=tuple(map(_parcel, record.items("parcels", 0, MANY))),
            reports=tuple(map(_report, record.items("reports", 0, 1000))),
        )


def _study(value: Any) -> Study:
    record = Record(value, "the evidence's study", _STUDY_KEYS)
    return Study(
        site=record.checked("site", site_id),
        study_uid=record.text("study_uid"),
        subject=record.checked("subject", sha256_hex),
        salt=record.text("salt", 32),
        cases=tuple(_texts(record.items("cases", 0, 1000))),
        instances=tuple(map(_instance, record.items("instances", 0, MANY))),
    )


def _instance(value: Any) -> Instance:
    record = Record(value, "an instance of the evidence", _INSTANCE_KEYS)
    return Instance(
        record.text("sop_instance_uid"), record.checked("sha256", sha256_hex), record.integer("length", 0)
    )


def _parcel(value: Any) -> Parcel:
    record = Record(value, "a parcel of the evidence", _PARCEL_KEYS)
    return Parcel(
        record.binary("header", STATEMENT_LIMIT),
        record.binary("manifest", MANIFEST_LIMIT),
        record.binary("receipt", STATEMENT_LIMIT),
    )


def _report(value: Any) -> ReportEvidence:
    record = Record(value, "a report of the evidence", frozenset({"pdf", "acknowledgement"}))
    return ReportEvidence(record.binary("pdf", PDF_LIMIT), record.binary("acknowledgement", STATEMENT_LIMIT))


def _witness(value: Any) -> Witness:
    record = Record(value, "a witness of the evidence", frozenset({"key", "note", "line", "proof"}))
    return Witness(
        record.binary("key", STATEMENT_LIMIT),
        record.binary("note", NOTE_LIMIT),
        record.text("line", LINE_LIMIT),
        tuple(base64_bytes(item) for item in _texts(record.items("proof", 0, PROOF_LIMIT))),
    )


def _texts(values: Sequence[Any]) -> list[str]:
    if not all(isinstance(value, str) and len(value) <= 64 for value in values):
        raise Malformed("the evidence: a subject or hash is no text of at most 64 characters")
    return list(values)
