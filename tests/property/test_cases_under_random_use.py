"""Cases under random use: readers come and go, leases lapse, studies grow. What must always hold, holds."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from gateway.clock import rfc3339
from gateway.errors import NotFound, Refused
from gateway.message import FROM_SITE, SiteMessage
from hub import conversation, rows_cases
from hub.access.readers import Readers
from hub.assign.dispatcher import Dispatcher
from hub.assign.states import CaseState
from hub.assign.worklist import Worklist
from hub.people import Account
from hub.rules.book import RuleBook
from hub.tables.case import case_events, cases
from tests.doubles.people import Hub, open_hub
from tests.doubles.studies import Studies

RULES = b"rules: []\ndefault: {group: neuro, deadline: 30m, weight: 2}\n"
CAPACITY = 4
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # nothing here is about disks

actions = st.one_of(
    st.just(("study",)),
    st.just(("turn",)),
    st.tuples(st.just("wait"), st.sampled_from([60, 600, 1000])),
    st.tuples(st.just("presence"), st.integers(0, 1), st.booleans()),
    st.tuples(
        st.sampled_from(["open", "release", "return", "renew", "sign"]), st.integers(0, 1), st.integers(1, 3)
    ),
    st.tuples(st.just("grow"), st.integers(1, 3)),
    st.tuples(st.just("answer"), st.integers(1, 3), st.sampled_from(sorted(FROM_SITE))),
)


class Play:
    def __init__(self, hub: Hub, readers: list[Account]) -> None:
        self.hub, self.readers = hub, readers
        self.studies = Studies(hub.database, hub.clock)
        book = RuleBook.parse(RULES, Path("rules.yaml"))
        self.dispatcher = Dispatcher(hub.database, book, hub.record, hub.clock)
        self.worklist = Worklist(hub.database, hub.record, hub.clock)

    async def act(self, what: str, *how: Any) -> None:
        if what == "study":
            if self.studies.count < 3:
                await self.studies.add(patient=f"P{self.studies.count}")
        elif what == "turn":
            await self.dispatcher.turn()
        elif what == "wait":
            self.hub.clock.advance(how[0])
        elif what == "presence":
            await Readers(self.hub.database, self.hub.access.standing).change(
                self.readers[how[0]].name, available=how[1]
            )
        elif what == "answer":
            await self.answer(f"1.2.3.{how[0]}", how[1])
        elif what == "grow":
            if how[0] <= self.studies.count:
                self.hub.clock.advance(1)
                await self.studies.images(how[0], 1, settle=True)
        else:
            await self.read(what, self.readers[how[0]], how[1])

    async def answer(self, study: str, purpose: str) -> None:
        """The hospital writes, whether it was asked or not."""
        at = rfc3339(self.hub.clock.now())
        told = SiteMessage.made(id=secrets.token_hex(16), study=study, purpose=purpose, text="words", at=at)
        async with self.hub.database.writing() as connection:
            await conversation.take(connection, self.hub.record, [("H001", told.notice())], at)

    async def read(self, what: str, reader: Account, case: int) -> None:
        if what == "sign":
            row = next((row for row in await self.rows() if row["id"] == case), None)
            if row is None or row["assignee"] != reader.name or row["state"] == "returned":
                return  # the desk asks this
            async with self.hub.database.writing() as connection:
                await self.worklist.reported(connection, case, reader.name)
        elif what == "return":
            await self.worklist.return_(reader, case, "why not")
        else:
            await getattr(self.worklist, what)(reader, case)

    async def rows(self) -> list[dict[str, Any]]:
        async with self.hub.database.reading() as connection:
            found = await connection.execute(select(cases).order_by(cases.c.id))
            return [dict(row) for row in found.mappings()]

    async def check(self, before: list[dict[str, Any]]) -> None:
        now = await self.rows()
        for row in now:
            state = CaseState(row["state"])
            assert (row["lease_by"] is not None) == (state is CaseState.READING)
            assert (row["lease_until"] is None) == (row["lease_by"] is None)
            if state in (CaseState.OFFERED, CaseState.ACCEPTED, CaseState.READING, CaseState.REPORTED):
                assert row["assignee"] is not None
            if state is CaseState.READING:
                assert row["lease_by"] == row["assignee"]
            if state in (CaseState.UNASSIGNED, CaseState.REASSIGNED):
                assert row["assignee"] is None
            assert (row["reported_at"] is not None) == (state is CaseState.REPORTED)
        for old, new in zip(before, now, strict=False):
            if old["state"] == CaseState.REPORTED:
                assert new["state"] == CaseState.REPORTED
                assert (new["assignee"], new["reported_at"]) == (old["assignee"], old["reported_at"])
            if old["lease_by"] and old["lease_until"] > rfc3339(self.hub.clock.now()):
                assert new["lease_by"] in (old["lease_by"], None), "a live lease was taken"
        async with self.hub.database.reading() as connection:
            told = (await connection.execute(select(case_events.c.case).distinct())).scalars().all()
        assert set(told) == {row["id"] for row in now}, "no case without its history"
        assert await rows_cases.look(self.hub.database, 0, self.hub.clock.now()) == [], "the log knows whose"


async def play(script: list[tuple[Any, ...]], folder: Path) -> None:
    hub = await open_hub(folder)
    try:
        readers = [await hub.account(name, groups=["neuro"], capacity=CAPACITY) for name in ("ann", "bob")]
        game = Play(hub, readers)
        for what, *how in script:
            before = await game.rows()
            try:
                await game.act(what, *how)
            except (Refused, NotFound):
                assert await game.rows() == before, "what was refused changed something"
            await game.check(before)
        # whatever happened, every case can still be brought to its report
        hub.clock.advance(1000)
        for reader in readers:
            await Readers(hub.database, hub.access.standing).change(reader.name, available=True)
        await game.dispatcher.turn()
        for row in await game.rows():
            if row["state"] != CaseState.REPORTED:
                await game.worklist.open(readers[0], row["id"])
                await game.read("sign", readers[0], row["id"])
        assert all(row["state"] == CaseState.REPORTED for row in await game.rows())
    finally:
        await hub.database.close()


@given(st.lists(actions, min_size=3, max_size=20))
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_case_is_lost_doubled_or_torn(script: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        asyncio.run(play([("study",), ("turn",), *script], Path(folder)))
