"""What the demo writes: folders, certificates, configuration files, accounts, tokens. All by ``telerad``.

Everything goes through the commands an operator would type, so the demo proves those as well.
"""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from gateway import durable
from gateway.errors import UsageError

PORT_STEP = 10
"""Ports reserved for the hub and for each edge."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything listens."""

    hub_host: str
    edge_host: str
    port_base: int

    @property
    def hub_url(self) -> str:
        """Portal, DICOMweb and enrolment."""
        return f"https://{self.hub_host}:{self.port_base}"

    @property
    def line_url(self) -> str:
        """Where the edges connect."""
        return f"https://{self.hub_host}:{self.port_base + 1}"

    def edge_port(self, number: int, offset: int) -> int:
        """A port of edge `number` (from 1): 0 DICOM, 1 console, 2 hospital PACS, 3 hospital RIS."""
        return self.port_base + PORT_STEP * number + offset


@dataclass(frozen=True, slots=True)
class Person:
    """A made-up user of the demo."""

    name: str
    display: str
    role: str
    language: str
    groups: tuple[str, ...] = ()


PEOPLE = (
    Person("dr.meyer", "Dr. Anna Meyer", "reader", "en", ("neuro", "general")),
    Person("dr.li", "李伟医生", "reader", "zh", ("neuro", "general")),
    Person("dr.okafor", "Dr. Ngozi Okafor", "reader", "en", ("chest", "general")),
    Person("lead", "Dr. Sofia Petrova", "lead", "en", ("neuro", "chest", "general")),
    Person("admin", "Network administrator", "admin", "en"),
    Person("auditor", "Auditor", "auditor", "en"),
)


@dataclass(frozen=True, slots=True)
class Layout:
    """The demo's folder and what lies where in it."""

    folder: Path
    sites: tuple[str, ...]
    addresses: Addresses

    @property
    def hub_config(self) -> Path:
        """The hub's configuration file."""
        return self.folder / "hub.yaml"

    @property
    def ca(self) -> Path:
        """The private root certificate."""
        return self.folder / "pki" / "root.pem"

    def edge_config(self, site: str) -> Path:
        """An edge's configuration file."""
        return self.folder / site / "edge.yaml"

    def deliver_dir(self, site: str) -> Path:
        """Where an edge lays signed reports."""
        return self.folder / site / "reports"

    @property
    def description(self) -> Path:
        """The file scripts read."""
        return self.folder / "demo.json"

    @property
    def secrets_file(self) -> Path:
        """The demo's passwords, for this folder alone."""
        return self.folder / "passwords.json"


def telerad(*words: str | Path, stdin: str | None = None) -> str:
    """Run one ``telerad`` command and return what it printed.

    Raises:
        UsageError: it failed; the message carries its own words.
    """
    command = [sys.executable, "-m", "gateway.cli", "--log-level", "warning", *map(str, words)]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UsageError(f"telerad {' '.join(map(str, words))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def free_base(host: str, first: int, blocks: int) -> int:
    """The first base from `first` on, in steps of 100, whose ports are free on `host`."""
    for base in range(first, 65000 - PORT_STEP * (blocks + 1), 100):
        if all(
            _is_free(host, base + PORT_STEP * block + port)
            for block in range(blocks + 1)
            for port in range(4)
        ):
            return base
    raise UsageError("no free ports found; choose with --port-base")


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def expect_free(layout: Layout) -> None:
    """Look at every port before the first process is started.

    Raises:
        UsageError: one is taken, or cannot be.
    """
    at = layout.addresses
    wanted = [(at.hub_host, at.port_base + offset) for offset in range(2)]
    for number in range(1, len(layout.sites) + 1):
        wanted += [(at.edge_host, at.edge_port(number, offset)) for offset in range(4)]
    if at.port_base < 1 or wanted[-1][1] > 65535:
        raise UsageError(
            f"--port-base {at.port_base}: ports go from 1 to 65535, {PORT_STEP} for each process"
        )
    taken = [f"{host}:{port}" for host, port in wanted if not _is_free(host, port)]
    if taken:
        raise UsageError(
            f"{', '.join(taken)} cannot be listened on: another program is there (a demo that still runs?), "
            "or it is no address of this machine; stop that program, or choose another --dir and --port-base"
        )


def write_hub(layout: Layout) -> dict[str, str]:
    """Certificates, configuration, rules and accounts of the hub. Returns the passwords by user name."""
    durable.make_folder(layout.folder)
    if not layout.ca.exists():
        telerad("certs", "init", "--dir", layout.folder / "pki", "--organisation", "Telerad demo")
    _write_once(layout.folder / "rules.yaml", RULES)
    _write_once(layout.hub_config, _hub_yaml(layout))
    _expect_addresses(layout.hub_config, layout.addresses.hub_url)
    # The passwords come first, so that a run cut short leaves no account whose password nobody knows.
    if not layout.secrets_file.exists():
        fresh = {person.name: f"demo-{secrets.token_hex(8)}" for person in PEOPLE}
        durable.create(layout.secrets_file, json.dumps(fresh, indent=2).encode())
    passwords: dict[str, str] = json.loads(layout.secrets_file.read_text())
    accounts = json.loads(telerad("hub", "user", "list", "-c", layout.hub_config, "--json"))
    there = {account["name"] for account in accounts["users"]}
    for person in PEOPLE:
        if person.name not in there:
            _create_user(layout, person, passwords[person.name])
    return passwords


def _expect_addresses(config: Path, *wanted: str) -> None:
    text = config.read_text()
    if missing := [words for words in wanted if words not in text]:
        raise UsageError(
            f"{config} was written for other addresses (no {missing[0]} in it): leave out --port-base, "
            "--hub-host and --edge-host to use them, or choose another --dir"
        )


def _create_user(layout: Layout, person: Person, password: str) -> None:
    words: list[str | Path] = ["hub", "user", "create", "-c", layout.hub_config]
    words += ["--name", person.name, "--display", person.display, "--email", f"{person.name}@demo.invalid"]
    words += ["--role", person.role, "--language", person.language, "--password-stdin"]
    for group in person.groups:
        words += ["--group", group]
    telerad(*words, stdin=password + "\n")


def bearer_token(layout: Layout) -> str:
    """A token for DICOMweb clients."""
    answer = json.loads(
        telerad("hub", "bearer", "create", "-c", layout.hub_config, "--name", "demo", "--json")
    )
    return str(answer["token"])


def write_edge(layout: Layout, number: int, site: str, *, hospital: bool) -> None:
    """Configuration of one edge, with the hospital's PACS and RIS as destinations if `hospital`."""
    durable.make_folder(layout.edge_config(site).parent)
    _write_once(layout.edge_config(site), _edge_yaml(layout, number, site, hospital=hospital))
    at = layout.addresses
    ports = (str(at.edge_port(number, offset)) for offset in range(2))
    _expect_addresses(layout.edge_config(site), at.edge_host, *ports)


def enrol(layout: Layout, site: str) -> None:
    """Give an edge its certificate by a one-time token, unless it has one. The hub must be running."""
    if (layout.folder / site / "data" / "identity").exists():
        return
    token = json.loads(telerad("hub", "token", "create", "-c", layout.hub_config, "--site", site, "--json"))
    hub = ("--hub", layout.addresses.hub_url, "--token", token["token"], "--pin", token["pin"])
    telerad("edge", "enroll", "-c", layout.edge_config(site), *hub)


def describe(
    layout: Layout, passwords: dict[str, str], token: str, pids: dict[str, int | None]
) -> dict[str, object]:
    """Write and return ``demo.json``: what scripts need to know."""
    addresses = layout.addresses
    edges = [
        {
            "site": site,
            "ae_title": _ae_title(site),
            "dicom_host": addresses.edge_host,
            "dicom_port": addresses.edge_port(number, 0),
            "console": f"http://{addresses.edge_host}:{addresses.edge_port(number, 1)}",
            "config": str(layout.edge_config(site)),
            "pid": pids.get(site),
            "deliver_dir": str(layout.deliver_dir(site)),
            "mllp_port": None,  # the edge takes no orders yet
        }
        for number, site in enumerate(layout.sites, start=1)
    ]
    hub = {
        "url": addresses.hub_url,
        "dicomweb": f"{addresses.hub_url}/dicomweb",
        "ca": str(layout.ca),
        "config": str(layout.hub_config),
        "pid": pids.get("hub"),
        "token": token,
    }
    users = [{"name": p.name, "password": passwords[p.name], "role": p.role} for p in PEOPLE]
    description: dict[str, object] = {"hub": hub, "edges": edges, "users": users}
    durable.replace(layout.description, json.dumps(description, indent=2, ensure_ascii=False).encode())
    return description


def site_names(count: int) -> tuple[str, ...]:
    """The names H001, H002 and so on."""
    return tuple(f"H{number:03d}" for number in range(1, count + 1))


def _ae_title(site: str) -> str:
    return f"EDGE_{site}"


def _write_once(file: Path, text: str) -> None:
    """Leave a file that is there alone: the user may have edited it."""
    if not file.exists():
        durable.create(file, text.encode(), mode=0o644)


def _hub_yaml(layout: Layout) -> str:
    at = layout.addresses
    return f"""\
name: demo
data: hub
pki: pki
rules: rules.yaml
web: {{host: {at.hub_host}, port: {at.port_base}, url: "{at.hub_url}"}}
line: {{host: {at.hub_host}, port: {at.port_base + 1}, url: "{at.line_url}"}}
storage: {{reserve: 500 MB}}
settle: {{after_association: 2s, quiet: 20s}}
access: {{require_second_factor: false, idle: 8h, absolute: 12h}}
"""


def _edge_yaml(layout: Layout, number: int, site: str, *, hospital: bool) -> str:
    at = layout.addresses
    lines = [
        "data: data",
        (
            f"ingest: {{host: {at.edge_host}, port: {at.edge_port(number, 0)}, "
            f"ae_title: {_ae_title(site)}, open: true}}"
        ),
        "spool: {reserve: 500 MB, ahead: 256 MB}",
        f"console: {{host: {at.edge_host}, port: {at.edge_port(number, 1)}}}",
        "destinations:",
        "  - {name: reports folder, kind: folder, path: reports}",
    ]
    if hospital:
        pacs, ris = at.edge_port(number, 2), at.edge_port(number, 3)
        lines.append(f"  - {{name: PACS, kind: dicom, host: {at.edge_host}, port: {pacs}, ae_title: PACS}}")
        lines.append(f"  - {{name: RIS, kind: hl7, host: {at.edge_host}, port: {ris}}}")
    return "\n".join(lines) + "\n"


RULES = """\
# Which study goes to which readers. The first rule that matches decides.
# Check with:   telerad rules check rules.yaml
# Ask why with: telerad rules explain rules.yaml --fact modality=CT --fact body_part=HEAD
rules:
  - name: head CT and MR
    when:
      all:
        - modality: [CT, MR]
        - body_part: [HEAD, BRAIN, SKULL]
    then: {group: neuro, priority: urgent, deadline: 1h}
  - name: chest
    when: {body_part: [CHEST, LUNG, THORAX]}
    then: {group: chest, deadline: 6h}
default: {group: general, deadline: 24h}
"""
