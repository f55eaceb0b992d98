import re
from datetime import timedelta

import pytest
from aiohttp.test_utils import TestClient, TestServer

from edge.console.app import console_app
from edge.console.facts import status_json
from edge.console.page import explain
from edge.console.sources import Sources
from edge.console.words import WORDS, bytes_text, choose
from edge.quality.inspector import Inspector
from edge.spool.item import LinkState
from edge.spool.states import Event, State
from edge.spool.status import Reason, Why
from edge.spool.view import StudyFacts
from gateway.dicom import transfer
from tests.doubles.datasets import encode
from tests.doubles.hand_clock import HandClock
from tests.doubles.instances import ct
from tests.doubles.spools import SpoolWorld


@pytest.fixture
async def world(tmp_path):
    world = SpoolWorld(tmp_path / "data")
    world.link = None
    yield world
    world.spool.close()


@pytest.fixture
async def client(world):
    async with TestClient(TestServer(console_app(world.spool, lambda: world.link, world.clock))) as client:
        yield client


HOSTILE = StudyFacts("1.2", "<script>alert(1)</script>^X", 'ID"><img src=x>', "A&B", "HEAD", "CT")


async def test_the_page_shows_what_waits_and_escapes_everything(world, client):
    world.receive(study=HOSTILE)
    text = await (await client.get("/")).text()
    assert "&lt;script&gt;alert(1)" in text
    assert "<script" not in text
    assert "<img" not in text
    assert "being signed" in text
    assert "style=" not in text


async def test_headers_forbid_scripts_and_framing(client):
    for path in ("/", "/status.json", "/metrics", "/healthz", "/style.css", "/none"):
        response = await client.get(path)
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert "script" not in response.headers["Content-Security-Policy"]
        assert response.headers["Cache-Control"] == "no-store"


async def test_language_by_browser_and_by_switch(client):
    assert (
        'lang="zh"'
        in (await (await client.get("/", headers={"Accept-Language": "zh-CN,en;q=0.5"})).text())[:40]
    )
    switched = await client.get("/?lang=zh", headers={"Accept-Language": "en"})
    assert "等待" in await switched.text()
    assert "等待" in await (await client.get("/", headers={"Accept-Language": "en"})).text()


@pytest.mark.parametrize(
    ("header", "asked", "language"),
    [
        ("", "", "en"),
        ("zh", "", "zh"),
        ("fr, zh;q=0.3, en;q=0.2", "", "zh"),
        ("zh;q=0.1,en-GB", "", "en"),
        ("zh", "en", "en"),
        ("xx;q=y", "?", "en"),
    ],
)
def test_choice_of_language(header, asked, language):
    assert choose(header, asked) == language


@pytest.mark.parametrize("key", WORDS)
def test_both_languages_name_the_same_values(key):
    places = [sorted(re.findall(r"{(\w+)}", WORDS[key][language])) for language in ("en", "zh")]
    assert places[0] == places[1]
    assert all(WORDS[key].values())


async def test_status_json_counts_and_reasons(world, client):
    item = world.receive()
    world.packer.seal(item)
    world.link = LinkState(
        online=False,
        since=world.clock.now(),
        reason="connection refused",
        next_try=world.clock.now() + timedelta(seconds=8),
    )
    status = await (await client.get("/status.json")).json()
    assert (status["waiting"], status["held"], status["confirmed"]) == (1, 0, 0)
    assert status["items"][0]["why"] == "away"
    assert status["link"]["reason"] == "connection refused"
    assert status["studies"][0]["patient"]["name"] == "Sample^Patient"
    page = await (await client.get("/")).text()
    assert "next try in 8 s: connection refused" in page
    await world.spool.confirm(item.parcel_id, world.receipt(item.parcel_id))
    status = await (await client.get("/status.json")).json()
    assert (status["waiting"], status["confirmed"], status["studies"][0]["sent"]) == (0, 1, 1)


async def test_what_the_hub_is_told_names_no_patient(world):
    world.receive()
    told = status_json(await world.spool.status(), None, world.clock.now(), studies=False)
    assert "Sample" not in str(told)
    assert told["waiting"] == 1


async def test_metrics_are_prometheus_text(world, client):
    world.receive()
    world.link = LinkState(online=True, since=world.clock.now(), rate=12345.5)
    response = await client.get("/metrics")
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = (await response.text()).splitlines()
    assert 'telerad_spool_items{state="received"} 1' in lines
    assert "telerad_hub_online 1" in lines
    assert all(re.fullmatch(r'(# (HELP|TYPE) \w+ .+|\w+({\w+="\w+"})? [0-9.e+-]+)', line) for line in lines)


async def test_health_follows_the_disk(world, client):
    assert (await client.get("/healthz")).status == 200
    world.spool._budget = type(world.spool._budget)(10**18)
    assert (await client.get("/healthz")).status == 503


async def test_a_held_item_can_be_released_from_the_page_alone(world, client):
    item = world.receive()
    world.packer.seal(item)
    await world.spool.mark(item.parcel_id, Event.HOLD, reason="CONFLICT")
    assert f"/held/{item.parcel_id}/release" in await (await client.get("/")).text()
    path = f"/held/{item.parcel_id}/release"
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert (await client.post(path, headers=headers)).status == 403
    assert (await client.post(path, allow_redirects=False)).status == 303
    assert (await world.spool.item(item.parcel_id)).state is State.SEALED
    assert (await client.post(path)).status == 409
    assert (await client.post("/held/..%2f/release")).status in (404, 409)


def test_reasons_in_words(world):
    now = world.clock.now()
    why = Reason(Why.PAUSED, "disk below its reserve", None, now + timedelta(seconds=30))
    assert explain(why, now, "en") == "pause, next try in 30 s: disk below its reserve"
    assert explain(Reason(Why.PERSON, "x"), now, "zh") == "已搁置：x"
    why = Reason(Why.IN_LINE, next_try=now + timedelta(minutes=4))
    assert explain(why, now, "en") == "in line, goes in about 4 min: others go first"
    assert explain(Reason(Why.IN_LINE), now, "zh") == "排队：更急或更早的先发"
    why = Reason(Why.PAUSED, "budget 08:00–18:00: nothing", next_try=now + timedelta(hours=6))
    assert explain(why, now, "en") == "held back, goes on in about 6 h: budget 08:00–18:00: nothing"
    why = Reason(Why.PAUSED, "budget 00:00–24:00: nothing")
    assert explain(why, now, "en") == "held back until the configuration changes: budget 00:00–24:00: nothing"


@pytest.mark.parametrize(
    ("size", "text"), [(5, "5 B"), (1500, "1.5 kB"), (2.5e9, "2.5 GB"), (3e12, "3.0 TB")]
)
def test_sizes(size, text):
    assert bytes_text(size) == text


def inspected(series="1.2.3.1", **attributes):
    """An inspector that has judged one study: one head CT, two series."""
    clock = HandClock()
    inspector = Inspector(clock, lambda _: None)
    for number in range(1, 4):
        one = ct(
            number, SeriesNumber=2, SeriesDescription="Head <5.0> H30s", BodyPartExamined="HEAD", **attributes
        )
        inspector.seen("1.2", encode(one), transfer.EXPLICIT_LITTLE)
    silent = ct(9, SeriesInstanceUID="1.2.3.9", SeriesDescription="Scout")
    inspector.seen("1.2", encode(silent), transfer.EXPLICIT_LITTLE)
    clock.advance(seconds=6)
    inspector.turn()
    return inspector


async def test_the_page_shows_how_a_study_was_taken(world):
    inspector = inspected(KVP="170", Exposure="250", CTDIvol=95.5, ConvolutionKernel="H30s")
    sources = Sources(taken=inspector.taken)
    world.receive(study=HOSTILE)
    async with TestClient(
        TestServer(console_app(world.spool, lambda: None, world.clock, sources=sources))
    ) as client:
        first = await (await client.get("/")).text()
        assert (
            '<a href="/study/1.2" aria-label="How it was taken: 170 kVp · 250 mAs · CTDIvol 95.5 mGy">'
            in first
        )
        page = await (await client.get("/study/1.2")).text()
        assert "&lt;script&gt;" in page
        assert "Head &lt;5.0&gt; H30s</b> · 3 image(s)" in page
        assert "<dt>Exposure (mAs)</dt><dd>250</dd>" in page
        assert "170 kVp is unusual (usual: 70 to 150)" in page
        assert "CTDIvol 96 mGy is above the reference of 80 mGy" in page
        assert "These images do not say how they were taken." in page
        chinese = await (await client.get("/study/1.2?lang=zh")).text()
        assert "<dt>曝光量 (mAs)</dt><dd>250</dd>" in chinese
        assert "170 kVp 不常见" in chinese
        assert (await client.get("/study/9.9")).status == 404


async def test_a_study_that_was_not_looked_at_yet_says_so(world, client):
    world.receive(study=HOSTILE)
    assert "/study/" not in await (await client.get("/")).text()
    assert "not looked at yet" in await (await client.get("/study/1.2")).text()


@pytest.mark.parametrize(
    ("path", "status", "english", "chinese"),
    [
        ("/none", 404, "Not Found", "没有此页"),
        ("/study/1.2.3", 404, "knows no such study", "本机没有该检查"),
        ("/held/" + "0" * 32 + "/release", 405, "Not Allowed", "不支持该操作"),
    ],
)
async def test_who_asks_with_a_browser_is_answered_in_words(client, path, status, english, chinese):
    for language, words in (("en", english), ("zh", chinese)):
        answer = await client.get(f"{path}?lang={language}", headers={"Accept": "text/html,*/*;q=0.8"})
        text = await answer.text()
        assert (answer.status, answer.content_type) == (status, "text/html")
        assert words in text
        assert 'role="alert"' in text
        assert 'href="/"' in text
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    plain = await client.get(path)
    assert (plain.status, plain.content_type) == (status, "text/plain")


async def test_a_path_is_never_shown(client):
    answer = await client.get('/"><b>x</b>', headers={"Accept": "text/html"})
    assert answer.status == 404
    assert "<b>x" not in await answer.text()


async def test_an_item_that_is_gone_is_told_in_chinese(client):
    answer = await client.post(
        "/held/" + "0" * 32 + "/release", headers={"Accept": "text/html", "Accept-Language": "zh"}
    )
    assert answer.status == 409
    assert "已不在本机" in await answer.text()
