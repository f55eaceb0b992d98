"""Which acceptor stands still, and what to do about it.

A process says ``alive`` every second. One of which nothing is heard for long is put out: killed, buried as
after any death, replaced. Two kinds of silence are not its fault:

- It waits in the kernel for a disk that does not answer (uninterruptible sleep, proc(5)). A signal would not
  reach it before the disk does, and the next one would wait for the same disk. It is left alone and told of,
  and its silence counts anew.
- The edge's own process did not run or did not listen (the machine was suspended, a container frozen, its own
  disk hung). So silence is counted in turns of this watch during which the edge listened; a turn counts for
  two seconds at most, however long it was.

Of a process that speaks, a thread may wait for the disk all the same: that is told of, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

TURN_SECONDS = 1.0
"""Between two looks, and between two signs of life."""
DOUBT_SECONDS = 3.0
"""Silent for so long, it is handed no more connections."""
SILENT_SECONDS = 15.0
"""Silent for so long, it is put out."""
START_SECONDS = 60.0
"""One that has not begun to serve has more time: a slow disk, a busy machine."""
DISK_SECONDS = 30.0
"""A thread that waits so long for one answer of the disk is told of."""
LOOK_SECONDS = 5.0
"""Between two looks at who waits for the disk."""
TOLD_SECONDS = 3600.0
"""For so long the page tells that one was put out."""

_PROC = Path("/proc")


class Pulse:
    """How long one process has been silent. The reader of its line calls two methods, the watch the others.

    Attributes:
        silence: seconds, as the watch counts them.
    """

    def __init__(self) -> None:
        self._heard, self._seen = 0, 0
        self._listening = False
        self.silence = 0.0

    def listen(self) -> None:
        """The reader waits for the next word."""
        self._listening = True

    def hear(self) -> None:
        """It has come; the reader is busy with it."""
        self._listening = False
        self._heard += 1

    def turn(self, seconds: float) -> float:
        """Another turn of the watch, after so many seconds. Returns the silence."""
        quiet = self._listening and self._heard == self._seen
        self._seen = self._heard
        self.silence = self.silence + min(seconds, 2 * TURN_SECONDS) if quiet else 0.0
        return self.silence

    def excuse(self) -> None:
        """It could not speak, and has its whole time again: also when what held it has just let it go."""
        self.silence = 0.0

    @property
    def doubtful(self) -> bool:
        """Whether it may stand still."""
        return self.silence >= DOUBT_SECONDS


class DiskWaits:
    """How long a process' threads have been in one uninterruptible sleep each.

    Args:
        pid: of the process.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._since: Mapping[int, tuple[int, float]] = {}

    def turn(self, now: float) -> float:
        """Look. Returns the seconds of the longest; 0: no thread sleeps so.

        Args:
            now: monotonic seconds.
        """
        before = self._since
        self._since = {
            thread: before[thread] if before.get(thread, (-1,))[0] == switches else (switches, now)
            for thread, switches in asleep(self._pid).items()
        }
        return max((now - since for _, since in self._since.values()), default=0.0)


def asleep(pid: int) -> dict[int, int]:
    """Threads in uninterruptible sleep, each with its sleeps so far: the same number, the same sleep.

    Empty where the kernel does not say.
    """
    found = {}
    for task in (_PROC / str(pid) / "task").glob("*"):
        with suppress(OSError):  # it has ended meanwhile
            state = (task / "stat").read_bytes().rpartition(b")")[2].split()[:1]
            if state == [b"D"]:
                found[int(task.name)] = _switches(task)
    return found


def _switches(task: Path) -> int:
    for line in (task / "status").read_bytes().splitlines():
        name, _, value = line.partition(b":")
        if name == b"voluntary_ctxt_switches":
            return int(value)
    return 0
