"""The hub's configuration file, as frozen dataclasses. `config.example.yaml` explains every key."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gateway.config import Bytes, Seconds
from gateway.database import sqlite_url


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
class Access:
    """Logging in."""

    require_second_factor: bool = True  # readers and administrators
    idle: Seconds = Seconds(15 * 60)
    absolute: Seconds = Seconds(12 * 3600)


@dataclass(frozen=True, slots=True)
class HubConfig:
    """One hub."""

    data: Path
    pki: Path  # the folder `telerad certs init` made; on the hub without the root's key
    rules: Path
    name: str = "hub"
    database: str | None = None  # SQLAlchemy URL; none: SQLite in the data folder
    web: Web = field(default_factory=Web)
    line: Line = field(default_factory=Line)
    storage: Storage = field(default_factory=Storage)
    settle: Settle = field(default_factory=Settle)
    access: Access = field(default_factory=Access)

    @property
    def database_url(self) -> str:
        """Where the database is."""
        return self.database or sqlite_url(self.data / "hub.db")
