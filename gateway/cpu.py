"""CPU work off the event loop.

Codecs, hashing and AES release the GIL for buffers of this project's chunk size, so a small
thread pool gives real parallelism and keeps the loop answering.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_pool = ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 2), thread_name_prefix="cpu")


async def run(work: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run blocking `work` in the pool and return its result; its exception is raised here."""
    return await asyncio.get_running_loop().run_in_executor(_pool, partial(work, *args, **kwargs))
