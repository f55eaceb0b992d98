"""A copied key, used in two places at once."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.enroll import enroll
from edge.hub_client import HubClient
from edge.identity import EdgeIdentity
from gateway.clock import SystemClock
from hub import alerts
from hub.fleet.uses import QUIET, Uses
from tests.doubles.small_hub import SmallHub, small_hub

CLOCK, WHO = SystemClock(), ("H001", "1")


def heard(*said: tuple[str, str]) -> list[str]:
    """What is told after requests of these runs and addresses, a second apart."""
    uses = Uses()
    told = [uses.note(WHO, run, address, float(at)) for at, (run, address) in enumerate(said)]
    return [words for words in told if words]


def test_two_runs_that_take_turns_are_two() -> None:
    assert heard(("a", "x"), ("b", "y"), ("b", "y")) == []  # a restart, from elsewhere
    (words,) = heard(("a", "x"), ("b", "x"), ("a", "x"), ("b", "x"))  # behind one address
    assert "used in two places at once" in words
    assert len(heard(("a", "x"), ("", "x"), ("a", "x"))) == 1  # a thief's own program


def test_two_addresses_that_take_turns_are_told_softly() -> None:
    assert heard(("a", "x"), ("a", "y"), ("a", "y")) == []  # moved to another line
    (words,) = heard(("a", "x"), ("a", "y"), ("a", "x"), ("a", "y"), ("a", "x"))
    assert "one edge with two lines, or its key in two places" in words


def test_it_is_told_once_an_hour() -> None:
    uses, told = Uses(), 0
    for at in range(100):
        told += uses.note(WHO, "ab"[at % 2], "x", at * QUIET / 25) is not None
    assert told == 4


@given(st.lists(st.integers(1, 5), max_size=40))
def test_an_edge_that_restarts_is_never_two(lengths: list[int]) -> None:
    said = [(f"run-{number}", "x") for number, length in enumerate(lengths) for _ in range(length)]
    assert heard(*said) == []


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[SmallHub]:
    async with small_hub(tmp_path) as running:
        yield running


async def test_attack_13_a_copied_data_folder_is_noticed(hub: SmallHub, tmp_path: Path) -> None:
    mine = await enroll(await hub.invitation(), tmp_path / "edge", CLOCK)
    mine.begin_run()
    shutil.copytree(mine.folder, tmp_path / "thief")
    copied = EdgeIdentity.load(tmp_path / "thief")
    copied.begin_run()  # `telerad edge run` on the copy
    async with HubClient(mine, CLOCK) as edge, HubClient(copied, CLOCK) as thief:
        await edge.read("GET", "/v1/keys")
        await thief.read("GET", "/v1/keys")
        assert "edge-used-twice" not in [event for event, _ in hub.events.seen]
        await edge.read(
            "GET", "/v1/keys"
        )  # served all the same: the true edge must not be stopped by a thief
    assert ("edge-used-twice", "H001") in hub.events.seen
    async with hub.database.reading() as connection:
        (alert,) = await alerts.listed(connection)
    assert (alert["site"], alert["edge"], alert["kind"]) == ("H001", "1", "used-twice")
