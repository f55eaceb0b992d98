"""Makes the disk fail for an acceptor process that is started with this folder in PYTHONPATH.

With TELERAD_TEST_HANG, the path of a FIFO, each write past the cache waits, in uninterruptible sleep and with
the interpreter held, until somebody has opened that for writing: its parent sleeps so while a child of vfork(2)
has not begun its program. The file named by TELERAD_TEST_FAULT says how, and is read at every call that changes the disk: an errno, or
0 for a write in part, and the number of the call from which on it strikes, counted since the file changed.
"""

import io
import os
import sys

if "edge.ingest.acceptor" in sys.orig_argv and "TELERAD_TEST_HANG" in os.environ:
    real_pwritev = os.pwritev

    def hung(*args):
        wait = (os.POSIX_SPAWN_OPEN, 0, os.environ["TELERAD_TEST_HANG"], os.O_RDONLY, 0)
        os.waitpid(os.posix_spawn("/bin/true", ["true"], {}, file_actions=[wait]), 0)
        return real_pwritev(*args)

    os.pwritev = hung
elif "edge.ingest.acceptor" in sys.orig_argv:
    seen = ["", 0]
    real_open, real_fdopen = os.open, os.fdopen

    def fault():
        """The errno with which this call fails; None: it does not."""
        handle = real_open(os.environ["TELERAD_TEST_FAULT"], os.O_RDONLY)
        text = os.read(handle, 100).decode()
        os.close(handle)
        seen[:] = [text, seen[1] + 1 if text == seen[0] else 1]
        _, code, step = text.split()
        return int(code) if seen[1] > int(step) else None

    def strike(name):
        real = getattr(os, name)

        def call(*args, **kwargs):
            code = fault()
            if code:
                raise OSError(code, os.strerror(code))
            if code == 0 and name == "pwritev":
                handle, (data,), *rest = args
                return real(handle, [data[: len(data) // 8192 * 4096]], *rest)
            return real(*args, **kwargs)

        setattr(os, name, call)

    for name in ("pwritev", "fdatasync", "fsync", "link"):
        strike(name)

    def opened(path, flags, *args, **kwargs):
        if flags & os.O_CREAT and (code := fault()):
            raise OSError(code, os.strerror(code))
        return real_open(path, flags, *args, **kwargs)

    class Raw(io.FileIO):
        def write(self, data):
            code = fault()
            if code:
                raise OSError(code, os.strerror(code))
            return super().write(data if code is None else memoryview(data)[: len(data) // 2 + 1])

    def fdopened(handle, mode="r", *args, **kwargs):
        return (
            io.BufferedWriter(Raw(handle, mode))
            if mode == "wb"
            else real_fdopen(handle, mode, *args, **kwargs)
        )

    os.open, os.fdopen = opened, fdopened
