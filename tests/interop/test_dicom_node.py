"""RIS and PACS called with DICOM TLS (PS3.15 B.12): dcmtk's and pynetdicom's servers, and what is told if it fails."""

from __future__ import annotations

import asyncio
import gc
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pynetdicom import AE

from edge.acquire.worklist import Worklist
from edge.checks import pacs as pacs_checked
from edge.checks import worklist as checked
from edge.config import Destination, DestinationKind, NodeTls, OrderList
from edge.console.told import told
from edge.dicom_node import ALERTS, Node, associate
from edge.downlink.deliver import deliveries_of
from gateway.clock import SystemClock
from gateway.doctor import Level
from gateway.errors import Unavailable
from tests.doubles.delivery import verified
from tests.doubles.hospital_pki import hospital_pki
from tests.doubles.ports import free_ports
from tests.doubles.ris import order, ris

# pynetdicom leaves the socket of a connection that failed to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
needs_dcmtk = pytest.mark.skipif(shutil.which("storescp") is None, reason="dcmtk is not installed")
ECHO = "1.2.840.10008.1.1"


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """What pynetdicom leaves to the collector is collected here, and not in the next module's tests."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hospital_pki(tmp_path_factory.mktemp("node"), "edge", "unnamed", "named", "old")


def served(pki: Path, name: str, *, asks: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / f"{name}.pem", pki / f"{name}.key")
    if asks:
        context.load_verify_locations(pki / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def ours(pki: Path, who: str | None = None, *, ca: str = "ca", check_name: bool = True) -> NodeTls:
    files = (None, None) if who is None else (pki / f"{who}.pem", pki / f"{who}.key")
    return NodeTls(pki / f"{ca}.pem", *files, check_name=check_name)


def asked(port: int, tls: NodeTls | None) -> Worklist:
    found = Worklist(OrderList("127.0.0.1", "RIS", port, tls=tls), "EDGE", SystemClock())
    found.look()
    return found


@pytest.mark.parametrize(
    ("name", "asks", "who", "check_name"),
    [("named", False, None, True), ("named", True, "edge", True), ("unnamed", True, "edge", False)],
)
def test_orders_are_heard_over_tls(
    pki: Path, name: str, asks: bool, who: str | None, check_name: bool
) -> None:
    with ris([order(1), order(2)], tls=served(pki, name, asks=asks)) as port:
        found = asked(port, ours(pki, who, check_name=check_name))
        seen = checked(OrderList("127.0.0.1", "RIS", port, tls=ours(pki, who, check_name=check_name)), "EDGE")
    assert found.fault == ""
    assert [one.patient_id for one in found.orders()] == ["P-1", "P-2"]
    assert (seen.level, seen.words) == (
        Level.GOOD,
        f"RIS at 127.0.0.1:{port} answers; orders around today: 2",
    )


CASES = [
    ("named", False, "plain", "it speaks TLS there: set tls"),
    ("stranger", False, "none", "its certificate is not by tls.ca"),
    ("unnamed", False, "none", "its certificate names another host"),
    ("old", False, "none", "certificate has expired (is this machine's clock right?)"),
    ("named", True, "none", "it asks for our certificate: set tls.certificate and tls.key"),
    ("named", True, "stranger", "it does not know the CA of our certificate"),
]


@pytest.mark.parametrize(("name", "asks", "who", "words"), CASES)
def test_why_a_ris_is_not_reached_over_tls(pki: Path, name: str, asks: bool, who: str, words: str) -> None:
    tls = None if who == "plain" else ours(pki, None if who == "none" else who)
    with ris([order(1)], tls=served(pki, name, asks=asks)) as port:
        fault = asked(port, tls).fault
        seen = checked(OrderList("127.0.0.1", "RIS", port, tls=tls), "EDGE")
    assert words in fault
    assert (seen.level, seen.words) == (Level.FAULT, fault)
    chinese = re.sub(r"RIS|TLS|CA|tls\.\w+|tls|false|key", "", told(fault, "zh"))
    assert not re.search("[A-Za-z]", chinese), told(fault, "zh")


def test_tls_to_a_port_without_it(pki: Path) -> None:
    with ris([order(1)]) as port:
        fault = asked(port, ours(pki)).fault
    assert "no TLS" in fault or "closed the connection" in fault


def test_files_that_cannot_be_used(pki: Path, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    missing = tmp_path / "none.pem"
    assert f"{missing} of tls cannot be read" in asked(port, NodeTls(missing)).fault
    mixed = NodeTls(pki / "ca.pem", pki / "edge.pem", pki / "named.key")
    assert "certificate and key of tls cannot be used" in asked(port, mixed).fault
    with pytest.raises(ValueError, match="belong together"):
        NodeTls(missing, certificate=missing)


@pytest.mark.parametrize("words", ALERTS.values())
def test_what_openssl_says_has_chinese(words: str) -> None:
    shown = told(f"RIS at 10.0.0.5:104 cannot be reached: no TLS connection: {words}", "zh")
    assert not re.search("[A-Za-z]", re.sub(r"RIS|TLS|CA|tls\.\w+", "", shown)), shown


@contextmanager
def running(*command: str) -> Iterator[None]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            yield
        finally:
            server.kill()


def echo(port: int, tls: NodeTls | None, title: str = "PACS", seconds: float = 10) -> int:
    """The status of a C-ECHO; the server may still be starting."""
    entity = AE("EDGE")
    entity.add_requested_context(ECHO)
    until = time.monotonic() + seconds
    while True:
        try:
            association = associate(entity, Node("127.0.0.1", port, title, tls))
        except Unavailable as error:
            starting = "nothing listens" in str(error) or str(error).endswith("cannot be reached")
            if not starting or time.monotonic() > until:
                raise
            time.sleep(0.1)
            continue
        status = int(association.send_c_echo().Status)
        association.release()
        return status


@needs_dcmtk
def test_dcmtks_server_takes_our_tls_and_says_what_is_missing(pki: Path, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    files = ("+tls", str(pki / "named.key"), str(pki / "named.pem"), "+cf", str(pki / "ca.pem"))
    with running("storescp", *files, "--profile-bcp195-nd", "-od", str(tmp_path), str(port)):
        assert echo(port, ours(pki, "edge")) == 0
        with pytest.raises(Unavailable, match="it asks for our certificate"):
            echo(port, ours(pki))
        with pytest.raises(Unavailable, match=r"CA of our certificate|does not accept our certificate"):
            echo(port, ours(pki, "stranger"))
        with pytest.raises(Unavailable, match="it speaks TLS there: set tls"):
            echo(port, None)


@needs_dcmtk
async def test_reports_reach_a_pacs_over_tls(pki: Path, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    files = ("+tls", str(pki / "named.key"), str(pki / "named.pem"), "+cf", str(pki / "ca.pem"))
    with running("storescp", *files, "--profile-bcp195", "-od", str(tmp_path), str(port)):
        await asyncio.to_thread(echo, port, ours(pki, "edge"))
        config = Destination(
            "pacs", DestinationKind.DICOM, None, "127.0.0.1", port, "PACS", ours(pki, "edge")
        )
        (pacs,) = (
            one for one in deliveries_of((config,), tmp_path, "EDGE", SystemClock()) if one.name == "pacs"
        )
        told_us = await pacs.deliver(await verified())
        seen = await asyncio.to_thread(pacs_checked, config, "EDGE")
    assert (seen.level, seen.what) == (Level.GOOD, "pacs")
    assert seen.words.endswith("answers and takes Basic Text SR and Encapsulated PDF")
    assert told_us == "Basic Text SR stored (0x0000); Encapsulated PDF stored (0x0000)"
    with pytest.raises(ValueError, match="a hl7 destination has no tls"):
        Destination("ris", DestinationKind.HL7, None, "127.0.0.1", port, tls=ours(pki))


@contextmanager
def tls_before(port: int, context: ssl.SSLContext) -> Iterator[int]:
    """A TLS terminator in front of a server without TLS, as hospitals put one in front of an old RIS."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stop = threading.Event()
        listening.settimeout(0.2)

        def pump(source: socket.socket, target: socket.socket) -> None:
            try:
                while data := source.recv(65536):
                    target.sendall(data)
                target.shutdown(socket.SHUT_WR)
            except OSError:
                return

        def serve() -> None:
            while not stop.is_set():
                try:
                    connection, _ = listening.accept()
                except TimeoutError:
                    continue
                connection.settimeout(10)
                with (
                    context.wrap_socket(connection, server_side=True) as near,
                    socket.create_connection(("127.0.0.1", port), 10) as far,
                ):
                    back = threading.Thread(target=pump, args=(far, near))
                    back.start()
                    pump(near, far)
                    back.join()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(listening.getsockname()[1])
        finally:
            stop.set()
            thread.join()


@needs_dcmtk
def test_dcmtks_worklist_behind_a_tls_terminator(pki: Path, tmp_path: Path) -> None:
    (folder := tmp_path / "RIS").mkdir()
    (folder / "lockfile").touch()
    today = SystemClock().now().astimezone()
    dump = tmp_path / "one.dump"
    lines = ["(0010,0010) PN [One^Patient]", "(0010,0020) LO [P-9]", "(0040,0100) SQ"]
    lines += ["(fffe,e000) na", f"(0040,0002) DA [{today:%Y%m%d}]", "(fffe,e00d) na", "(fffe,e0dd) na"]
    dump.write_text("\n".join(lines))
    subprocess.run(["dump2dcm", str(dump), str(folder / "one.wl")], check=True, timeout=30)
    (port,) = free_ports(1)
    with (
        running("wlmscpfs", "-s", "-csk", "-dfr", "-dfp", str(tmp_path), str(port)),
        tls_before(port, served(pki, "named", asks=True)) as front,
    ):
        echo(port, None, "RIS")  # it runs
        found = asked(front, ours(pki, "edge"))
    assert found.fault == ""
    assert [one.patient_id for one in found.orders()] == ["P-9"]


@needs_dcmtk
def test_a_pacs_that_is_away_or_takes_no_reports_is_a_fault_for_the_doctor(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    config = Destination("Archive", DestinationKind.DICOM, None, "127.0.0.1", port, "PACS")
    away = pacs_checked(config, "EDGE")
    assert (away.what, away.level) == ("Archive", Level.FAULT)
    assert "nothing listens on that port" in away.words
    with ris([]) as port:
        images_alone = pacs_checked(replace(config, port=port), "EDGE")
    assert (images_alone.level, "PACS" in images_alone.words) == (Level.FAULT, True)
