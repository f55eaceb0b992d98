"""How many days the disk lasts, on the edge's page: at a known rate and with known room."""

import pytest
from aiohttp.test_utils import TestClient, TestServer

from edge.console.app import console_app
from edge.console.page import FAR_DAYS
from gateway import durable
from tests.doubles.spools import SpoolWorld

RESERVE = 5_000_000
LEFT = {"en": "{} days left", "zh": "还可用 {} 天"}
FULL = {"en": "The disk is full: images are refused", "zh": "磁盘已满：腾出空间之前拒收影像"}


@pytest.fixture
def world(tmp_path):
    world = SpoolWorld(tmp_path / "data", reserve=RESERVE)
    yield world
    world.spool.close()


@pytest.fixture
async def shown(world, monkeypatch):
    """The page in a language, with so many bytes free on the disk; and what else the edge says then."""
    async with TestClient(TestServer(console_app(world.spool, lambda: None, world.clock))) as client:

        async def look(free, path="/"):
            monkeypatch.setattr(durable, "free_bytes", lambda folder: free)
            return await (await client.get(path)).text()

        yield look


def received(world, images):
    """Sealed bytes of so many images, which came in the last day."""
    return sum(world.receive(bytes(1000 * number), number).sealed_size for number in range(1, images + 1))


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(("days", "words"), [(0.2, "0"), (1, "1"), (12.4, "12"), (FAR_DAYS, str(FAR_DAYS))])
async def test_the_page_says_how_many_days_are_left(world, shown, language, days, words):
    rate = received(world, 3)
    text = await shown(RESERVE + int(days * rate), f"/?lang={language}")
    assert f">{LEFT[language].format(words)}<" in text
    assert FULL[language] not in text


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_a_disk_that_is_full_says_so_instead(world, shown, language):
    received(world, 1)
    text = await shown(RESERVE - 1, f"/?lang={language}")
    assert FULL[language] in text
    assert LEFT[language].format(0) not in text


async def test_what_is_far_away_or_not_known_is_not_said(world, shown):
    assert "days left" not in await shown(RESERVE + 10**9)  # nothing has come yet
    rate = received(world, 2)
    assert "days left" in await shown(RESERVE + rate * FAR_DAYS)
    assert "days left" not in await shown(RESERVE + rate * (FAR_DAYS + 1))
    world.clock.advance(26 * 3600)
    assert "days left" not in await shown(RESERVE + 2 * rate)  # nothing has come for a day


async def test_machines_are_told_the_same_number(world, shown):
    rate = received(world, 2)
    assert "\ntelerad_disk_days_left 2.5\n" in await shown(RESERVE + rate * 5 // 2, "/metrics")
