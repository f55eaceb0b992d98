"""The edge's configuration file, as frozen dataclasses. `config.example.yaml` explains every key."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.config import BitRate, Bytes, Seconds, TimeOfDay
from gateway.envelope.kem import HYBRID, P256, check_suites
from gateway.envelope.taken import Taken
from gateway.model import Priority


@dataclass(frozen=True, slots=True)
class Sender:
    """One known modality or PACS."""

    ae_title: str
    address: str | None = None  # IP address or CIDR network; none: any address
    priority: str = "routine"
    charset: str | None = None  # assumed where a dataset declares none, such as GB18030
    time_zone: str | None = None  # of its clock, as in the IANA database, such as Asia/Shanghai
    institution: str | None = None  # where it stands, if one edge serves several places
    token: Path | None = None  # a file with its bearer token, for STOW-RS
    report_host: str | None = None  # where it hears storage commitment reports; none: only where it asked
    report_port: int | None = None

    def __post_init__(self) -> None:
        """A time zone must be one; an address has two parts."""
        checked_zone(self.time_zone)
        if (self.report_host is None) != (self.report_port is None):
            raise ValueError("report_host and report_port go together")

    @property
    def remarks(self) -> dict[str, str]:
        """What the hub is told beside each of its instances."""
        return remarks(self.charset, self.time_zone, self.institution)


def checked_zone(name: str | None) -> None:
    """Raises ValueError unless `name` is a time zone of the IANA database, or None."""
    if name is None:
        return
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        raise ValueError(f"time_zone {name!r} is not in the IANA database, such as Asia/Shanghai") from error


def remarks(charset: str | None, time_zone: str | None, institution: str | None) -> dict[str, str]:
    """The settings that are set, under the names the hub knows them by."""
    told = {"charset": charset, "time_zone": time_zone, "institution": institution}
    return {name: value for name, value in told.items() if value}


@dataclass(frozen=True, slots=True)
class DicomTls:
    """TLS for the DICOM listener, PS3.15 B.12 (BCP 195)."""

    certificate: Path
    key: Path
    client_ca: Path | None = None  # set: senders must show a certificate of this CA


@dataclass(frozen=True, slots=True)
class NodeTls:
    """TLS to a DICOM node that we call, PS3.15 B.12 (BCP 195)."""

    ca: Path  # whose certificate the node must show, or that certificate itself
    certificate: Path | None = None  # ours, for a node that asks for one
    key: Path | None = None
    check_name: bool = True  # false: any certificate of that CA will do, whatever host it names

    def __post_init__(self) -> None:
        """A certificate is of no use without its key."""
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together")


class Committed(Enum):
    """When storage commitment is given for an instance."""

    HUB = "hub"  # the hub's receipt is here
    SPOOL = "spool"  # it is durable on this edge


@dataclass(frozen=True, slots=True)
class Ingest:
    """The DICOM listener (C-ECHO, C-STORE, storage commitment and MPPS)."""

    host: str = "0.0.0.0"  # noqa: S104  # scanners are on other machines; the sender list guards it
    port: int = 11112
    ae_title: str = "TELERAD"
    open: bool = False  # true: accept any sender (the demo only)
    senders: tuple[Sender, ...] = ()
    tls: DicomTls | None = None
    accept_deflated: bool = False  # a deflate bomb unpacks a thousandfold
    max_associations: int = 50
    processes: int | None = None  # that receive; 0: threads of the edge's own; null: one a core
    commitment: Committed = Committed.HUB
    commitment_wait: Seconds = Seconds(60)  # for an instance that never came; then it is reported as failed
    commitment_deadline: Seconds = Seconds(7 * 86400)  # for one that is here and not at the hub
    secret: Path | None = None  # 32 random bytes, not on this disk; none: made anew on the RAM disk


@dataclass(frozen=True, slots=True)
class Stow:
    """STOW-RS for senders that speak the web instead of DIMSE. Its senders are those of ``ingest``."""

    host: str = "0.0.0.0"  # noqa: S104  # senders are on other machines; tokens and addresses guard it
    port: int = 8042
    open: bool = False  # true: accept anyone (demonstrations only)
    tls: DicomTls | None = None
    max_instance: Bytes = Bytes(1_000_000_000)  # held in memory until it is sealed
    max_requests: int = 4
    idle_timeout: Seconds = Seconds(60)


class After(Enum):
    """What becomes of a file whose instance is durable here."""

    MOVE = "move"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder into which a device or a program writes DICOM files."""

    path: Path
    name: str = "FOLDER"  # stands for the AE title
    priority: Priority = Priority.ROUTINE
    charset: str | None = None
    time_zone: str | None = None
    institution: str | None = None
    poll: Seconds = Seconds(5)
    stable: Seconds = Seconds(10)  # a file is whole when it has not changed for so long
    after: After = After.MOVE

    def __post_init__(self) -> None:
        """A time zone must be one."""
        checked_zone(self.time_zone)

    @property
    def remarks(self) -> dict[str, str]:
        """What the hub is told beside each instance from here."""
        return remarks(self.charset, self.time_zone, self.institution)


@dataclass(frozen=True, slots=True)
class OrderList:
    """The RIS's modality worklist, from which orders are chosen on the page."""

    host: str
    ae_title: str
    port: int = 104
    charset: str | None = None  # assumed where an answer declares none
    poll: Seconds = Seconds(60)
    days: int = 1  # before and after today
    tls: NodeTls | None = None


@dataclass(frozen=True, slots=True)
class Acquire:
    """The ways in beside the listener."""

    stow: Stow | None = None
    folders: tuple[Folder, ...] = ()
    media: tuple[Path, ...] = (Path("/media"), Path("/mnt"))  # what below may be imported from the page
    worklist: OrderList | None = None
    upload: Bytes = Bytes(500_000_000)  # of all files of one upload on the page


@dataclass(frozen=True, slots=True)
class Spool:
    """Where instances wait, encrypted to the hub."""

    reserve: Bytes = Bytes(2_000_000_000)  # free disk kept for receipts, logs and the hospital
    keep_confirmed: Seconds = Seconds(48 * 3600)  # sealed bodies the hub has signed for; 0s: none is kept
    digest: Taken = Taken.BLAKE3  # of a dataset while it comes
    ahead: Bytes = Bytes(2_000_000_000)  # of the disk, written before images come


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

    streams: int = 16  # at most; as many are used as fill the line
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
    tls: NodeTls | None = None  # dicom

    def __post_init__(self) -> None:
        """A folder needs a path; the others an address."""
        if self.kind is DestinationKind.FOLDER and self.path is None:
            raise ValueError("a folder destination needs path")
        if self.kind is not DestinationKind.FOLDER and (self.host is None or self.port is None):
            raise ValueError(f"a {self.kind.value} destination needs host and port")
        if self.kind is DestinationKind.DICOM and self.ae_title is None:
            raise ValueError("a dicom destination needs ae_title")
        if self.kind is not DestinationKind.DICOM and self.tls is not None:
            raise ValueError(f"a {self.kind.value} destination has no tls")


@dataclass(frozen=True, slots=True)
class Downlink:
    """Reports on their way back."""

    poll: Seconds = Seconds(20)  # long-poll: the hub answers at once when there is something
    retry_first: Seconds = Seconds(2)
    retry_cap: Seconds = Seconds(300)


@dataclass(frozen=True, slots=True)
class Messages:
    """Words between technician and reader."""

    poll: Seconds = Seconds(240)  # long-poll: the hub answers at once when there is something
    retry_first: Seconds = Seconds(2)
    retry_cap: Seconds = Seconds(60)


@dataclass(frozen=True, slots=True)
class Console:
    """The edge's own web page, for the technician."""

    host: str = "127.0.0.1"
    port: int = 8081
    passcode: Path | None = None  # a file with a pass-code, asked for once a browser; null: none
    names: tuple[str, ...] = ()  # host names browsers use for this machine, besides its own


@dataclass(frozen=True, slots=True)
class EdgeConfig:
    """One edge appliance. What the hub told it at enrolment lies in ``data/identity``, not here."""

    data: Path
    suites: tuple[str, ...] = (HYBRID, P256)  # may be sealed with; the first that the hub offers is
    ingest: Ingest = field(default_factory=Ingest)
    acquire: Acquire = field(default_factory=Acquire)
    spool: Spool = field(default_factory=Spool)
    uplink: Uplink = field(default_factory=Uplink)
    downlink: Downlink = field(default_factory=Downlink)
    destinations: tuple[Destination, ...] = ()
    messages: Messages = field(default_factory=Messages)
    console: Console = field(default_factory=Console)

    def __post_init__(self) -> None:
        """Suites must be known, and some."""
        check_suites(self.suites)
