"""The services of a process: one that fails ends it, in words where there are some."""

from __future__ import annotations

import asyncio
import errno
import os
import signal

import pytest

from gateway import failed, supervise
from gateway.errors import Broken, DiskFailed


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


async def test_whoever_is_told_that_it_runs_may_end_it_at_once() -> None:
    await supervise.run({"a": _for_ever}, lambda: os.kill(os.getpid(), signal.SIGTERM))


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


async def test_a_machine_that_fails_is_told_without_a_trace(capsys) -> None:
    async def deep() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(sick())
            group.create_task(_for_ever())

    async def sick() -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), "/data/hub.db")

    with pytest.raises(DiskFailed, match="cannot be used"), failed.plainly(failed.Kept()):
        await supervise.run({"deep": deep, "other": _for_ever})
    said = "".join(capsys.readouterr())
    assert "service failed" in said
    assert "Traceback" not in said


async def test_a_reason_deep_within_a_service_is_told_as_itself() -> None:
    async def deep() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(broken())

    async def broken() -> None:
        raise Broken("restore the backup")

    with pytest.raises(Broken, match="restore the backup"):
        await supervise.run({"deep": deep, "other": _for_ever})
