"""The disk and the budgets with the programs as they are installed: a hub and an edge that run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from tests.journeys.conftest import Stack, environment


def telerad(*words: object) -> dict:
    command = [sys.executable, "-m", "gateway.cli", *map(str, words), "--json"]
    done = subprocess.run(command, capture_output=True, env=environment(), check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def status(stack: Stack) -> dict:
    with urllib.request.urlopen(f"{stack.edge['console']}/status.json", timeout=5) as answer:
        return json.load(answer)


def until_fault(stack: Stack, wanted: str) -> None:
    until = time.monotonic() + 20
    while (fault := status(stack)["config_fault"]) != wanted and not (wanted and wanted in fault):
        assert time.monotonic() < until, stack.logs()
        time.sleep(0.2)


def test_a_disk_goes_to_the_running_hub_and_back(stack: Stack, tmp_path: Path) -> None:
    config = stack.edge["config"]
    assert telerad("edge", "export", "-c", config, "--to", tmp_path)["damaged"] == {}
    (told,) = telerad("hub", "import", "-c", stack.hub["config"], tmp_path).values()
    assert (told["refused"], told["missing"], told["listing"]) == ({}, [], "")
    assert telerad("edge", "import-receipts", "-c", config, tmp_path)["refused"] == {}


def test_budgets_change_while_it_runs(stack: Stack) -> None:
    file = Path(stack.edge["config"])
    before = file.read_text()
    assert "uplink:" not in before
    try:
        file.write_text(before + "\nuplink: {budget: [{rate: fast}]}\n")
        until_fault(stack, "budget[0].rate: must be a rate")
        assert status(stack)["budgets"] == []
        file.write_text(before + "\nuplink: {budget: [{rate: 0, priorities: [prior]}]}\n")
        until_fault(stack, "")
        assert [one["priority"] for one in status(stack)["budgets"]] == ["prior"]
    finally:
        file.write_text(before)
    until_fault(stack, "")
