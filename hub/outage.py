"""A disk or database that fails while a request is answered."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from gateway import failed
from gateway.errors import DiskFailed


def told(log: Any, request: web.Request, error: Exception) -> bool:
    """Whether `error` is such a failure and the request can still be answered; then the log has it.

    Args:
        log: of the station that answers.
        request: of which perhaps a part is answered already.
        error: what its handler raised.
    """
    said = failed.told(error)
    if not isinstance(said, DiskFailed) or request.writer.output_size:
        return False
    log.error("the machine fails", path=request.path, why=str(said), where=failed.where(error))
    return True
