"""The report as it is signed: frozen dataclasses, and their one canonical byte string.

CANONICAL.md tells every field. The bytes of `Report.to_bytes` are attached to the signed PDF, so
the PDF's signature covers them; their SHA-256 is printed in its footer. Pure.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

from gateway import canonical
from gateway.clock import parse_rfc3339
from gateway.errors import Malformed
from gateway.model import Sha256, sha256_hex, site_id, uid
from gateway.report.text import MAX_SECTION, check, clean

FORMAT = "telerad-report/1"
ATTACHMENT = "report.json"
"""Name of the file inside the PDF that holds the canonical bytes."""

LANGUAGES = ("en", "zh")
SECTIONS = ("clinical_question", "technique", "comparison", "findings", "impression")


class Kind(Enum):
    """What a signed version is."""

    REPORT = "report"
    ADDENDUM = "addendum"


@dataclass(frozen=True, slots=True)
class Body:
    """What the radiologist writes."""

    clinical_question: str = ""
    technique: str = ""
    comparison: str = ""
    findings: str = ""
    impression: str = ""
    critical: bool = False
    language: str = "en"

    def __post_init__(self) -> None:
        """Refuse what must not be signed. Raises Malformed."""
        for name in SECTIONS:
            check(getattr(self, name), name, limit=MAX_SECTION, lines=True)
        if self.language not in LANGUAGES:
            raise Malformed(f"language {self.language[:20]!r} is not one of {', '.join(LANGUAGES)}")

    @classmethod
    def from_input(cls, value: Any) -> Body:
        """The body as an editor sends it: cleaned, missing fields empty.

        Raises:
            Malformed: not an object, an unknown field, a wrong type, or too long.
        """
        whole = {**dataclasses.asdict(cls()), **_object(value, "body")}
        return cast("Body", _build(cls, whole, mend=True))

    @property
    def said(self) -> bool:
        """Whether it says anything: a report without findings and impression cannot be signed."""
        return bool(self.findings.strip() or self.impression.strip())


@dataclass(frozen=True, slots=True)
class Patient:
    """Whom the report is about, as the modality named them."""

    patient_id: str
    issuer: str
    name: str
    birth_date: str
    sex: str


@dataclass(frozen=True, slots=True)
class Study:
    """The study that was read."""

    study_uid: str
    accession: str
    study_id: str
    study_date: str
    study_time: str
    description: str
    modalities: tuple[str, ...]
    body_parts: tuple[str, ...]
    referring: str


@dataclass(frozen=True, slots=True)
class Author:
    """Who signs, and with which certificate: so that the name cannot part from the key."""

    name: str
    display_name: str
    certificate_sha256: Sha256


@dataclass(frozen=True, slots=True)
class Report:
    """Exactly what is signed."""

    report_id: str
    version: int
    kind: Kind
    site: str
    patient: Patient
    study: Study
    body: Body
    author: Author
    signed_at: str
    supersedes: str | None

    def __post_init__(self) -> None:
        """Check every field. Raises Malformed."""
        _check_id(self.report_id)
        site_id(self.site)
        uid(self.study.study_uid)
        sha256_hex(self.author.certificate_sha256)
        for part in (self.patient, self.study, self.author):
            for field in dataclasses.fields(part):
                for text in _texts(getattr(part, field.name)):
                    check(text, field.name)
        if isinstance(self.version, bool) or self.version < 1:
            raise Malformed(f"version {self.version} is not a positive integer")
        if (self.supersedes is None) != (self.version == 1) or (self.kind is Kind.REPORT) != (
            self.version == 1
        ):
            raise Malformed(
                "version 1 is the report; every later one is an addendum and names its predecessor"
            )
        if self.supersedes is not None:
            _check_id(self.supersedes)
        try:
            parse_rfc3339(self.signed_at)
        except ValueError as error:
            raise Malformed(f"signed_at is not RFC 3339: {self.signed_at[:40]!r}") from error

    def to_bytes(self) -> bytes:
        """The canonical bytes (RFC 8785)."""
        value = {**dataclasses.asdict(self), "kind": self.kind.value, "format": FORMAT}
        return canonical.dump(value)

    @classmethod
    def from_bytes(cls, data: bytes) -> Report:
        """Read canonical bytes, refusing anything `to_bytes` would not have written.

        Raises:
            Malformed: not canonical, an unknown or missing field, a field out of its limits.
        """
        value = dict(_object(canonical.load(data), "report"))
        if value.pop("format", None) != FORMAT:
            raise Malformed(f"not a report of format {FORMAT}")
        for name, part in (("patient", Patient), ("study", Study), ("body", Body), ("author", Author)):
            value[name] = _build(part, _object(value.get(name), name))
        try:
            value["kind"] = Kind(value.get("kind"))
        except ValueError as error:
            raise Malformed(f"unknown kind of report: {value.get('kind')!r}") from error
        return cast("Report", _build(cls, value))

    @property
    def digest(self) -> Sha256:
        """SHA-256 of the canonical bytes, as printed in the PDF's footer."""
        return Sha256(hashlib.sha256(self.to_bytes()).hexdigest())


def _check_id(text: str) -> None:
    if len(text) != 32 or set(text) - set("0123456789abcdef"):
        raise Malformed(f"not a report identifier (32 hexadecimal digits): {text[:80]!r}")


def _texts(value: Any) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else (value,)


def _object(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Malformed(f"{name} is not an object")
    return value


def _build(cls: Any, value: Mapping[str, Any], *, mend: bool = False) -> Any:
    """Make `cls` from `value`: exactly its fields, each of its own type."""
    fields = {field.name: str(field.type) for field in dataclasses.fields(cls)}
    if set(value) != set(fields):
        odd = sorted(set(value) ^ set(fields))
        raise Malformed(f"{cls.__name__}: missing or unknown fields: {', '.join(odd)[:200]}")
    return cls(**{name: _typed(value[name], wanted, name, mend=mend) for name, wanted in fields.items()})


def _typed(value: Any, wanted: str, name: str, *, mend: bool) -> Any:
    if wanted.startswith("tuple") and isinstance(value, (list, tuple)):
        return tuple(_typed(item, "str", name, mend=mend) for item in value)
    if wanted in ("str", "Sha256") and isinstance(value, str):
        return clean(value) if mend else value
    if wanted == "str | None" and (value is None or isinstance(value, str)):
        return value
    if wanted == "bool" and isinstance(value, bool):
        return value
    if wanted == "int" and isinstance(value, int) and not isinstance(value, bool):
        return value
    if type(value).__name__ == wanted:
        return value
    raise Malformed(f"{name} must be {wanted}, not {type(value).__name__}")
