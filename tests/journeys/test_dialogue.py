"""Technician and reader talk about a study, through a hub and an edge as processes of their own."""

from __future__ import annotations

import asyncio
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.demo.portal import Portal
from tests.doubles.acquired import part10
from tests.journeys.conftest import Stack
from tests.journeys.test_imported_disc import imported, status

ASKED = "Bitte um die dünnen Schichten von Dialog^Person, 谢谢"
ANSWERED = "Thin slices of Dialog^Person are there now & <b>complete</b>"
SECONDS = 20.0
"""A message is there within two or three; a machine under load gets longer."""


def page(stack: Stack, path: str, form: dict[str, str] | None = None) -> str:
    data = None if form is None else urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(f"{stack.edge['console']}{path}", data, timeout=10) as answer:
        return str(answer.read().decode())


def reply(stack: Stack, study: str, **values: str) -> None:
    form = page(stack, f"/messages/{study}")
    found = re.search(r'name="id" value="([0-9a-f]{32})"', form)
    assert found
    for _ in range(2):  # an impatient finger sends the form twice
        page(stack, f"/messages/{study}", {"id": found[1], **values})


def waits_for(look: Callable[[], Any], stack: Stack) -> Any:
    until = time.monotonic() + SECONDS
    while not (seen := look()):
        assert time.monotonic() < until, stack.logs()
        time.sleep(0.2)
    return seen


async def comes(look: Callable[[], Awaitable[Any]], stack: Stack) -> Any:
    until = time.monotonic() + SECONDS
    while not (seen := await look()):
        assert time.monotonic() < until, stack.logs()
        await asyncio.sleep(0.2)
    return seen


def bytes_below(folder: Path) -> bytes:
    """Everything the edge has on its disk and in its log."""
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def send(stack: Stack, folder: Path, numbers: range) -> str:
    folder.mkdir()
    for number in numbers:
        (folder / f"IM{number}").write_bytes(
            part10(f"2.25.47110.{number}", name="Dialog^Person", study="2.25.4711001")
        )
    code, told = imported(stack.edge["config"], folder)
    assert code == 0
    return str(told["studies"][0])


async def test_more_is_asked_for_answered_and_read(stack: Stack, tmp_path: Path) -> None:
    study = send(stack, tmp_path / "first", range(2))
    lead = stack.user("lead")
    async with Portal(stack.hub["url"], Path(stack.hub["ca"])) as portal:
        await portal.log_in(lead["name"], lead["password"])

        async def case() -> dict[str, Any] | None:
            cases = (await portal.call("GET", "/api/worklist"))["cases"]
            return next((one for one in cases if one["study_uid"] == study), None)

        number = (await comes(case, stack))["id"]
        path = f"/api/cases/{number}"
        await portal.call("POST", f"{path}/open", {})
        await portal.call("POST", f"{path}/return", {"reason": ASKED, "need": "images"})

        def told() -> Any:
            return next((one for one in status(stack)["messages"] if one["study_uid"] == study), None)

        assert await asyncio.to_thread(waits_for, told, stack) == {
            "study_uid": study,
            "unread": 1,
            "waits": True,
            "messages": 1,
        }
        assert "needs an answer" in page(stack, "/")
        shown = page(stack, f"/messages/{study}")
        assert "More images are needed" in shown
        assert ASKED in shown

        async def seen() -> bool:
            (asked,) = (await portal.call("GET", f"{path}/messages"))["messages"]
            return asked["seen_at"] is not None

        await comes(seen, stack)
        assert told()["unread"] == 0

        send(stack, tmp_path / "again", range(2, 5))
        reply(stack, study, purpose="done", text=ANSWERED)
        assert not told()["waits"]

        async def answered() -> Any:
            talk = (await portal.call("GET", f"{path}/messages"))["messages"]
            return talk if len(talk) == 2 else None

        asked, answer = await comes(answered, stack)
        assert (answer["text"], answer["purpose"], answer["sender"]) == (ANSWERED, "done", "site")
        assert asked["closed_at"]

        async def back() -> Any:
            found = await case()
            return found if found and found["state"] != "returned" else None

        found = await comes(back, stack)
        assert found["messages"] == {"unread": 1, "asked": 0}
        assert found["assignee"]["name"] == lead["name"], "back to the reader who asked"

        async def came() -> bool:
            asked, _ = (await portal.call("GET", f"{path}/messages"))["messages"]
            return sum(one["instances"] for one in asked["came_after"]) == 3

        await comes(came, stack)

        await portal.call("POST", f"{path}/messages", {"text": "Thank you\x07"})
        await asyncio.to_thread(
            waits_for, lambda: "Thank you</p>" in page(stack, f"/messages/{study}"), stack
        )

    kept = bytes_below(Path(stack.edge["config"]).parent)
    logs = stack.logs().encode()
    for words in (ASKED, ANSWERED, "Dialog^Person", "Thank you"):
        assert words.encode() not in kept, "nothing of it lies on the edge's disk in clear"
        assert words.encode() not in logs
        assert json.dumps(words).strip('"').encode() not in kept


def test_an_unknown_study_is_not_found(stack: Stack) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        page(stack, "/messages/1.2.3.999")
