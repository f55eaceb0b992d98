"""``telerad hub custody`` and ``telerad verify`` of what it writes."""

from __future__ import annotations

import asyncio
import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select, update

from gateway import keyfile
from gateway.cli import main
from gateway.database import open_database, sqlite_url
from hub.custody import CustodyLog
from hub.tables import VERSION, metadata
from hub.tables.custody import custody
from tests.doubles.clock import SetClock


def work(folder, action):
    async def inside():
        database = await open_database(sqlite_url(folder / "data" / "hub.db"), metadata, version=VERSION)
        try:
            async with database.writing() as connection:
                await action(CustodyLog(database, None, SetClock()), connection)
        finally:
            await database.close()

    asyncio.run(inside())


@pytest.fixture
def hub(tmp_path):
    (tmp_path / "data" / "keys").mkdir(parents=True)
    keyfile.store(tmp_path / "data" / "keys" / "checkpoint.key", Ed25519PrivateKey.generate())
    config = tmp_path / "hub.yaml"
    config.write_text(CONFIG.format(database=sqlite_url(tmp_path / "data" / "hub.db")))

    async def fill(log, connection):
        await log.append(connection, "stored", site="H001", subject="one")
        await log.append(connection, "stored", site="H002", subject="two")

    work(tmp_path, fill)
    return tmp_path


CONFIG = """\
name: test
data: data
pki: pki
rules: rules.yaml
database: {database}
"""


def test_what_the_log_says_is_proven_and_verified(hub, capsys):
    config = str(hub / "hub.yaml")
    assert main(["hub", "custody", "audit", "-c", config, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["entries"] == 2
    assert main(["hub", "custody", "key", "-c", config]) == 0
    key, bundle = capsys.readouterr().out.strip(), str(hub / "bundle.json")
    assert main(["hub", "custody", "prove", "-c", config, "--subject", "two", "-o", bundle]) == 0
    assert main(["hub", "custody", "prove", "-c", config, "--subject", "two", "-o", bundle]) == 2
    assert main(["hub", "custody", "prove", "-c", config, "--subject", "three", "-o", f"{bundle}2"]) == 1
    capsys.readouterr()
    assert main(["verify", "--json", "--log-key", key, bundle]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert [entry["site"] for entry in found["facts"]["entries"]] == ["H002"]
    text = (hub / "bundle.json").read_text()
    (hub / "bundle.json").write_text(text.replace('"position":1', '"position":0'))
    assert main(["verify", "--log-key", key, bundle]) == 1


def test_a_printed_state_is_compared(hub, capsys):
    config = str(hub / "hub.yaml")
    leaves = []

    async def read(log, connection):
        rows = await connection.execute(select(custody.c.leaf).order_by(custody.c.position))
        leaves.extend(leaf.encode() for (leaf,) in rows)

    work(hub, read)
    one, two = (hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves)
    root = hashlib.sha256(b"\1" + one + two).hexdigest()
    compare = ("hub", "custody", "compare", "-c", config)
    assert main([*compare, "2", root.upper()]) == 0
    assert main([*compare, "1", one.hex()]) == 0
    assert main([*compare, "1", root]) == 1
    assert "not the one that was printed" in capsys.readouterr().out
    assert main([*compare, "3", root]) == 1
    assert main([*compare, "-1", root]) == 1


def test_a_changed_log_is_told(hub, capsys):
    config = str(hub / "hub.yaml")
    bundle = str(hub / "bundle.json")
    assert main(["hub", "custody", "prove", "-c", config, "--subject", "one", "-o", bundle]) == 0

    async def change(log, connection):
        leaf = '{"at":"","detail":{},"event":"lost","position":0,"site":"","subject":"one"}'
        await connection.execute(update(custody).where(custody.c.position == 0).values(leaf=leaf))

    work(hub, change)
    assert main(["hub", "custody", "audit", "-c", config]) == 1
    assert "entry 0 of the custody log was changed" in capsys.readouterr().err


def test_a_hub_that_never_ran_has_no_key(hub, capsys):
    (hub / "data" / "keys" / "checkpoint.key").unlink()
    assert main(["hub", "custody", "key", "-c", str(hub / "hub.yaml")]) == 2
    assert "has not run yet" in capsys.readouterr().err
