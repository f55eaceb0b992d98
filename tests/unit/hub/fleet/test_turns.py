"""Turns: a copied key is noticed by its first use after the true edge's next, and no power cut looks like one."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from edge.enroll import enroll
from edge.hub_client import HubClient
from edge.identity import TURN_FILE, EdgeIdentity
from gateway.clock import SystemClock
from hub.fleet import turns
from hub.fleet.turns import GRACE, OFFERS, PERIOD, Chain, Turn, read
from hub.tables.fleet import edge_turns
from tests.doubles.small_hub import SmallHub, small_hub

CLOCK = SystemClock()


class World:
    """A hub's chain of one edge, and data folders that show its turns."""

    def __init__(self) -> None:
        self.now, self.tags = 0.0, 0
        self.chain = Chain(None, 0.0)
        self.told: list[str] = []

    def ask(self, disk: Turn, run: str) -> Turn | None:
        """One request. Returns what the edge is told as its next."""
        words, due = self.chain.show(disk, run, self.now)
        if words:
            self.told.append(words)
        if not due:
            return None
        self.tags += 1
        return Turn((self.chain.newest or Turn()).number + 1, f"{self.tags:016x}")


class Folder:
    """What lies on a disk."""

    def __init__(self, turn: Turn = Turn()) -> None:  # noqa: B008  # frozen
        self.turn, self.runs = turn, 0

    def take(self, given: Turn | None) -> None:
        if given is not None and given.number > self.turn.number:
            self.turn = given


ACTS = st.lists(
    st.one_of(
        st.just("ask"),
        st.just("lost"),  # the answer is lost, or power is cut before it is written down
        st.just("late"),  # a request that began before the last turn was taken arrives
        st.just("restart"),
        st.just("hub restart"),
        st.just("backup"),
        st.just("hub restored"),
        st.floats(1.0, 2 * PERIOD),
    ),
    max_size=80,
)


@settings(max_examples=300)
@given(ACTS)
def test_no_power_cut_late_request_or_restored_hub_looks_like_a_copy(acts: list[object]) -> None:
    world, edge, before, taken_at, kept = World(), Folder(), Turn(), 0.0, None
    for act in acts:
        run = f"run-{edge.runs}"
        match act:
            case "ask":
                was = edge.turn
                edge.take(world.ask(edge.turn, run))
                if edge.turn != was:
                    before, taken_at = was, world.now
            case "lost":
                if (
                    world.chain._offers < OFFERS - 1
                ):  # five in a row are told of: a disk that cannot be written
                    world.ask(edge.turn, run)
            case "late" if world.now - taken_at < GRACE and world.chain.newest == edge.turn:
                if world.chain._before is not None:  # what the hub has seen since its start
                    world.ask(before, run)
            case "restart":
                edge.runs += 1
            case "hub restart":
                world.chain = Chain(world.chain.newest, world.now)
            case "backup":
                kept = world.chain.newest
            case "hub restored" if kept is not None:
                world.chain, kept = Chain(kept, world.now), None
            case float():
                world.now += act
            case _:
                pass
    assert world.told == []


@settings(max_examples=200)
@given(
    st.integers(0, 4),
    st.booleans(),
    st.lists(st.tuples(st.booleans(), st.floats(0.0, 3 * PERIOD)), min_size=1, max_size=30),
)
def test_attack_13_two_folders_that_both_go_on_are_always_noticed(
    before: int, same_run: bool, acts: list[tuple[bool, float]]
) -> None:
    """Whoever speaks first, in whatever order, by whatever word: once both have taken a turn, it is told."""
    world, edge = World(), Folder()
    for _ in range(before):
        edge.take(world.ask(edge.turn, "run"))
        world.now += PERIOD
    thief = Folder(edge.turn)
    for true_edge, pause in [
        *acts,
        (True, PERIOD),
        (False, PERIOD),
        (True, PERIOD),
        (False, PERIOD),
        (True, PERIOD),
    ]:
        world.now += pause
        who = edge if true_edge else thief
        who.take(world.ask(who.turn, "run" if same_run or true_edge else "theirs"))
    assert world.told


def test_attack_13_a_copy_used_once_after_the_edge_went_on_is_noticed_at_its_first_request() -> None:
    world, edge = World(), Folder()
    edge.take(world.ask(edge.turn, "a"))
    stolen = Folder(edge.turn)
    for _ in range(4):
        world.now += PERIOD
        edge.take(world.ask(edge.turn, "a"))
    assert world.told == []
    world.ask(stolen.turn, "a")  # under the true edge's word, from its address
    assert world.told == [turns.STALE.format(shown=1, newest=2)]


def test_attack_13_a_copy_used_while_the_edge_is_off_is_noticed_when_it_comes_back() -> None:
    world, edge = World(), Folder()
    edge.take(world.ask(edge.turn, "a"))
    world.ask(edge.turn, "a")
    world.now += PERIOD
    stolen = Folder(edge.turn)
    stolen.take(world.ask(stolen.turn, "a"))  # under the word that lies in the folder, while the edge is off
    stolen.take(world.ask(stolen.turn, "a"))
    assert (stolen.turn.number, world.told) == (2, [])
    world.now += GRACE + 1
    world.ask(edge.turn, "b")
    assert world.told == [turns.STALE.format(shown=1, newest=2)]


def test_attack_13_a_copy_that_takes_no_turns_is_told_too() -> None:
    world, edge = World(), Folder()
    edge.take(world.ask(edge.turn, "a"))
    world.ask(edge.turn, "a")
    for _ in range(OFFERS + 1):
        world.ask(edge.turn, "theirs")
        world.now += GRACE / 2
    assert world.told[0] == turns.UNHEEDED


def test_a_folder_restored_from_a_copy_is_told_once_and_goes_on() -> None:
    world, edge = World(), Folder()
    old = Turn()
    for number in range(4):
        world.now += PERIOD
        old = edge.turn if number == 1 else old
        edge.take(world.ask(edge.turn, "a"))
    world.now += PERIOD
    edge.turn = old
    for _ in range(10):
        world.now += PERIOD
        edge.take(world.ask(edge.turn, "b"))
    assert len(world.told) == 1


def test_an_older_program_shows_none_and_is_left_alone_until_it_has_shown_one() -> None:
    world = World()
    for _ in range(20):
        world.now += PERIOD
        world.ask(Turn(), "a")
    assert world.told == []
    edge = Folder()
    edge.take(world.ask(edge.turn, "a"))
    world.ask(edge.turn, "a")
    world.now += PERIOD
    world.ask(Turn(), "a")
    assert world.told == [turns.NONE.format(newest=1)]


@pytest.mark.parametrize("text", ["", "0.00000000000000aa." + "0" * 64, "1", "1.a.b", "1" * 999, "1.é.ü"])
def test_what_is_no_turn_reads_as_none(text: str) -> None:
    assert read(text) is None


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[SmallHub]:
    async with small_hub(tmp_path) as running:
        yield running


async def ask(client: HubClient) -> None:
    await client.read("GET", "/v1/keys")


async def test_attack_13_over_the_line_a_copied_folder_shows_a_used_turn(
    hub: SmallHub, tmp_path: Path
) -> None:
    mine = await enroll(await hub.invitation(), tmp_path / "edge", CLOCK)
    mine.begin_run()
    async with HubClient(mine, CLOCK) as edge:
        await ask(edge)
        assert mine.turn.startswith("1.")
        await ask(edge)
        shutil.copytree(mine.folder, tmp_path / "thief")  # with the word of its run, from its own address
        await _age(hub)
        await ask(edge)
        assert mine.turn.startswith("2.")
        await ask(edge)
        await _age(hub)
        assert hub.events.seen[-1][0] == "edge-enrolled"
        async with HubClient(EdgeIdentity.load(tmp_path / "thief"), CLOCK) as thief:
            await ask(thief)
    assert hub.events.seen[-1] == ("edge-used-twice", "H001")


async def test_an_edge_that_is_enrolled_anew_begins_anew(hub: SmallHub, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        identity = await enroll(await hub.invitation(edge="1"), tmp_path / folder, CLOCK)
        async with HubClient(identity, CLOCK) as edge:
            for _ in range(3):
                await ask(edge)
                for chain in hub.door._turnstile._chains.values():  # type: ignore[union-attr]
                    chain._since -= GRACE + 1
        assert identity.turn.startswith("1.")
    assert "edge-used-twice" not in [event for event, _ in hub.events.seen]


async def test_turns_outlive_the_hub_and_bent_ones_are_none(hub: SmallHub, tmp_path: Path) -> None:
    identity = await enroll(await hub.invitation(), tmp_path / "edge", CLOCK)
    async with HubClient(identity, CLOCK) as edge:
        await ask(edge)
        await ask(edge)
        async with hub.database.reading() as connection:
            row = (await connection.execute(select(edge_turns))).one()
        assert identity.turn.startswith(f"{row.number}.{row.tag}.")
        hub.door._turnstile._chains.clear()  # type: ignore[union-attr]  # as after a restart
        await ask(edge)
        seen = len(hub.events.seen)
        async with hub.database.writing() as connection:  # an older database: the edge is right
            await connection.execute(update(edge_turns).values(number=0, tag=""))
        hub.door._turnstile._chains.clear()  # type: ignore[union-attr]
        await ask(edge)
        async with hub.database.writing() as connection:
            await connection.execute(delete(edge_turns))
        hub.door._turnstile._chains.clear()  # type: ignore[union-attr]
        await ask(edge)
        assert len(hub.events.seen) == seen
        file = identity.folder / TURN_FILE
        text = file.read_text()
        file.write_text(text.replace(text[-1], "0" if text[-1] != "0" else "1"))
        for chain in hub.door._turnstile._chains.values():  # type: ignore[union-attr]
            chain._since -= GRACE
        await ask(edge)
    assert hub.events.seen[-1] == ("edge-used-twice", "H001")


async def _age(hub: SmallHub) -> None:
    """As if `PERIOD` had passed since the last turn."""
    assert hub.door._turnstile is not None
    for chain in hub.door._turnstile._chains.values():
        chain._since -= PERIOD


def test_a_turn_is_written_down_only_if_it_is_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = object.__new__(EdgeIdentity)
    identity.folder = tmp_path
    assert identity.turn == ""
    for turn in ("2.aa.bb", "1.cc.dd", "2.ee.ff", "nonsense", "3.<x>.y", "-4.aa.bb"):
        identity.take_turn(turn)
        assert identity.turn == "2.aa.bb"
    assert (tmp_path / TURN_FILE).stat().st_mode & 0o777 == 0o600
    identity.take_turn("3.aa.bb")
    assert identity.turn == "3.aa.bb"
