"""``telerad hub study``: what is not complete, and a person's word that it is."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from sqlalchemy import select

from gateway.cli import main
from gateway.database import open_database, sqlite_url
from hub.tables import VERSION, metadata
from hub.tables.custody import custody
from tests.doubles.clock import SetClock
from tests.doubles.studies import Studies

CONFIG = "name: test\ndata: data\npki: pki\nrules: rules.yaml\ndatabase: {database}\n"


@pytest.fixture
def config(tmp_path: Path) -> str:
    url = sqlite_url(tmp_path / "hub.db")

    async def fill() -> None:
        database = await open_database(url, metadata, version=VERSION)
        made = Studies(database, SetClock())
        await made.add(state="arriving", images=3)
        await made.add(patient="P2")
        made.count = 0
        await made.add(state="reopened", site="H002", images=1)
        await database.close()

    asyncio.run(fill())
    (tmp_path / "hub.yaml").write_text(CONFIG.format(database=url))
    return str(tmp_path / "hub.yaml")


def events(folder: Path) -> list[str]:
    async def read() -> list[str]:
        database = await open_database(sqlite_url(folder / "hub.db"), metadata, version=VERSION)
        async with database.reading() as connection:
            found = list((await connection.execute(select(custody.c.leaf))).scalars())
        await database.close()
        return found

    return asyncio.run(read())


def test_a_study_is_listed_and_taken_as_complete(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["hub", "study", "list", "-c", config, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["studies"]
    assert [(one["site"], one["study_uid"], one["state"]) for one in listed] == [
        ("H001", "1.2.3.1", "arriving"),
        ("H002", "1.2.3.1", "reopened"),
    ]
    complete = ["hub", "study", "complete", "1.2.3.1", "-c", config, "--reason", "broken scanner"]
    assert main(complete) == 2
    assert "H001, H002" in capsys.readouterr().err
    assert main([*complete, "--site", "H001"]) == 0
    capsys.readouterr()
    assert main([*complete, "--site", "H001", "--json"]) == 1
    assert "taken as complete by console: broken scanner" in json.loads(capsys.readouterr().out)["why"]
    assert main(["hub", "study", "complete", "9.9", "-c", config]) == 1
    assert "there is no study 9.9" in capsys.readouterr().out
    assert main(["hub", "study", "list", "-c", config]) == 0
    assert "1.2.3.1  reopened  1 instances" in capsys.readouterr().out
    begun, entry = events(tmp_path)
    assert "seals-begun" in begun
    assert "study-complete" in entry
    assert "by hand" in entry
    assert "broken scanner" not in entry
