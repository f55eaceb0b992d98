"""``telerad bench`` as its users run it, short: what arrived, what is durable, what is left behind. No milliseconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from gateway.bench.link import Wan, find_wan
from gateway.errors import UsageError
from tests.journeys.conftest import ROOT, environment

BENCH = [sys.executable, "-m", "gateway.cli", "bench"]


def bench(place: Path, *words: str) -> tuple[int, dict[str, Any], str]:
    """Run it below `place`; its exit code, its JSON, and what it said. Nothing of it may be left."""
    command = [*BENCH, *words, "--json", "--dir", str(place)]
    done = subprocess.run(
        command, cwd=place, env=environment(), capture_output=True, text=True, timeout=240, check=False
    )
    assert done.stdout, done.stderr
    assert_gone(place)
    return done.returncode, json.loads(done.stdout), done.stderr


def assert_gone(place: Path) -> None:
    """No folder and no process that was started in one."""
    assert list(place.glob("telerad-bench-*")) == []
    assert processes_of(place) == []


def processes_of(place: Path) -> list[str]:
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                words = (process / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
            except OSError:
                continue  # it has ended
            if f"{place}/telerad-bench-" in words:
                found.append(words)
    return found


def assert_arrived(told: dict[str, Any], said: str, plot: Path, count: int) -> dict[str, Any]:
    (result,) = told["results"]
    figures: dict[str, Any] = result["figures"]
    assert result["who"] == "telerad"
    assert figures["finished"] is True
    assert 0 < figures["first_image"] <= figures["seconds"] + 1
    assert figures["original"] > count * 512 * 512 * 2
    assert 0 < figures["coded"] < figures["original"] * 1.1
    for word in ("effective", "× limit", "1st image", "goal:"):
        assert word in said
    root = ET.parse(plot).getroot()
    assert root.tag.endswith("svg")
    return figures


@pytest.mark.slow
def test_a_line_over_loopback_ends_with_every_receipt_and_says_what_it_is(tmp_path: Path) -> None:
    code, told, said = bench(
        tmp_path, "line", "first", "--loopback", "--no-peers", "--instances", "4", "--sender", "pynetdicom"
    )
    assert code == 0
    assert "not simulated" in told["how"]
    figures = assert_arrived(told, said, tmp_path / "bench-line" / "first.svg", 4)
    assert figures["wire"] == 0
    assert figures["utilisation"] is None
    assert told["results"][0]["congestion"] == "bbr"


@pytest.mark.slow
def test_a_line_over_a_simulated_link_is_held_to_it(tmp_path: Path) -> None:
    program = simulator()
    code, told, said = bench(
        tmp_path,
        *("line", "first", "--wan", str(program), "--no-peers", "--instances", "4"),
        *("--rate", "8 Mbit", "--rtt", "60", "--congestion", "cubic"),
    )
    assert code == 0
    assert str(program) in told["how"]
    figures = assert_arrived(told, said, tmp_path / "bench-line" / "first.svg", 4)
    assert figures["wire"] > figures["coded"]
    assert figures["seconds"] >= figures["coded"] / 1e6
    assert figures["limit"] == pytest.approx(figures["coded"] / 1e6 + 0.06)
    assert 0 < figures["utilisation"] <= 1
    names = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    pids = {line.split()[0].removeprefix("tb")[:-2] for line in names.splitlines() if line.startswith("tb")}
    assert all(Path(f"/proc/{pid}").exists() for pid in pids), "a namespace was left behind"


def simulator() -> Path:
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    program = find_wan(None)
    if program is None:
        beside = ROOT.parent / "shared" / "tools" / "wan"
        if not beside.is_file():
            pytest.skip("the link simulator `wan` is not here")
        program = beside
    try:
        Wan(program).close()
    except UsageError as error:
        pytest.skip(f"the link simulator does not work here: {error}")
    return program


@pytest.mark.slow
def test_ingest_counts_what_is_durable(tmp_path: Path) -> None:
    code, told, said = bench(
        tmp_path,
        *("ingest", "--only-edge", "--instances", "6", "--rounds", "1", "--associations", "1", "2"),
        *("--hold", "20", "--indexed", "3000", "--big", "3MB"),
    )
    assert code == 0
    assert [(one["associations"], one["sent"], one["held"]) for one in told["rounds"]] == [
        (1, 6, 6),
        (2, 6, 6),
    ]
    assert all(one["resident"] > 1 << 20 and one["seconds"] > 0 for one in told["rounds"])
    assert told["held_after_kill"] == 6
    assert told["hold"]["held"] == 20 + 2 * 6
    assert told["big"]["held"] == 1
    assert told["indexed"]["rows"] == 3000
    assert all(rate > 0 for word in ("empty", "full") for rate in told["indexed"][word])
    assert "index with 3000 instances" in said
    for word in ("peak MB", "6/6 after kill -9", "goal < 64 MB"):
        assert word in said


@pytest.mark.slow
def test_scanners_may_stand_behind_a_wire(tmp_path: Path) -> None:
    words = ("--only-edge", "--instances", "40", "--rounds", "1", "--associations", "2")
    code, told, said = bench(tmp_path, "ingest", "--wire", "80 Mbit", "--wan", str(simulator()), *words)
    (one,) = told["rounds"]
    assert (code, one["sent"], one["held"], told["held_after_kill"]) == (0, 40, 40, 40)
    assert one["seconds"] > 40 * 525_000 * 8 / 80e6  # nothing is quicker than the wire
    assert "the wire filled to " in said


@pytest.mark.slow
def test_a_soak_is_counted_and_plotted(tmp_path: Path) -> None:
    plot = tmp_path / "plots" / "soak.svg"
    code, told, said = bench(tmp_path, "soak", "--instances", "200", "--plot", str(plot))
    assert (code, told["instances"], told["held"]) == (0, 200, 200)
    assert told["tenths"][-1]["instances"] == 200
    assert all(one["rate"] > 0 and one["memory"] > 1 << 20 for one in told["tenths"])
    assert "200 instances are there" in said
    assert "memory of the edge's processes, MB" in plot.read_text()


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [*BENCH, "line", "first", "--loopback", "--no-peers", "--dir", str(tmp_path)]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    end = time.monotonic() + 60
    while not processes_of(tmp_path) or not list(tmp_path.glob("telerad-bench-*/bed/logs/hub.log")):
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert_gone(tmp_path)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("line", "nowhere"), "no scenario nowhere"),
        (("line", "--rate", "0"), "--rate must be more than 0"),
        (("line", "--wan", "/nowhere/wan"), "no wan program"),
        (("ingest", "--rounds", "0"), "take 1 and more"),
    ],
)
def test_wrong_usage_is_told(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    done = subprocess.run(
        [*BENCH, *words, "--dir", str(tmp_path)],
        check=False,
        env=environment(),
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert told in done.stderr
    assert_gone(tmp_path)
