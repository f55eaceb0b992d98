"""What people do to a running demo: stop one process alone, take its ports, end it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.demo.layout import free_base
from tests.journeys.conftest import environment

DEMO = [sys.executable, "-m", "gateway.cli", "demo", "--headless"]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def until(holds: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.slow
def test_one_process_ends_alone_and_the_end_leaves_none_behind(tmp_path: Path) -> None:
    said = tmp_path / "said"
    base = free_base("127.0.0.1", 31000, 1)
    command = [*DEMO, "--dir", str(tmp_path / "d"), "--no-study", "--port-base", str(base)]
    with said.open("wb") as out:
        demo = subprocess.Popen(
            [
                "sh",
                "-c",
                'trap "" INT; exec "$@"',
                "sh",
                *command,
            ],  # deaf to SIGINT, as a shell's `&` makes it
            stdout=out,
            stderr=out,
            env=environment(),
            start_new_session=True,
        )
    try:
        until(lambda: "Ctrl-C" in said.read_text(), 120)
        described = json.loads((tmp_path / "d" / "demo.json").read_text())
        hub, edge = described["hub"]["pid"], described["edges"][0]["pid"]

        second = subprocess.run(
            command, check=False, capture_output=True, text=True, env=environment(), timeout=60
        )
        assert second.returncode == 2
        assert f"127.0.0.1:{base}" in second.stderr
        assert "Traceback" not in second.stderr

        os.kill(edge, signal.SIGTERM)
        until(lambda: "H001 has ended" in said.read_text(), 30)
        assert demo.poll() is None
        assert is_running(hub)

        demo.send_signal(signal.SIGINT)
        assert demo.wait(30) == 0
        until(lambda: not is_running(hub), 5)
    finally:
        demo.terminate()
        demo.wait(30)


def test_a_folder_made_for_other_ports_is_told(tmp_path: Path) -> None:
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki" / "root.pem").write_text("")
    (tmp_path / "hub.yaml").write_text('web: {url: "https://127.0.0.1:1"}\n')
    command = [*DEMO, "--dir", str(tmp_path), "--port-base", str(free_base("127.0.0.1", 32000, 1))]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment(), timeout=60)
    assert done.returncode == 2
    assert "was written for other addresses" in done.stderr


def test_a_taken_port_is_told_before_anything_is_written(tmp_path: Path) -> None:
    base = free_base("127.0.0.1", 33000, 1)
    with socket.create_server(("127.0.0.1", base + 12)):
        command = [*DEMO, "--dir", str(tmp_path / "d"), "--port-base", str(base)]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, env=environment(), timeout=60
        )
    assert done.returncode == 2
    assert f"127.0.0.1:{base + 12} cannot be listened on" in done.stderr
    assert not (tmp_path / "d").exists()
