"""One task group for all services of a process; signals; an orderly end.

A service is a coroutine that runs until it is cancelled. If one fails, the process ends with its
error: the service manager starts it again, and the journals make that safe. Nothing is ever
logged and carried on.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping

from gateway import failed
from gateway.errors import GatewayError
from gateway.log import logger

Service = Callable[[], Awaitable[None]]
log = logger("supervise")


async def run(services: Mapping[str, Service], begun: Callable[[], object] = lambda: None) -> None:
    """Run every service until SIGTERM or SIGINT, then cancel them all and wait.

    Args:
        services: by name.
        begun: called once signals are heard: whoever is told that it runs may end it.

    Raises:
        GatewayError: a service failed, for a reason that tells a person what to do.
        ExceptionGroup: a service failed otherwise.
    """
    try:
        await _until_told(services, begun)
    except BaseExceptionGroup as group:
        told = [error for error in failed.leaves(group) if isinstance(error, GatewayError)]
        if not told:
            raise
        raise told[0] from group


async def _until_told(services: Mapping[str, Service], begun: Callable[[], object]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    begun()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_named(name, service), name=name) for name, service in services.items()]
        await stop.wait()
        log.info("stopping")
        for task in tasks:
            task.cancel()


async def _named(name: str, service: Service) -> None:
    try:
        await service()
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        if (said := failed.told(error)) is None:
            log.exception("service failed", service=name, error=repr(error))
        else:
            log.error("service failed", service=name, why=str(said), where=failed.where(error))  # noqa: TRY400  # it is the machine that failed; the program's calls tell its administrator nothing
        raise
    log.info("service ended", service=name)
