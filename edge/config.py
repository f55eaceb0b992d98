"""The edge's configuration file, as frozen dataclasses. `config.example.yaml` explains every key."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from urllib.parse import urlsplit

from gateway.config import BitRate, Bytes, Seconds, TimeOfDay
from gateway.model import Priority


@dataclass(frozen=True, slots=True)
class Sender:
    """One known modality or PACS."""

    ae_title: str
    address: str | None = None  # IP address or CIDR network; none: any address
    priority: str = "routine"
    charset: str | None = None  # assumed where a dataset declares none, such as GB18030


@dataclass(frozen=True, slots=True)
class DicomTls:
    """TLS for the DICOM listener, PS3.15 B.12 (BCP 195)."""

    certificate: Path
    key: Path
    client_ca: Path | None = None  # set: senders must show a certificate of this CA


@dataclass(frozen=True, slots=True)
class Ingest:
    """The DICOM listener (C-ECHO and C-STORE)."""

    host: str = "0.0.0.0"  # noqa: S104  # scanners are on other machines; the sender list guards it
    port: int = 11112
    ae_title: str = "TELERAD"
    open: bool = False  # true: accept any sender (the demo only)
    senders: tuple[Sender, ...] = ()
    tls: DicomTls | None = None
    accept_deflated: bool = False  # a deflate bomb unpacks a thousandfold
    max_associations: int = 50


@dataclass(frozen=True, slots=True)
class Spool:
    """Where instances wait, encrypted to the hub."""

    reserve: Bytes = Bytes(2_000_000_000)  # free disk kept for receipts, logs and the hospital


class Day(Enum):
    """A day of the week, in the order of `datetime.weekday`."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


@dataclass(frozen=True, slots=True)
class Budget:
    """What some priorities may use of the line together, at some hours of the machine's local time."""

    rate: BitRate  # 0: nothing
    from_: TimeOfDay = TimeOfDay(0)
    to: TimeOfDay = TimeOfDay(24 * 60)
    days: tuple[Day, ...] = ()  # none named: every day; hours past midnight belong to the day they began
    priorities: tuple[Priority, ...] = ()  # none named: all

    def __post_init__(self) -> None:
        """Hours must be some."""
        if self.from_ == self.to:
            raise ValueError("from and to are the same time; leave both out for the whole day")


class Congestion(Enum):
    """What TCP does about loss on the way to the hub."""

    BBR = "bbr"
    DEFAULT = "default"  # whatever the machine is set to, such as CUBIC


@dataclass(frozen=True, slots=True)
class Uplink:
    """The line to the hub."""

    streams: int = 4
    chunk: Bytes = Bytes(1 << 20)
    idle_timeout: Seconds = Seconds(60)
    retry_first: Seconds = Seconds(1)
    retry_cap: Seconds = Seconds(60)
    budget: tuple[Budget, ...] = ()  # changed without a restart; nothing covered: no limit
    proxy: str | None = None  # http://host:port or http://user:password@host:port; by HTTP CONNECT
    congestion: Congestion = Congestion.BBR
    proxy_credentials: Path | None = None  # a file with one line user:password, instead of in the URL

    def __post_init__(self) -> None:
        """A proxy must be one that can be asked, and its password stand in one place."""
        if self.proxy is None:
            return
        wanted = "proxy must be like http://proxy.example:3128"
        try:
            parts = urlsplit(self.proxy)
            known = parts.scheme == "http" and parts.hostname and parts.port and parts.path in ("", "/")
        except ValueError as error:
            raise ValueError(f"{wanted}: {error}") from error
        if not known:
            raise ValueError(wanted)
        if parts.username is not None and self.proxy_credentials is not None:
            raise ValueError("the proxy's password stands in proxy and in proxy_credentials; keep one")


class DestinationKind(Enum):
    """How a report is handed over."""

    FOLDER = "folder"
    DICOM = "dicom"
    HL7 = "hl7"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where signed reports go at the hospital. Each is retried on its own."""

    name: str
    kind: DestinationKind
    path: Path | None = None  # folder
    host: str | None = None  # dicom, hl7
    port: int | None = None
    ae_title: str | None = None  # dicom: the PACS

    def __post_init__(self) -> None:
        """A folder needs a path; the others an address."""
        if self.kind is DestinationKind.FOLDER and self.path is None:
            raise ValueError("a folder destination needs path")
        if self.kind is not DestinationKind.FOLDER and (self.host is None or self.port is None):
            raise ValueError(f"a {self.kind.value} destination needs host and port")
        if self.kind is DestinationKind.DICOM and self.ae_title is None:
            raise ValueError("a dicom destination needs ae_title")


@dataclass(frozen=True, slots=True)
class Downlink:
    """Reports on their way back."""

    poll: Seconds = Seconds(20)  # long-poll: the hub answers at once when there is something
    retry_first: Seconds = Seconds(2)
    retry_cap: Seconds = Seconds(300)


@dataclass(frozen=True, slots=True)
class Console:
    """The edge's own web page, for the technician."""

    host: str = "127.0.0.1"
    port: int = 8081


@dataclass(frozen=True, slots=True)
class EdgeConfig:
    """One edge appliance. What the hub told it at enrolment lies in ``data/identity``, not here."""

    data: Path
    ingest: Ingest = field(default_factory=Ingest)
    spool: Spool = field(default_factory=Spool)
    uplink: Uplink = field(default_factory=Uplink)
    downlink: Downlink = field(default_factory=Downlink)
    destinations: tuple[Destination, ...] = ()
    console: Console = field(default_factory=Console)
