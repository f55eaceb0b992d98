"""Scanners: dcmtk's ``storescu`` where it is installed, else pynetdicom."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from gateway.demo import modality
from gateway.errors import Unavailable, UsageError

PDU = 131072
"""Bytes of a P-DATA PDU asked for, the largest dcmtk knows."""
SENDERS = ("storescu", "pynetdicom")


def chosen(wanted: str | None) -> str:
    """The sender to use.

    Raises:
        UsageError: it is not installed.
    """
    if wanted == "storescu" and not shutil.which("storescu"):
        raise UsageError(
            "storescu is not installed (on Debian: apt install dcmtk); or use --sender pynetdicom"
        )
    return wanted or ("storescu" if shutil.which("storescu") else "pynetdicom")


def environment() -> dict[str, str]:
    """For dcmtk and Orthanc, which crawl at 17 instances a second without ``TCP_NODELAY=1``."""
    return {**os.environ, "TCP_NODELAY": "1"}


def store(
    sender: str, folders: Sequence[Path], host: str, port: int, called: str, calling: str = "BENCH"
) -> None:
    """Send all files below `folders`, one association a folder, at the same time.

    Raises:
        Unavailable: one was not answered with success.
    """
    if sender == "storescu":
        _storescu(folders, host, port, called, calling)
    else:
        _pynetdicom(folders, host, port, called, calling)


def _storescu(folders: Sequence[Path], host: str, port: int, called: str, calling: str) -> None:
    command = ["storescu", "-R", "-aet", calling, "-aec", called, "--max-pdu", str(PDU)]
    command += ["--max-send-pdu", str(PDU), "+sd", "+r", host, str(port)]
    running = [
        subprocess.Popen(
            [*command, str(folder)],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for folder in folders
    ]
    try:
        said = [process.communicate()[0] for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    for process, words in zip(running, said, strict=True):
        if process.returncode != 0:
            raise Unavailable(f"storescu to {host}:{port} failed: {words.strip()[-500:]}")


def _pynetdicom(folders: Sequence[Path], host: str, port: int, called: str, calling: str) -> None:
    failures: list[str] = []

    def one(folder: Path) -> None:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        samples, _ = modality.read_samples(files)
        try:
            answers = modality.send(samples, host, port, called, lambda _: None, calling=calling)
        except Unavailable as error:
            failures.append(str(error))
        else:
            failures.extend(f"{a.sample.path.name}: {a.status}" for a in answers if not a.taken)

    threads = [threading.Thread(target=one, args=(folder,)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise Unavailable(f"C-STORE to {host}:{port} failed: {'; '.join(failures[:3])}")
