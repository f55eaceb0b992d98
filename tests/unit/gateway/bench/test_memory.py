"""Memory of a process and of all below it: what a child takes is seen."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.bench import memory

MB = 1 << 20
SLACK = 15 * MB
"""What an interpreter may take beside what it is asked to."""
NOBODY = 2**22 + 1
"""No process has such a number (proc_sys_kernel(5), pid_max)."""

CHILD = """\
import sys
held = b""
for line in sys.stdin:
    held = b""
    held = b"x" * int(line)
    print("done", flush=True)
"""
"""Holds as many bytes as it was last told."""
PARENT = f"""\
import subprocess, sys
subprocess.run([sys.executable, "-c", {CHILD!r}])
"""


class Parent:
    """A process whose child does what it is told."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process, self.pid = process, process.pid

    def take(self, size: int) -> None:
        """Its child holds `size` bytes, and no others."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{size}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"


@contextmanager
def parent() -> Iterator[Parent]:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        found = Parent(process)
        found.take(1)
        yield found


def test_what_a_child_takes_is_seen() -> None:
    with parent() as one:
        assert len(memory.family(one.pid)) == 2
        held, peak, rise = memory.held(one.pid), memory.peak(one.pid), memory.Rise(one.pid)
        assert rise.now() < SLACK
        one.take(50 * MB)
        for more in (memory.held(one.pid) - held, memory.peak(one.pid) - peak, rise.now()):
            assert 50 * MB - SLACK < more < 50 * MB + SLACK
        above, below = rise.by_process().values()
        assert above < SLACK < below
        one.take(1)
        assert memory.held(one.pid) - held < SLACK, "it is given back"
        assert rise.now() > 50 * MB - SLACK, "it was there"


def test_an_earlier_peak_hides_no_rise() -> None:
    with parent() as one:
        one.take(90 * MB)
        one.take(1)
        rise = memory.Rise(one.pid)
        one.take(50 * MB)
        assert 50 * MB - SLACK < rise.now() < 50 * MB + SLACK


def test_what_has_ended_counts_as_it_was_last_seen() -> None:
    with parent() as one:
        rise = memory.Rise(one.pid)
        one.take(50 * MB)
        seen = rise.now()
    assert seen > 50 * MB - SLACK
    assert rise.now() == seen
    assert memory.family(one.pid) == []


def test_memory_of_nobody_is_nothing() -> None:
    for pid in (None, NOBODY):
        assert (memory.held(pid), memory.peak(pid), memory.Rise(pid).now()) == (0, 0, 0)
    assert 1 << 20 < memory.held(os.getpid()) < memory.peak(os.getpid()) * 1.1


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Process 7 with threads 7, 8 and 9, of which 8 has just ended; 9 has started process 10."""
    for pid, tasks in ((7, (7, 8, 9)), (10, (10,))):
        for task in tasks:
            (tmp_path / f"{pid}/task/{task}").mkdir(parents=True)
            if task != 8:
                (tmp_path / f"{pid}/task/{task}/children").write_text("10 " if task == 9 else "")
        (tmp_path / f"{pid}/status").write_text("Name:\tx\nVmHWM:\t  900 kB\nVmRSS:\t  800 kB\n")
        (tmp_path / f"{pid}/smaps_rollup").write_text(
            "0-1 ---p 0 00:00 0 [rollup]\nRss: 800 kB\nPss:  500 kB\nPss_Anon: 400 kB\n"
        )
    monkeypatch.setattr(memory, "PROC", tmp_path)
    return tmp_path


def test_a_thread_that_has_ended_hides_neither_process_nor_children(proc: Path) -> None:
    assert memory.family(7) == [7, 10]
    assert memory.peak(7) == 1800 << 10


def test_shared_pages_count_once_where_that_can_be_read(proc: Path) -> None:
    assert memory.held(7) == 1000 << 10
    (proc / "10/smaps_rollup").unlink()
    assert memory.held(7) == 1300 << 10


def test_where_peaks_cannot_be_forgotten_a_rise_is_above_them(proc: Path) -> None:
    (proc / "7/clear_refs").mkdir()  # cannot be written
    rise = memory.Rise(7)
    assert (proc / "10/clear_refs").read_bytes() == b"5"
    status = proc / "7/status"
    status.write_text(status.read_text().replace("900", "950"))
    assert rise.by_process() == {7: 50 << 10, 10: 0}
