"""Every error of the gateway, in one tree split by whose fault it is and what to do about it.

GatewayError                  never raised itself
├── UsageError                the command line or the configuration is wrong: say where, exit 2
│   └── ConfigError           … with file, line and path of the key
├── PeerError                 the other side did wrong
│   ├── Refused               refuse it and say why; asking again unchanged will not help
│   │   ├── NotAllowed        … because of who asked
│   │   ├── NotFound          … because there is no such thing, or none that this asker may know of
│   │   └── Stale             … because it has changed since the asker last looked
│   └── Unavailable           it is away or asked for a pause: try again, for ever
├── DataError                 the bytes are not what they claim to be: keep them aside (quarantine)
│   ├── Malformed             they cannot be read
│   └── Unverified            they can be read, and a digest, signature or chain does not hold
├── ResourceError             this machine lacks something: say so upstream, try again when it is there
│   ├── StorageFull           disk below its reserve (DICOM status 0xA700)
│   └── DiskFailed            disk or database does not do what it is asked: end, say what to look at
└── Broken                    a promise of this program does not hold: stop, touch nothing more
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


class GatewayError(Exception):
    """Root of the tree. Never raised itself."""


class UsageError(GatewayError):
    """The operator asked for something that cannot be: wrong argument, wrong configuration."""


class ConfigError(UsageError):
    """A configuration file is wrong; the message names file, line and key.

    Args:
        message: what is wrong and what to write instead.
        file: the file, if there is one.
        line: 1-based line of the fault, if known.
        key: dotted path of the key, such as ``ingest.port``.
    """

    def __init__(
        self,
        message: str,
        *,
        file: Path | None = None,
        line: int | None = None,
        key: str | None = None,
    ) -> None:
        place = "".join(
            (
                f"{file}" if file else "",
                f":{line}" if line is not None else "",
                ": " if file or line is not None else "",
                f"{key}: " if key else "",
            )
        )
        super().__init__(f"{place}{message}")
        self.file, self.line, self.key, self.message = file, line, key, message


class PeerError(GatewayError):
    """The other side did something wrong or is not there."""


class Refused(PeerError):
    """The request is refused for good; the same request will be refused again."""


class NotAllowed(Refused):
    """Refused because of who asked (unknown, revoked, or speaking for another site)."""


class NotFound(Refused):
    """There is no such thing, or none that this asker may know of; the two must look the same."""


class Stale(Refused):
    """The thing has changed since the asker last looked.

    Args:
        message: what happened, in plain words.
        current: the thing as it is now, as JSON-ready data, so that the asker can merge.
    """

    def __init__(self, message: str, *, current: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.current = dict(current or {})


class Unavailable(PeerError):
    """The other side is away or busy. Try again later, without limit.

    Args:
        message: what happened, in plain words.
        retry_after: seconds the other side asked us to wait, if it did.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DataError(GatewayError):
    """Bytes are not what they claim to be. They are kept aside, never dropped."""


class Malformed(DataError):
    """The bytes cannot be read as what they should be."""


class Unverified(DataError):
    """The bytes can be read, but a digest, signature or certificate chain does not hold."""


class ResourceError(GatewayError):
    """This machine lacks something just now."""


class StorageFull(ResourceError):
    """The disk is below its reserve; nothing more is accepted until there is room."""


class DiskFailed(ResourceError):
    """A disk or database does not do what it is asked; the program ends with these words."""


class Broken(GatewayError):
    """An invariant of this program does not hold. Stop; do not touch the data any further."""
