"""A real Orthanc on loopback, in a folder of its own: an archive no one here wrote."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.doubles.ports import free_ports

START_SECONDS = 30
INSTALLED = shutil.which("Orthanc") is not None


@dataclass(frozen=True)
class Orthanc:
    """Its addresses, and its REST API."""

    http_port: int
    dicom_port: int

    def call(self, method: str, path: str, body: bytes | None = None) -> Any:
        """One REST request; its JSON."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", body, method=method)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.loads(response.read() or b"null")


@contextmanager
def running(folder: Path, *, modality: tuple[str, str, int] | None = None) -> Iterator[Orthanc]:
    """Run Orthanc while the block runs.

    Args:
        folder: for its storage and log.
        modality: AE title, host and port of the one peer it may send to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    http_port, dicom_port = free_ports(2)
    settings = {
        "Name": "test",
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "HttpPort": http_port,
        "DicomPort": dicom_port,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomModalities": {"edge": list(modality)} if modality else {},
        "DicomAlwaysAllowStore": True,
        "Plugins": [],
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(
            ["Orthanc", str(folder / "orthanc.json")],
            stdout=log,
            stderr=log,
            env={**os.environ, "TCP_NODELAY": "1"},
        )
    orthanc = Orthanc(http_port, dicom_port)
    try:
        _await_answer(orthanc, process, folder)
        yield orthanc
    finally:
        process.terminate()
        process.wait(20)


def _await_answer(orthanc: Orthanc, process: subprocess.Popen[bytes], folder: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        assert process.poll() is None, (folder / "orthanc.log").read_text()
        try:
            orthanc.call("GET", "/system")
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        else:
            return
    raise AssertionError((folder / "orthanc.log").read_text())
