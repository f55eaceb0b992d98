"""What the technician's page shows of studies and orders, over a restart.

Names lie on no disk in clear. So what the page shows is sealed under the key in the machine's memory, or in
`ingest.secret` (`edge/ingest/vault`): it outlives the end of this process, however it ends, and with
`ingest.secret` on another medium a power cut too. What became of each parcel meanwhile the spool's index
says.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from edge.importing import KnownStudy
from edge.ingest.vault import Vault
from edge.spool.spool import Spool
from edge.spool.view import StudyFacts, StudyMemory
from gateway import durable
from gateway.clock import Clock, parse_rfc3339, rfc3339
from gateway.log import logger
from gateway.model import ParcelId, Priority

NAME = "page"
"""Of the file in the vault's folder."""
VERSION = 1
SECONDS = 10.0
"""Between two looks whether there is something new to keep; a process that is killed forgets so much."""
BUSY_SECONDS = 60.0
"""The same while much comes in: so as not to be in the way."""
MOST_STUDIES, MOST_ORDERS, MOST_PARCELS = 200, 500, 20_000
STUDY_AGE, ORDER_AGE = timedelta(days=7), timedelta(days=1)

log = logger("edge")


class Remembered:
    """Call `load` before anything comes, `run` beside it all, `save` at the end.

    Args:
        vault: seals, and says where.
        spool: whose studies these are.
        clock: the time.
        orders: of the RIS; empty where none are asked for.
        remember: takes those of before.
    """

    def __init__(
        self,
        vault: Vault,
        spool: Spool,
        clock: Clock,
        orders: Callable[[], Sequence[KnownStudy]] = tuple,
        remember: Callable[[Sequence[KnownStudy]], object] = lambda _: None,
    ) -> None:
        self._file, self._sealed = vault.folder / NAME, vault.carried(NAME)
        self._spool, self._clock = spool, clock
        self._orders, self._remember = orders, remember
        self._kept: Any = None

    def load(self) -> None:
        """What was kept, as far as it can be opened and is not too old. Blocks."""
        if not self._file.exists():
            return
        plain = self._sealed.opened(self._file.read_bytes())
        try:
            said = json.loads(plain or b"null")
            if not isinstance(said, dict) or said["version"] != VERSION:
                log.info(
                    "the page begins anew", reason="what it showed was kept under another key or version"
                )
                return
            studies, orders = list(self._studies(said["studies"])), self._orders_of(said)
        except (ValueError, KeyError, TypeError) as error:
            log.warning("the page begins anew", reason=repr(error))
            return
        self._spool.view.remember(studies, self._spool.confirmed.unsigned)
        self._remember(orders)
        log.info("the page goes on", studies=len(studies), orders=len(orders))

    async def run(self) -> None:
        """Keep what is new, for ever."""
        since = 0.0
        while True:
            await asyncio.sleep(SECONDS)
            since += SECONDS
            if since >= BUSY_SECONDS or not self._spool.traffic.busy:
                await asyncio.to_thread(self.turn)
                since = 0.0

    def turn(self) -> None:
        """One turn of `run`. Blocks."""
        self._spool.view.settle(self._spool.confirmed.oldest_waiting())
        self.save()

    def save(self) -> None:
        """Keep what the page shows now. Blocks. A disk that does not take it costs only this."""
        studies = self._spool.view.memories(MOST_PARCELS)[:MOST_STUDIES]
        orders = self._orders()[:MOST_ORDERS]
        now = {"studies": [_words(one) for one in studies], "orders": [asdict(one) for one in orders]}
        if now == self._kept:
            return
        told = {"version": VERSION, "at": rfc3339(self._clock.now()), **now}
        try:
            durable.replace(self._file, self._sealed.seal(json.dumps(told).encode()))
        except OSError as error:
            log.warning("what the page shows is not kept", reason=str(error))
            return
        self._kept = now

    def _studies(self, said: Iterable[Mapping[str, Any]]) -> Iterable[StudyMemory]:
        oldest = self._clock.now() - STUDY_AGE
        for one in said:
            if parse_rfc3339(one["last_at"]) >= oldest:
                yield StudyMemory(
                    StudyFacts(**one["facts"]),
                    Priority(one["priority"]),
                    one["first_at"],
                    one["last_at"],
                    one["received"],
                    {ParcelId(parcel): count for parcel, count in one["carriers"].items()},
                    one["unknown"],
                )

    def _orders_of(self, said: Mapping[str, Any]) -> list[KnownStudy]:
        if self._clock.now() - parse_rfc3339(said["at"]) > ORDER_AGE:
            return []
        return [KnownStudy(**one) for one in said["orders"]]


def _words(one: StudyMemory) -> dict[str, Any]:
    return {
        "facts": asdict(one.facts),
        "priority": int(one.priority),
        "first_at": one.first_at,
        "last_at": one.last_at,
        "received": one.received,
        "carriers": dict(one.carriers),
        "unknown": one.unknown,
    }
