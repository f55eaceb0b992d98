"""Decodes frames for `decoding`, in a process of its own: ``python -m edge.quality.decoder``.

Codestreams come from strangers, and decoders are large programs. Here they can reach no file and no network
that this process has open but the one socket, take no more memory and time than its limits, and take nobody
with them when they fall.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import struct
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import imagecodecs
import numpy as np

from edge.quality.coded import JPEG, JPEG_2000, JPEG_LS, JPEG_XL, LOSSLESS, RLE, Coded
from edge.quality.pixels import Statistic, statistic

HEAD = struct.Struct("<LL")
"""Bytes of the description and of the codestream; of an answer the first alone counts."""
MEMORY = 512 << 20
"""Bytes that a decoder may take beside what this process has."""
SECONDS = 10
"""Of the CPU, for one frame."""
NICE = 10


def decoded(coded: Coded) -> Any:
    """Its samples: rows by columns times samples. Raises RuntimeError or ValueError if it does not decode."""
    dtype = np.dtype(f"u{coded.allocated // 8}")
    decoders: dict[str, Callable[[bytes], Any]] = {
        JPEG: imagecodecs.jpeg8_decode,
        LOSSLESS: imagecodecs.ljpeg_decode,
        JPEG_LS: imagecodecs.jpegls_decode,
        JPEG_2000: lambda stream: imagecodecs.jpeg2k_decode(stream, numthreads=1),
        JPEG_XL: lambda stream: imagecodecs.jpegxl_decode(stream, numthreads=1),
        RLE: lambda stream: imagecodecs.dicomrle_decode(stream, dtype),
    }
    found = decoders[coded.codec](coded.stream)
    found = np.frombuffer(found, dtype) if coded.codec == RLE else np.asarray(found)
    if found.dtype.kind not in "iu":
        raise ValueError("samples that are no whole numbers")
    planes = coded.codec == RLE and coded.samples > 1  # one after the other
    if planes:
        found = np.moveaxis(found.reshape(coded.samples, coded.rows, coded.columns), 0, -1)
    values = found.reshape(coded.rows, coded.columns * coded.samples).astype(np.int32)
    values &= (1 << coded.stored) - 1
    if coded.signed:
        sign = 1 << (coded.stored - 1)
        values = (values ^ sign) - sign
    return values


def measured(coded: Coded) -> Statistic | None:
    """Of a frame; None: it does not decode to what is said of it."""
    if not coded.fits:
        return None
    try:
        values = decoded(coded)
    except (RuntimeError, ValueError, TypeError, MemoryError):
        return None
    return statistic(values, samples=coded.samples, stored=coded.stored, signed=coded.signed)


def _limit() -> None:
    """Little is allowed from now on."""
    pages = int(open("/proc/self/statm", "rb").read().split()[0])  # noqa: SIM115, PTH123  # read once
    for what, most in (
        (resource.RLIMIT_AS, pages * resource.getpagesize() + MEMORY),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    os.nice(NICE)


def main() -> None:
    """Answer until the edge's process closes the socket."""
    line = socket.socket(fileno=int(sys.argv[1]))
    _limit()
    with line.makefile("rb") as asked:
        while len(head := asked.read(HEAD.size)) == HEAD.size:
            described, length = HEAD.unpack(head)
            words = json.loads(asked.read(described))
            coded = Coded(**words, stream=asked.read(length))
            used = resource.getrusage(resource.RUSAGE_SELF)
            _, most = resource.getrlimit(resource.RLIMIT_CPU)
            resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + SECONDS, most))
            found = measured(coded)
            answer = json.dumps(found and asdict(found)).encode()
            line.sendall(HEAD.pack(len(answer), 0) + answer)


if __name__ == "__main__":
    main()
