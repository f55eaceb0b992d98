"""Parcel keys made in quiet moments: wrapping one for the hub takes as long as much else of an instance."""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Callable, Sequence

from gateway.envelope.seal import KemPublic, ParcelKeys
from gateway.model import ParcelId

AHEAD = 512
"""Keys kept ready: a long series; two megabytes of memory at most."""


class KeysAhead:
    """Keys for parcels to come, in memory alone. Thread-safe.

    Args:
        recipients: the hub's current keys. What was made for others is not used any more.
        most: keys kept ready.
    """

    def __init__(self, recipients: Callable[[], Sequence[KemPublic]], most: int = AHEAD) -> None:
        self._recipients, self._most = recipients, most
        self._lock = threading.Lock()
        self._ready: deque[ParcelKeys] = deque()

    def take(self) -> ParcelKeys:
        """For one parcel. Made now, if none is ready. Raises as `ParcelKeys`."""
        recipients = self._recipients()
        with self._lock:
            if self._ready and self._ready[0].recipients != recipients:
                self._ready.clear()
            if self._ready:
                return self._ready.popleft()
        return _made(recipients)

    @property
    def few(self) -> bool:
        """Whether some are missing."""
        return len(self._ready) < self._most

    def fill(self, most: int | None = None, stop: Callable[[], bool] = lambda: False) -> None:
        """Make what is missing, until there are `most`, or until `stop`. Blocks: 0.1 ms for each.

        Raises:
            As `ParcelKeys`.
        """
        while len(self._ready) < (self._most if most is None else most) and not stop():
            keys = _made(self._recipients())
            with self._lock:
                self._ready.append(keys)


def _made(recipients: Sequence[KemPublic]) -> ParcelKeys:
    return ParcelKeys(recipients, ParcelId(secrets.token_hex(16)))
