"""The fleet on the command line: a token, an enrolment, a list, a revocation."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import pwd
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from gateway.cli import main
from hub.persons import subject_of_person
from hub.record import OPERATOR, Person
from hub.tables.custody import custody
from tests.doubles.small_hub import SmallHub, small_hub


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[SmallHub]:
    async with small_hub(tmp_path) as running:
        web, line = running.config.web.url, running.config.line.url
        (tmp_path / "hub.yaml").write_text(
            f"data: hub\npki: pki\nrules: rules.yaml\nweb: {{url: '{web}'}}\nline: {{url: '{line}'}}\n"
        )
        (tmp_path / "edge.yaml").write_text("data: edge\n")
        yield running


async def run(*words: str | Path) -> int:
    return await asyncio.to_thread(main, [str(word) for word in words])


async def test_from_token_to_revocation(
    hub: SmallHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at_hub, at_edge = ("-c", tmp_path / "hub.yaml", "--json"), ("-c", tmp_path / "edge.yaml", "--json")

    async def answer(*words: str | Path) -> dict[str, object]:
        capsys.readouterr()
        assert await run(*words) == 0
        return json.loads(capsys.readouterr().out)

    made = await answer("hub", "token", "create", *at_hub, "--site", "H003")
    assert (made["pin"], made["hub"], made["site"]) == (hub.pin, hub.config.web.url, "H003")
    joining = ("--hub", made["hub"], "--token", made["token"], "--pin", made["pin"])
    joined = await answer("edge", "enroll", *at_edge, *joining)
    assert (joined["site"], joined["edge"], joined["line_url"]) == ("H003", "1", hub.config.line.url)
    assert await answer("edge", "show", *at_edge) == joined
    (one,) = (await answer("hub", "edge", "list", *at_hub))["edges"]
    assert (one["site"], one["edge"], one["revoked"]) == ("H003", "1", False)
    out = await answer("hub", "edge", "revoke", *at_hub, "--site", "H003", "--why", "moved")
    assert out == {"revoked": [joined["fingerprint"]]}
    (one,) = (await answer("hub", "edge", "list", *at_hub))["edges"]
    assert (one["revoked"], one["revoked_why"]) == (True, "moved")
    assert await run("hub", "edge", "revoke", *at_hub, "--site", "H003") == 1
    assert await run("edge", "enroll", *at_edge, *joining) == 2
    assert "--again" in capsys.readouterr().err


async def test_the_printed_command_is_ready_to_run(
    hub: SmallHub, tmp_path: Path, capsys, monkeypatch
) -> None:
    assert (
        await run("hub", "token", "create", "-c", tmp_path / "hub.yaml", "--site", "H001", "--edge", "4") == 0
    )
    command = capsys.readouterr().out.splitlines()[-1].split()
    assert command.pop(0) == "telerad"
    monkeypatch.chdir(tmp_path)
    assert await run(*command) == 0
    assert "this is edge 4 of site H001" in capsys.readouterr().out
    assert await run("hub", "edge", "list", "-c", tmp_path / "hub.yaml") == 0
    assert "H001/4" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--site", "../x"], "not a site identifier"),
        (["--site", "H1", "--hours", "0"], "at most 720 hours"),
        (["--site", "H1", "--edge", "one"], "number from 1"),
    ],
)
async def test_unfit_tokens(hub: SmallHub, tmp_path: Path, capsys, words: list[str], told: str) -> None:
    assert await run("hub", "token", "create", "-c", tmp_path / "hub.yaml", *words) in (1, 2)
    assert told in capsys.readouterr().err


async def test_a_token_is_withdrawn_before_it_is_used(hub: SmallHub, tmp_path: Path, capsys) -> None:
    at_hub, at_edge = ("-c", tmp_path / "hub.yaml"), ("-c", tmp_path / "edge.yaml", "--json")
    assert await run("hub", "token", "list", *at_hub) == 0
    assert capsys.readouterr().out == "no token waits to be used\n"
    assert await run("hub", "token", "create", *at_hub, "--site", "H003", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert await run("hub", "token", "list", *at_hub) == 0
    digits, where = capsys.readouterr().out.split()[:2]
    assert (where, made["token"].startswith(digits)) == ("H003/next", False)
    assert await run("hub", "token", "withdraw", *at_hub, "ffff" + digits) == 1
    assert "no unused token begins with" in capsys.readouterr().out
    assert await run("hub", "token", "withdraw", *at_hub, digits) == 0
    assert "nobody joins H003 with it" in capsys.readouterr().out
    assert await run("edge", "enroll", *at_edge, made["code"]) == 1
    assert "this enrolment code was withdrawn on" in capsys.readouterr().err
    assert await run("hub", "token", "list", *at_hub, "--json") == 0
    assert json.loads(capsys.readouterr().out) == []


async def test_an_edge_that_is_nobody_yet(hub: SmallHub, tmp_path: Path, capsys) -> None:
    assert await run("edge", "show", "--data", tmp_path / "none") == 2
    assert "not enrolled" in capsys.readouterr().err
    assert await run("hub", "edge", "list", "-c", tmp_path / "hub.yaml") == 0
    assert "no edges" in capsys.readouterr().out


async def test_the_log_says_who_did_what(
    hub: SmallHub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USER", "somebody-else")  # anybody can say that
    monkeypatch.setenv("LOGNAME", "somebody-else")
    at_hub = ("-c", tmp_path / "hub.yaml", "--json")
    at_edge = ("-c", tmp_path / "edge.yaml", "--json")
    assert await run("hub", "token", "create", *at_hub, "--site", "H003", "--hours", "2") == 0
    made = json.loads(capsys.readouterr().out)
    assert await run("edge", "enroll", *at_edge, made["code"]) == 0
    joined = json.loads(capsys.readouterr().out)
    assert await run("hub", "keys", "rotate", *at_hub) == 0
    rotated = json.loads(capsys.readouterr().out)
    assert await run("hub", "edge", "revoke", *at_hub, "--site", "H003") == 0
    async with hub.database.reading() as connection:
        leaves = (await connection.execute(select(custody.c.leaf).order_by(custody.c.position))).scalars()
        found = {leaf["event"]: leaf for leaf in map(json.loads, leaves)}
        by = await subject_of_person(connection, Person(OPERATOR, pwd.getpwuid(os.getuid()).pw_name))
    token = hashlib.sha256(made["token"].encode()).hexdigest()
    assert (found["token-created"]["site"], found["token-created"]["subject"]) == ("H003", token)
    assert found["token-created"]["detail"] == {"edge": "", "seconds": 7200, "by": by}
    assert found["kem-rotated"]["detail"] == {"made": rotated["made"], "by": by}
    assert found["edge-revoked"]["subject"] == joined["fingerprint"]
    assert found["edge-revoked"]["detail"] == {"by": by}
    assert made["token"] not in json.dumps(found)
