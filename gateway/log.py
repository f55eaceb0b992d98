"""Logging: JSON lines in service, readable lines on a terminal. UIDs and sites, never names.

``ensure_ascii`` keeps CR, LF, ESC and U+2028 from forging a second line; long values are cut,
so a hostile header cannot flood the disk.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from json import JSONEncoder
from typing import Any, TextIO, cast

import orjson
import structlog

MAX_VALUE = 512
"""Characters of one logged value that are kept."""


def _shorten(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str) and len(value) > MAX_VALUE and key != "exception":
            event[key] = value[:MAX_VALUE] + "…"
    return event


_ENCODER = JSONEncoder(ensure_ascii=True, default=repr, separators=(",", ":"))

_AS_IT_IS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
"""What is neither text nor number is written by `repr` by either encoder."""


def _json_line(logger: Any, name: str, event: MutableMapping[str, Any]) -> str:
    """As structlog's own, which makes an encoder for every line; what is ASCII anyway is faster still."""
    if "exc_info" in event:
        event = structlog.processors.format_exc_info(logger, name, event)
    try:
        line = orjson.dumps(event, default=repr, option=_AS_IT_IS)
    except TypeError:  # half of a surrogate pair, a number of more than 64 bits
        return _ENCODER.encode(event)
    return line.decode() if line.isascii() else _ENCODER.encode(event)


class _StandardError:
    """Standard error as it is when something is logged: loggers live longer than a redirection does.

    Where it cannot be written (a full disk) a line is lost, and what the line is about goes on.
    """

    def write(self, text: str) -> int:
        with suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def configure(*, level: str = "info", json: bool | None = None) -> None:
    """Set up logging for this process, once.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        json: JSON lines; if not given, JSON unless standard error is a terminal.
    """
    as_json = not sys.stderr.isatty() if json is None else json
    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _shorten,
    ]
    tail: list[Any] = [_json_line] if as_json else [structlog.dev.ConsoleRenderer()]
    structlog.configure(
        processors=[*shared, *tail],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _StandardError())),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(cast("TextIO", _StandardError()))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[_strip, *tail])
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def _strip(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event.pop("_record", None)
    event.pop("_from_structlog", None)
    return event


def logger(station: str) -> structlog.typing.FilteringBoundLogger:
    """The logger of one station, such as ``edge.ingest``."""
    bound: structlog.typing.FilteringBoundLogger = structlog.get_logger(station=station)
    return bound
