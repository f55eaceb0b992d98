"""Kills an acceptor process, started with this folder in PYTHONPATH, when it is about to tell of an instance."""

import os
import signal
import sys

if "edge.ingest.acceptor" in sys.orig_argv:
    import orjson

    real = orjson.dumps

    def dumps(value, *args, **kwargs):
        if isinstance(value, tuple) and value[:1] == ("arrived",):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(value, *args, **kwargs)

    orjson.dumps = dumps
