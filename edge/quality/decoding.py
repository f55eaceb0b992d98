"""Has compressed frames measured by a process of its own (`decoder`), which is started when there is work."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import fields

from edge.quality.coded import Coded
from edge.quality.decoder import HEAD
from edge.quality.pixels import Statistic
from gateway.log import logger

SECONDS = 20.0
"""For one answer; the process limits itself to less of the CPU."""
IDLE_SECONDS = 30.0
"""Without work for so long, the process is ended: its memory is worth more to others."""
FALLS, REST_SECONDS = 3, 600.0
"""Having fallen so often in a row, it rests: somebody may send what makes it fall."""
ANSWER_MOST = 10_000

_SAID = tuple(one.name for one in fields(Coded) if one.name != "stream")

log = logger("edge.quality")


class Decoding:
    """For one thread; `close` for any."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._used = 0.0
        self._falls, self._rests_until = 0, 0.0
        self._closed = False

    def measure(self, coded: Coded, study_uid: str) -> Statistic | None:
        """Of one frame. Blocks, for seconds at most.

        Args:
            coded: the frame; one that does not fit what is said of it is not decoded.
            study_uid: for the log.

        Returns:
            None: it cannot be decoded here.
        """
        if self._closed or not coded.fits or time.monotonic() < self._rests_until:
            return None
        try:
            found = self._asked(coded)
        except (OSError, ValueError) as error:  # it fell, hangs, or says what makes no sense
            self._end()
            self._falls += 1
            log.warning("not decoded", study_uid=study_uid, codec=coded.codec, reason=str(error))
            if self._falls >= FALLS:
                self._falls, self._rests_until = 0, time.monotonic() + REST_SECONDS
            return None
        self._falls, self._used = 0, time.monotonic()
        return found

    def rest(self) -> None:
        """There is nothing to do now: end the process if that has been so for long."""
        if self._line is not None and time.monotonic() - self._used > IDLE_SECONDS:
            self._end()

    def close(self) -> None:
        """End the process, and start none again."""
        self._closed = True
        self._end()

    def _asked(self, coded: Coded) -> Statistic | None:
        """Raises OSError (so do time-outs) or ValueError."""
        line = self._line or self._start()
        words = json.dumps({name: getattr(coded, name) for name in _SAID}).encode()
        line.sendall(HEAD.pack(len(words), len(coded.stream)) + words)
        line.sendall(coded.stream)
        length, _ = HEAD.unpack(_exactly(line, HEAD.size))
        if length > ANSWER_MOST:
            raise ValueError("an answer that is too long")
        said = json.loads(_exactly(line, length))
        return None if said is None else Statistic(**said)

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.settimeout(SECONDS)
        command = [sys.executable, "-P", "-m", "edge.quality.decoder", str(theirs.fileno())]
        try:
            self._process = subprocess.Popen(  # our own program
                command,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # decoders write what they think there
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._line, self._used = ours, time.monotonic()
        return ours

    def _end(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()


def _exactly(line: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = line.recv(size - len(data))
        if not piece:
            raise ConnectionError("the decoder fell")
        data += piece
    return bytes(data)
