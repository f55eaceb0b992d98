"""Memory of a process and of all processes below it, as Linux tells it (proc(5)). All figures are bytes.

An edge takes datasets in acceptor processes, its children, so what its own process holds says little. Three
questions, each for all of them together:

- `held`: what they hold now: the sum of their proportional shares (Pss in ``smaps_rollup``), in which a page
  that several share counts once. Where one may not be read, that process' resident set (VmRSS in ``status``),
  which counts shared pages in full. Pss walks the page tables: 1 ms for each 100 MB, in which the process
  cannot map anything. So ask once or twice a second, not more.
- `peak`: the most that each has held since it began (VmHWM), summed. At least what they held together at any
  one time, and more where their peaks were at different times or pages are shared.
- `Rise`: how much more than at a certain moment each has held since, summed.

Nobody can tell of a process that came and went between two looks.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
FORGET_PEAK = b"5"
"""To ``clear_refs``: VmHWM begins anew at what is resident now."""


def family(pid: int | None) -> list[int]:
    """The process, if it is there, and all that are below it; none for None."""
    if pid is None or not (PROC / str(pid)).is_dir():
        return []
    found = [pid]
    with suppress(OSError):
        for task in (PROC / str(pid) / "task").iterdir():
            with suppress(OSError):  # this thread has ended, the others have not
                for child in (task / "children").read_text().split():
                    found += family(int(child))
    return found


def held(pid: int | None) -> int:
    """What a process and all below it hold now; 0: there is none."""
    return sum(_told(one, "smaps_rollup", "Pss") or _told(one, "status", "VmRSS") for one in family(pid))


def peak(pid: int | None) -> int:
    """The most that a process and all below it have held, each at its own peak; 0: there is none."""
    return sum(_peaks(pid).values())


class Rise:
    """How much more memory a process and all below it have held since this was made.

    Each counts by its own peak since then, above what it held then: peaks from before are forgotten, else the
    start's could hide what comes. Only where the system does not let us (``clear_refs`` is its user's) it is
    what exceeds them. A process that is new counts in full, one that has ended with what was last seen of it.

    Args:
        pid: the process; None: there is none.
    """

    def __init__(self, pid: int | None) -> None:
        self._pid = pid
        for one in family(pid):
            with suppress(OSError):
                (PROC / str(one) / "clear_refs").write_bytes(FORGET_PEAK)
        self._before = _peaks(pid)
        self._seen = dict(self._before)

    def by_process(self) -> dict[int, int]:
        """Bytes that each process has added until now."""
        self._seen |= _peaks(self._pid)
        return {one: max(0, most - self._before.get(one, 0)) for one, most in self._seen.items()}

    def now(self) -> int:
        """Bytes that all have added until now."""
        return sum(self.by_process().values())


def _peaks(pid: int | None) -> dict[int, int]:
    return {one: _told(one, "status", "VmHWM") for one in family(pid)}


def _told(pid: int, file: str, word: str) -> int:
    """A line ``word: N kB`` of one of the process' files, in bytes; 0: it has ended, or that is not told."""
    with suppress(OSError):
        for line in (PROC / str(pid) / file).read_text().splitlines():
            if line.startswith(f"{word}:"):
                return int(line.split()[1]) << 10
    return 0
