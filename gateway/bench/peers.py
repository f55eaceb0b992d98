"""The programs people use today: Orthanc and dcmtk's ``storescp``, each in a folder of its own."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.bench.senders import PDU, environment
from gateway.errors import Unavailable

START_SECONDS = 30.0
STOP_SECONDS = 20.0
ORTHANC_AE = "ORTHANC"


def orthanc_installed() -> bool:
    """Whether there is an Orthanc to compare with."""
    return shutil.which("Orthanc") is not None


@dataclass(frozen=True, slots=True)
class Orthanc:
    """A running Orthanc and its REST API; call from the side it runs on."""

    host: str
    http_port: int
    dicom_port: int
    pid: int

    def call(self, method: str, path: str, body: object = None, seconds: float = 60.0) -> Any:
        """One REST request; its JSON.

        Raises:
            Unavailable: no good answer within `seconds`.
        """
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        url = f"http://{self.host}:{self.http_port}{path}"
        request = urllib.request.Request(url, data, method=method)  # our own address
        try:
            with urllib.request.urlopen(request, timeout=seconds) as response:  # noqa: S310  # as above
                return json.loads(response.read() or b"null")
        except OSError as error:
            raise Unavailable(f"Orthanc: {method} {path}: {error}") from error

    def count(self) -> int:
        """Instances it holds."""
        return int(self.call("GET", "/statistics")["CountInstances"])

    def holds(self, study: str, count: int) -> bool:
        """Whether it has `count` instances of a study."""
        found = [one for one in self.call("POST", "/tools/lookup", study.encode()) if one["Type"] == "Study"]
        return bool(found) and len(self.call("GET", f"{found[0]['Path']}/instances")) >= count


@contextmanager
def orthanc(
    folder: Path, host: str, ports: tuple[int, int], more: dict[str, object] | None = None
) -> Iterator[Orthanc]:
    """Run Orthanc while the block runs.

    Args:
        folder: for its storage and log.
        host: it is told nothing of it, but is reached there.
        ports: of HTTP and of DICOM.
        more: settings over ours.

    Raises:
        Unavailable: it does not come up; with the end of its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings: dict[str, object] = {
        "Name": "bench",
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "HttpPort": ports[0],
        "DicomPort": ports[1],
        "DicomAet": ORTHANC_AE,
        "RemoteAccessAllowed": True,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "MaximumPduLength": PDU,
        "SyncStorageArea": True,
        "Plugins": [],
        **(more or {}),
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with _running(folder, ["Orthanc", str(folder / "orthanc.json")]) as process:
        running = Orthanc(host, *ports, process.pid)
        _await(folder, process, lambda: bool(running.call("GET", "/system", seconds=2)))
        yield running


@contextmanager
def storescp(folder: Path, host: str, port: int, *words: str) -> Iterator[int]:
    """Run dcmtk's ``storescp`` while the block runs; gives its process id."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["storescp", *words, "--max-pdu", str(PDU), "-od", str(folder), str(port)]
    with _running(folder.parent, command) as process:
        _await(folder.parent, process, lambda: _listens(host, port))
        yield process.pid


@contextmanager
def _running(folder: Path, command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "peer.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment(),
            start_new_session=True,  # Ctrl-C reaches the bench, which ends it
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(folder: Path, process: subprocess.Popen[bytes], answers: Any) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            if answers():
                return
        except Unavailable:
            pass
        time.sleep(0.05)
    tail = (folder / "peer.log").read_text(errors="replace")[-1000:]
    raise Unavailable(f"{Path(str(process.args[0])).name} did not come up:\n{tail}")  # type: ignore[index]  # a list, see above


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), 1):
            return True
    except OSError:
        return False
