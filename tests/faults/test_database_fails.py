"""A database that fails ends the hub and the edge, with a sentence that says what to do and no trace of calls."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from edge.enroll import enroll
from gateway.clock import SystemClock
from gateway.dicom import transfer
from gateway.errors import Unavailable
from hub.people import Role
from tests.doubles.datasets import encode, sample
from tests.doubles.lines import enrolled, line_hub
from tests.doubles.listeners import ExactSender
from tests.doubles.portal_hub import portal_hub
from tests.doubles.ports import free_ports
from tests.doubles.small_hub import small_hub
from tests.journeys.conftest import environment

END_SECONDS = 30
CT = "1.2.840.10008.5.1.4.1.1.2"
BASE = {"hub": Path("hub/hub.db"), "edge": Path("edge/spool/index.sqlite")}
ON_FULL = """
set -e
mv "$0" "$0.source"
mkdir "$0"
mount -t tmpfs -o size=$(($(du -sk "$0.source" | cut -f1) + 2000))k none "$0"
cp -a "$0.source/." "$0"
set +e
dd if=/dev/zero of="$0/fill" bs=4k 2>/dev/null
exec "$@"
"""
"""Runs the rest in a mount namespace of its own, where the folder lies on a full disk."""
NOT_ONE, IO, MALFORMED = "file is not a database", "disk I/O error", "database disk image is malformed"
KEEPERS: dict[int, subprocess.Popen[bytes]] = {}
OF_EDGE = "at the next start it is made anew from the files beside it"


async def _enrolled(folder: Path) -> None:
    async with small_hub(folder) as hub:
        await enroll(await hub.invitation(), folder / "edge", SystemClock())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub and an edge of it, each with a database that was used."""
    folder = tmp_path_factory.mktemp("made")
    asyncio.run(_enrolled(folder))
    (folder / "rules.yaml").write_text("rules: []\ndefault: {group: neuro, deadline: 1h}\n")
    place(folder)
    with running(folder, "edge") as edge:
        edge.send_signal(signal.SIGTERM)
        assert edge.wait(END_SECONDS) == 0, said(folder, "edge")
    return folder


def place(folder: Path) -> None:
    """Configuration files with ports that nobody has."""
    web, line, dicom, console = free_ports(4)
    (folder / "hub.yaml").write_text(
        f"data: hub\npki: pki\nrules: rules.yaml\nstorage: {{reserve: 0}}\n"
        f'web: {{host: 127.0.0.1, port: {web}, url: "https://localhost:{web}"}}\n'
        f'line: {{host: 127.0.0.1, port: {line}, url: "https://localhost:{line}"}}\n'
    )
    (folder / "edge.yaml").write_text(
        f"data: edge\ningest: {{host: 127.0.0.1, port: {dicom}, open: true}}\nspool: {{reserve: 0}}\n"
        f"console: {{port: {console}}}\n"
    )


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(
        made, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.seg")
    )  # nothing is in them
    place(tmp_path)
    return tmp_path


def port_of(folder: Path, end: str) -> int:
    found = re.search(r"(?:line: .*?|console: .)port: (\d+)", (folder / f"{end}.yaml").read_text())
    assert found is not None
    return int(found[1])


def command(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "gateway.cli", *words, "-c", str(folder / f"{words[0]}.yaml")]


def started(folder: Path, end: str, before: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
    """What it says goes through a pipe, as to systemd: its own disk may fail."""
    with (folder / f"{end}.log").open("wb") as log:
        keeper = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=log)
    assert keeper.stdin is not None
    with keeper.stdin:
        process = subprocess.Popen(
            [*before, *command(folder, end, "run")],
            stdout=keeper.stdin,
            stderr=keeper.stdin,
            env=environment(),
        )
    KEEPERS[process.pid] = keeper
    return process


@contextmanager
def running(folder: Path, end: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program that answers."""
    process = started(folder, end)
    try:
        until = time.monotonic() + END_SECONDS
        while time.monotonic() < until and process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port_of(folder, end)), timeout=1):
                break
            time.sleep(0.1)
        assert process.poll() is None, said(folder, end)
        yield process
    finally:
        process.kill()
        process.wait()
        KEEPERS[process.pid].wait()


def modality(folder: Path) -> ExactSender:
    found = re.search(r"ingest: .*?port: (\d+)", (folder / "edge.yaml").read_text())
    assert found is not None
    return ExactSender(int(found[1]), [(CT, transfer.EXPLICIT_LITTLE)])


def send(sender: ExactSender, number: int) -> int:
    data = encode(sample(os.urandom(1024), instance=f"2.25.1.{number}"))
    return sender.send(CT, f"2.25.1.{number}", transfer.EXPLICIT_LITTLE, data)


def said(folder: Path, end: str) -> str:
    return (folder / f"{end}.log").read_text()


def ended(process: subprocess.Popen[bytes], folder: Path, end: str) -> str:
    """Its last line; it ended in order, and told nobody of its own calls."""
    assert process.wait(END_SECONDS) == 1, said(folder, end)
    KEEPERS[process.pid].wait(END_SECONDS)
    assert "Traceback" not in said(folder, end)
    last = said(folder, end).strip().splitlines()[-1]
    assert last.startswith("telerad: "), said(folder, end)
    return last


def garbage(file: Path) -> None:
    file.write_bytes(b"no database at all " * 1000)


def torn(file: Path) -> None:
    """Half of its pages are gone."""
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size // 8192 * 4096)


def folder_instead(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("end", BASE)
@pytest.mark.parametrize(
    ("harm", "words", "remedy"),
    [
        (garbage, NOT_ONE, "look at its disk"),
        (torn, MALFORMED, "look at its disk"),
        (folder_instead, "unable to open database file", "belongs to this program's user"),
    ],
)
def test_it_does_not_start(
    folder: Path, end: str, harm: Callable[[Path], None], words: str, remedy: str
) -> None:
    harm(folder / BASE[end])
    last = ended(started(folder, end), folder, end)
    assert str(folder / BASE[end]) in last
    assert words in last
    assert remedy in last


def test_the_hub_ends_when_the_kernel_no_longer_writes(folder: Path) -> None:
    with running(folder, "hub") as process:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1, 1))
        last = ended(process, folder, "hub")
    assert f"{folder / BASE['hub']} cannot be read or written ({IO})" in last
    assert "system log, SMART, cables" in last


def test_the_edge_ends_when_the_kernel_no_longer_writes(folder: Path) -> None:
    """Not before something came: what receives is another process, and its segments can be written."""
    with running(folder, "edge") as process:
        sender = modality(folder)
        assert send(sender, 1) == 0
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1, 1))
        assert send(sender, 2) == 0
        sender.release()
        last = ended(process, folder, "edge")
    assert f"{folder / BASE['edge']} cannot be read or written ({IO})" in last
    assert "system log, SMART, cables" in last


@pytest.mark.parametrize("end", BASE)
def test_it_does_not_start_on_a_disk_without_room(folder: Path, end: str) -> None:
    may = subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
    )
    if may.returncode != 0:
        pytest.skip("nothing can be mounted here")
    last = ended(started(folder, end, ("unshare", "-m", "sh", "-c", ON_FULL, str(folder / end))), folder, end)
    assert "room" in last
    assert str(folder / end) in last


def test_an_index_that_was_moved_aside_as_told_is_made_anew(folder: Path) -> None:
    garbage(folder / BASE["edge"])
    assert OF_EDGE in ended(started(folder, "edge"), folder, "edge")
    for name in ("", "-wal", "-shm"):
        (folder / f"{BASE['edge']}{name}").unlink(missing_ok=True)
    with running(folder, "edge") as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(END_SECONDS) == 0


def test_a_command_says_it_as_plainly(folder: Path) -> None:
    garbage(folder / BASE["hub"])
    done = subprocess.run(
        command(folder, "hub", "study", "list"),
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("telerad: the database is damaged (file is not a database): ")
    assert len(done.stderr.splitlines()) == 1


def hurt(folder: Path) -> None:
    """In place: under the program that runs on it."""
    for name in ("", "-wal"):
        garbage(folder / f"{BASE['hub']}{name}")


async def test_who_asks_a_hub_whose_database_fails_is_asked_to_come_again(tmp_path: Path, caplog) -> None:
    async with line_hub(tmp_path) as hub, enrolled(hub, tmp_path / "edge") as edge:
        await hub.small.database.close()
        hurt(tmp_path)
        with pytest.raises(Unavailable, match="the hub's disk or database fails; tell its administrator"):
            await edge.read("GET", "/v1/keys")
    assert "Traceback" not in caplog.text


async def test_a_person_whose_request_fails_with_the_database_is_told(tmp_path: Path, caplog) -> None:
    async with portal_hub(tmp_path) as portal:
        await portal.hub.account("ida", Role.ADMIN)
        ida = await portal.logged_in("ida")
        await portal.hub.database.close()
        garbage(tmp_path / "hub.db")
        (tmp_path / "hub.db-wal").unlink(missing_ok=True)
        status, told = await ida.call("GET", "/api/admin/alerts")
        assert (status, told["error"]["code"]) == (503, "unavailable")
        assert "disk or database fails" in told["error"]["message"]
        assert str(tmp_path) not in told["error"]["message"]
    assert "Traceback" not in caplog.text
