"""The hub's configuration file, as frozen dataclasses. `config.example.yaml` explains every key."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gateway.config import Bytes, Seconds
from gateway.database import sqlite_url
from gateway.envelope.kem import DEFAULT_SUITE, check_suites
from hub.forwarded import HEADERS, RFC_9440, networks


@dataclass(frozen=True, slots=True)
class Web:
    """The portal, DICOMweb and enrolment: HTTPS for browsers."""

    host: str = "0.0.0.0"  # noqa: S104  # readers are elsewhere
    port: int = 8443
    url: str = "https://localhost:8443"  # as readers and edges reach it


@dataclass(frozen=True, slots=True)
class Line:
    """Where the edges connect: TLS 1.3 with client certificates."""

    host: str = "0.0.0.0"  # noqa: S104  # edges are elsewhere
    port: int = 8444
    url: str = "https://localhost:8444"  # as the edges reach it; told to them at enrolment
    trusted_proxies: tuple[str, ...] = ()  # addresses or networks that may forward an edge's certificate
    client_cert_header: str = RFC_9440  # in which they do

    def __post_init__(self) -> None:
        """Addresses must be such, and the header one that is known."""
        networks(self.trusted_proxies)
        if self.client_cert_header not in HEADERS:
            raise ValueError(f"client_cert_header must be {' or '.join(HEADERS)}")


@dataclass(frozen=True, slots=True)
class Storage:
    """Limits of the data folder."""

    reserve: Bytes = Bytes(5_000_000_000)


@dataclass(frozen=True, slots=True)
class Settle:
    """When a study counts as complete."""

    after_association: Seconds = Seconds(3)  # quiet time once all that the edge announced has come
    quiet: Seconds = Seconds(120)  # quiet time without such word


@dataclass(frozen=True, slots=True)
class Oidc:
    """Single sign-on at the organisation's own log-in (OpenID Connect)."""

    issuer: str
    client_id: str
    client_secret: Path | None = None  # one line, mode 0600; none: a public client
    link_claim: str | None = None  # email or preferred_username; none: provisioned identities only
    trust_factors: bool = False  # whether its `amr` counts as our second factor
    label: str = "Single sign-on"
    hosts: tuple[str, ...] = ()  # besides the issuer's own, for token and keys
    networks: tuple[str, ...] = ()  # besides public ones
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """Logging in."""

    require_second_factor: bool = True  # readers, leads and administrators
    idle: Seconds = Seconds(15 * 60)
    absolute: Seconds = Seconds(12 * 3600)
    step_up: Seconds = Seconds(15 * 60)  # how long a second factor counts as just shown
    emergency: Seconds = Seconds(4 * 3600)  # how long a study stays open to who broke the glass
    oidc: Oidc | None = None


@dataclass(frozen=True, slots=True)
class AuditRepository:
    """A hospital's audit repository: syslog over TLS (PS3.15 A.6, RFC 5425)."""

    host: str
    ca: Path
    port: int = 6514
    certificate: Path | None = None  # ours, if it asks for one: PEM chain
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class Audit:
    """Where the audit trail is told, besides the auditor's page."""

    enterprise: str = ""  # AuditEnterpriseSiteID
    repository: AuditRepository | None = None


@dataclass(frozen=True, slots=True)
class HubConfig:
    """One hub."""

    data: Path
    pki: Path  # the folder `telerad certs init` made; on the hub without the root's key
    rules: Path
    name: str = "hub"
    suites: tuple[str, ...] = (DEFAULT_SUITE,)  # what edges are offered and may use; the others are refused
    receipt_key: str | None = None  # PKCS#11 URI of the key that signs receipts; none: a file
    database: str | None = None  # SQLAlchemy URL; none: SQLite in the data folder
    web: Web = field(default_factory=Web)
    line: Line = field(default_factory=Line)
    storage: Storage = field(default_factory=Storage)
    settle: Settle = field(default_factory=Settle)
    access: Access = field(default_factory=Access)
    audit: Audit = field(default_factory=Audit)

    def __post_init__(self) -> None:
        """Suites must be known, and some."""
        check_suites(self.suites)

    @property
    def database_url(self) -> str:
        """Where the database is."""
        return self.database or sqlite_url(self.data / "hub.db")
