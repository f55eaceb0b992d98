"""The services of a process: one that fails ends it, in words where there are some."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from gateway import supervise
from gateway.errors import Broken


async def test_it_runs_until_it_is_told_to_stop() -> None:
    ended: list[str] = []

    async def for_ever() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("cancelled")

    async def stop() -> None:
        await asyncio.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    await supervise.run({"a": for_ever, "b": for_ever, "c": stop})
    assert ended == ["cancelled", "cancelled"]


async def _for_ever() -> None:
    await asyncio.sleep(3600)


async def test_a_reason_that_says_what_to_do_is_told_as_itself() -> None:
    async def broken() -> None:
        raise Broken("restore the backup")

    with pytest.raises(Broken, match="restore the backup"):
        await supervise.run({"broken": broken, "other": _for_ever})


async def test_a_defect_of_the_program_keeps_its_trace() -> None:
    async def wrong() -> None:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as caught:
        await supervise.run({"wrong": wrong, "other": _for_ever})
    assert isinstance(caught.value.exceptions[0], ZeroDivisionError)
