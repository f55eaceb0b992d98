"""The link between hospital and centre: two network namespaces joined by ``wan``, or this machine's loopback.

A thread enters a side with `inside`; the sockets, threads and processes it makes there belong to that
side, setns(2), so nothing that runs there has to know of the link.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from gateway.errors import UsageError

CLONE_NEWNET = 0x40000000
"""<sched.h>"""
CONGESTION = Path("/proc/sys/net/ipv4/tcp_congestion_control")
ALLOWED = CONGESTION.with_name("tcp_allowed_congestion_control")
NEAR_RATE = 1_000_000_000
"""Bits per second while nothing is measured."""
QUEUE = 256 << 10
"""Bytes the link queues before it drops, unless told otherwise."""


class Side(Enum):
    """An end of the link, by ``wan``'s letter."""

    EDGE = "a"
    HUB = "b"


@dataclass(frozen=True, slots=True)
class Shape:
    """How a link is.

    Attributes:
        rate: bits per second each way, IP headers counted.
        rtt: round trip in seconds.
        loss: part of the packets lost each way, 0 to 1.
        queue: bytes it queues before it drops.
    """

    rate: float = NEAR_RATE
    rtt: float = 0.0
    loss: float = 0.0
    queue: int = QUEUE


class Link(Protocol):
    """What joins the two sides."""

    @property
    def shaped(self) -> bool:
        """Whether rate, round trip and loss are those asked for."""

    def host(self, side: Side) -> str:
        """The address of a side."""

    def inside(self, side: Side) -> AbstractContextManager[None]:
        """Put the calling thread on a side while the block runs."""

    def shape(self, shape: Shape, congestion: str) -> None:
        """Change the link, and what TCP does unless a program asks for more."""

    def sent(self) -> int:
        """Bytes the edge has put on the link so far, headers and repeats included; 0 if nobody counts."""

    def close(self) -> None:
        """Take it down."""


class Loopback:
    """No link at all: both sides on 127.0.0.1, as fast as this machine."""

    shaped = False

    def host(self, side: Side) -> str:
        """127.0.0.1."""
        return "127.0.0.1"

    def inside(self, side: Side) -> AbstractContextManager[None]:
        """Nothing to enter."""
        return nullcontext()

    def shape(self, shape: Shape, congestion: str) -> None:
        """Nothing to change."""

    def sent(self) -> int:
        """Nobody counts."""
        return 0

    def close(self) -> None:
        """Nothing to take down."""


class Wan:
    """Two network namespaces joined by the ``wan`` program.

    Args:
        program: its path.

    Raises:
        UsageError: it cannot be used here; with its own words.
    """

    shaped = True

    def __init__(self, program: Path) -> None:
        self._program, self._name = program, f"tb{os.getpid()}"
        self._call("up", *_words(Shape()))
        self._allowed: str | None = None
        self._namespaces: dict[Side, int] = {}
        for side in Side:
            path = f"/run/netns/{self._name}-{side.value}"
            self._namespaces[side] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def host(self, side: Side) -> str:
        """As ``wan`` gives them."""
        return {Side.EDGE: "10.77.0.1", Side.HUB: "10.77.0.2"}[side]

    @contextmanager
    def inside(self, side: Side) -> Iterator[None]:
        """Enter the namespace; go back where the thread was at the end of the block."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(self._namespaces[side])
            try:
                yield
            finally:
                _enter(before)
        finally:
            os.close(before)

    def shape(self, shape: Shape, congestion: str) -> None:
        """Change the running link."""
        self._call("set", *_words(shape))
        self._allow(congestion)
        for side in Side:
            with self.inside(side):
                try:
                    CONGESTION.write_text(congestion)
                except OSError as error:
                    raise UsageError(f"this kernel has no TCP congestion control {congestion}") from error

    def _allow(self, congestion: str) -> None:
        """A namespace may only be set to what the whole machine allows everyone; `close` takes it back."""
        allowed = ALLOWED.read_text()
        if congestion not in allowed.split():
            if self._allowed is None:
                self._allowed = allowed
            with suppress(OSError):  # not known at all: told when it is set
                ALLOWED.write_text(f"{allowed.strip()} {congestion}")

    def sent(self) -> int:
        """What the link itself has counted from the edge's side."""
        stat = json.loads(self._call("stat"))
        return int(stat["a_to_b"]["bytes"])

    def close(self) -> None:
        """Take the link and both namespaces down."""
        if self._allowed is not None:
            ALLOWED.write_text(self._allowed)
        subprocess.run(self._words("down"), capture_output=True, check=False)
        for namespace in self._namespaces.values():
            os.close(namespace)

    def _words(self, *words: str) -> list[str]:
        return [sys.executable, str(self._program), "--name", self._name, *words]

    def _call(self, *words: str) -> str:
        done = subprocess.run(self._words(*words), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            reason = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no answer"]
            raise UsageError(f"{self._program}: {reason[0]}")
        return done.stdout


def received(dev: str = "/proc/thread-self/net/dev") -> int:
    """Bytes that have come out of the link on the calling thread's side, loopback left out."""
    lines = Path(dev).read_text().splitlines()[2:]
    return sum(int(line.split(":")[1].split()[0]) for line in lines if not line.strip().startswith("lo:"))


def _words(shape: Shape) -> list[str]:
    one_way = f"{shape.rtt / 2 * 1000:.3f}ms"
    words = ["--rate", f"{shape.rate:.0f}bit", "--delay", one_way, "--loss", f"{shape.loss * 100:.4f}%"]
    return [*words, "--queue", str(shape.queue)]


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def find_wan(given: Path | None) -> Path | None:
    """The ``wan`` program: as given, else ``$TELERAD_WAN``, else on PATH, else beside the checkout.

    Raises:
        UsageError: what was given is not there.
    """
    told = given or (Path(value) if (value := os.environ.get("TELERAD_WAN")) else None)
    if told is not None:
        if not told.is_file():
            raise UsageError(f"{told}: there is no wan program")
        return told
    beside = Path.cwd().parent / "shared" / "tools" / "wan"
    found = shutil.which("wan")
    return Path(found) if found else beside if beside.is_file() else None


def open_link(given: Path | None, *, loopback: bool = False) -> tuple[Link, str]:
    """A simulated link if this machine can have one, else loopback; and why.

    Args:
        given: path of the ``wan`` program, if the user named one.
        loopback: the user wants no link.

    Raises:
        UsageError: the user named a program that is not there.
    """
    if loopback:
        return Loopback(), "over loopback, as asked: rate, round trip and loss are not simulated"
    program = find_wan(given)
    if program is None:
        return Loopback(), (
            "over loopback: the link simulator `wan` was not found (--wan, $TELERAD_WAN, PATH); "
            "rate, round trip and loss are not simulated"
        )
    if os.geteuid() != 0:
        return Loopback(), (
            "over loopback: network namespaces need root; rate, round trip and loss are not simulated"
        )
    try:
        return Wan(program), f"over a link simulated by {program}"
    except UsageError as error:
        return Loopback(), f"over loopback: {error}; rate, round trip and loss are not simulated"
