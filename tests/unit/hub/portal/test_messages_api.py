"""Messages over the portal's HTTP API: what a browser may ask, and what is refused in plain words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.people import Role
from tests.doubles.portal_hub import PortalHub, portal_hub

PATH = "/api/cases/1/messages"


@pytest.fixture
async def portal(tmp_path: Path) -> AsyncIterator[PortalHub]:
    async with portal_hub(tmp_path) as made:
        await made.hub.account("ann", groups=["neuro"])
        await made.hub.account("bob", groups=["chest"])
        await made.hub.account("eve", Role.SITE, site="H001")
        await made.hub.account("root", Role.ADMIN)
        await made.studies.add()
        await made.dispatcher.turn()
        yield made


async def test_a_request_with_its_kind_and_a_message_are_shown_to_reader_and_site(portal: PortalHub) -> None:
    ann, eve = await portal.logged_in("ann"), await portal.logged_in("eve")
    message = {"text": "Is there\x07 an older CT?", "id": "ab" * 16}
    for _ in range(2):  # the answer was lost; the browser sends it again
        assert (await ann.call("POST", PATH, message))[0] == 204
    asked = {"reason": "thin slices", "need": "images"}
    assert (await ann.call("POST", "/api/cases/1/return", asked))[0] == 204
    for browser in (ann, eve):
        status, told = await browser.call("GET", PATH)
        assert (status, told["site"]) == (200, "H001")
        assert [(one["purpose"], one["need"], one["text"], one["author"]) for one in told["messages"]] == [
            ("message", "", "Is there an older CT?", "Dr Ann"),
            ("request", "images", "thin slices", "Dr Ann"),
        ]
    (case,) = (await eve.call("GET", "/api/worklist"))[1]["cases"]
    assert case["messages"] == {"unread": 0, "asked": 1}
    assert (await ann.call("POST", f"{PATH}/seen", {"upto": 2}))[0] == 204


@pytest.mark.parametrize(
    ("path", "given"),
    [
        (PATH, {"text": ""}),
        (PATH, {"text": "\x00"}),
        (PATH, {"text": "x" * 2001}),
        (PATH, {"text": 5}),
        (PATH, {"text": "x", "id": "1"}),
        (f"{PATH}/seen", {"upto": -1}),
        (f"{PATH}/seen", {}),
        ("/api/cases/1/return", {"reason": "x", "need": "money"}),
    ],
)
async def test_nonsense_is_refused(portal: PortalHub, path: str, given: object) -> None:
    ann = await portal.logged_in("ann")
    status, told = await ann.call("POST", path, given)
    assert status == 400
    assert told["error"]["message"]
    assert (await ann.call("GET", PATH))[1]["messages"] == []
    assert (await ann.call("GET", "/api/cases/1"))[1]["state"] == "offered"


async def test_who_may_not_is_told_nothing(portal: PortalHub) -> None:
    bob, eve, root = [await portal.logged_in(name) for name in ("bob", "eve", "root")]
    assert (await bob.call("GET", PATH))[0] == 404
    assert (await bob.call("POST", PATH, {"text": "x"}))[0] == 404
    assert (await bob.call("POST", f"{PATH}/seen", {"upto": 1}))[0] == 404
    assert (await eve.call("POST", PATH, {"text": "x"}))[0] == 403, "the hospital writes on its edge's page"
    assert (await root.call("GET", PATH))[0] == 403
