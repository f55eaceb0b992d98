"""The doctor's own judgements, and its two patients."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

import edge.checks
import hub.checks
from certs import profile
from edge.enroll import enroll
from gateway import doctor, durable, keyfile
from gateway.cli import main
from gateway.clock import SystemClock
from gateway.doctor import Finding, Level
from hub import alerts
from hub.fleet import devices
from hub.intake import faults
from hub.intake.disk_alerts import alert_of
from hub.intake.faults import Fault
from tests.doubles.small_hub import SmallHub, small_hub

CLOCK = SystemClock()
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("offset", "level", "words"),
    [
        (None, Level.WARNING, "did not answer"),
        (timedelta(seconds=1), Level.GOOD, "agrees"),
        (timedelta(seconds=10), Level.GOOD, "10 s behind"),
        (timedelta(seconds=-90), Level.WARNING, "90 s ahead of"),
        (timedelta(minutes=6), Level.FAULT, "NTP"),
    ],
)
def test_the_clock(offset: timedelta | None, level: Level, words: str) -> None:
    found = doctor.clock(offset)
    assert (found.level, words in found.words) == (level, True)


@pytest.mark.parametrize(
    ("days", "level", "words"),
    [
        (0, Level.GOOD, "good for 10.0 days"),
        (9, Level.WARNING, "should have been renewed"),
        (11, Level.FAULT, "expired on 2026-06-11"),
        (-1, Level.FAULT, "is this machine's clock right"),
    ],
)
def test_a_certificate(days: int, level: Level, words: str) -> None:
    key = keyfile.new()
    root = profile.root(key, "Test", NOW)
    leaf = profile.leaf(profile.Leaf(key.public_key(), "x", [], [], timedelta(days=10)), root, key, NOW)
    found = doctor.certificate("certificate", leaf, NOW + timedelta(days=days))
    assert (found.level, words in found.words) == (level, True)


def test_the_disk(tmp_path: Path) -> None:
    absent = tmp_path / "not" / "yet"
    assert doctor.disk(absent, 1).level is Level.GOOD
    assert doctor.disk(absent, 1 << 62).level is Level.FAULT
    free = durable.free_bytes(tmp_path)
    assert doctor.disk(absent, int(free * 0.75)).level is Level.WARNING


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[SmallHub]:
    async with small_hub(tmp_path) as hub_there:
        (tmp_path / "edge.yaml").write_text("data: edge\nspool: {reserve: 1 MB}\n")
        (tmp_path / "hub.yaml").write_text(
            "data: hub\npki: pki\nrules: rules.yaml\nstorage: {reserve: 1 MB}\n"
        )
        yield hub_there


async def of_hub(folder: Path) -> list[Finding]:
    return await asyncio.to_thread(lambda: list(hub.checks.checks(folder / "hub.yaml")))


def levels(found: list[Finding]) -> dict[str, Level]:
    return {one.what: one.level for one in found}


async def of_edge(tmp_path: Path) -> list[Finding]:
    import asyncio

    return list(await asyncio.to_thread(lambda: list(edge.checks.checks(tmp_path / "edge.yaml"))))


async def test_an_edge_that_is_not_enrolled(running: SmallHub, tmp_path: Path) -> None:
    found = await of_edge(tmp_path)
    assert levels(found) == {"disk": Level.GOOD, "identity": Level.FAULT}
    assert "telerad edge enroll" in found[-1].words


async def test_an_edge_in_health_and_after_its_revocation(running: SmallHub, tmp_path: Path) -> None:
    await enroll(await running.invitation(), tmp_path / "edge", CLOCK)
    assert set(levels(await of_edge(tmp_path)).items()) == {
        (what, Level.GOOD) for what in ("disk", "identity", "certificate", "hub", "clock")
    }
    async with running.database.writing() as connection:
        await devices.revoke(connection, "H001", "1", CLOCK.now(), "stolen")
    (fault,) = [one for one in await of_edge(tmp_path) if one.level is Level.FAULT]
    assert fault.what == "hub"
    assert "(stolen)" in fault.words


async def test_a_hub(running: SmallHub, tmp_path: Path) -> None:
    found = levels(await of_hub(tmp_path))
    assert found.pop("root key") is Level.WARNING
    assert set(found.values()) == {Level.GOOD}
    assert {"disk", "root CA", "device CA", "root list", "server", "receipt", "timestamp"} <= set(found)
    (tmp_path / "pki" / "root.key").unlink()
    (tmp_path / "pki" / "root.crl").unlink()
    found = levels(await of_hub(tmp_path))
    assert "root key" not in found
    assert found["root list"] is Level.FAULT


async def test_a_hub_whose_disk_fails_what_came(running: SmallHub, tmp_path: Path) -> None:
    told = alert_of(Fault(tmp_path / "hub" / "archive", errno.EIO), 3)
    async with running.database.writing() as connection:
        await alerts.settle(connection, [told], faults.KINDS, CLOCK.now())
    (found,) = [one for one in await of_hub(tmp_path) if one.level is Level.FAULT]
    assert found.what == "intake"
    assert found.words.startswith("EIO, Input/output error, in ")
    assert "Parcels that wait: 3; the portal says what to do" in found.words
    async with running.database.writing() as connection:
        await alerts.settle(connection, [], faults.KINDS, CLOCK.now())
    assert levels(await of_hub(tmp_path)).get("intake") is None


async def test_a_hub_whose_database_is_damaged(running: SmallHub, tmp_path: Path) -> None:
    await running.database.close()
    (tmp_path / "hub" / "hub.db").write_bytes(b"no database" * 1000)
    (found,) = [one for one in await of_hub(tmp_path) if one.level is Level.FAULT]
    assert found.what == "database"
    assert found.words.startswith(f"{tmp_path / 'hub' / 'hub.db'} is damaged (file is not a database): keep")


def test_a_disk_that_can_only_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
    found = doctor.disk(tmp_path, 0)
    assert (found.level, "fsck" in found.words) == (Level.FAULT, True)


def test_a_hub_without_an_authority(tmp_path: Path) -> None:
    (tmp_path / "hub.yaml").write_text("data: hub\npki: pki\nrules: rules.yaml\nstorage: {reserve: 1 MB}\n")
    found = list(hub.checks.checks(tmp_path / "hub.yaml"))
    assert levels(found) == {"disk": Level.GOOD, "authority": Level.FAULT, "database": Level.GOOD}
    assert not (tmp_path / "data").exists(), "checks only look"


def test_the_command_finds_the_checks_of_its_end(tmp_path: Path, monkeypatch, capsys) -> None:
    def points(*, group: str, name: str) -> list[SimpleNamespace]:
        told = [Finding("disk", Level.GOOD, name), Finding("hub", Level.FAULT, "away")]
        return [SimpleNamespace(load=lambda: lambda _: told)] if group == "telerad.checks" else []

    monkeypatch.setattr(doctor, "entry_points", points)
    for name, text in (("edge", "data: x\n"), ("hub", "data: x\npki: y\nrules: z\n")):
        (tmp_path / "c.yaml").write_text(text)
        assert main(["doctor", "-c", str(tmp_path / "c.yaml"), "--json"]) == 1
        first, second = json.loads(capsys.readouterr().out)
        assert first == {"what": "disk", "level": "good", "words": name}
        assert second["level"] == "fault"
    assert main(["doctor", "-c", str(tmp_path / "c.yaml")]) == 1
    assert "fault    hub          away" in capsys.readouterr().out
    assert main(["doctor", "-c", str(tmp_path / "absent.yaml")]) == 2
    monkeypatch.setattr(doctor, "entry_points", lambda **_: [])
    assert main(["doctor", "-c", str(tmp_path / "c.yaml")]) == 2
