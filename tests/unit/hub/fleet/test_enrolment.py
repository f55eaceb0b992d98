"""How an edge joins: over real TLS, against a hub on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import select

from certs.authority import Issuer
from edge import enroll as enrolling
from edge.enroll import Invitation, enroll
from edge.identity import EdgeIdentity
from gateway import keyfile, tls
from gateway.clock import SystemClock, rfc3339
from gateway.errors import Malformed, NotAllowed, Refused, Unavailable, Unverified, UsageError
from gateway.keyset import read_key_set
from gateway.request import DeviceKeys
from gateway.trust import Purpose, fingerprint, pem
from hub.fleet import devices, routes, tokens
from hub.tables import fleet
from tests.doubles.requests import request
from tests.doubles.small_hub import SmallHub, small_hub

CLOCK = SystemClock()


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[SmallHub]:
    async with small_hub(tmp_path) as running:
        yield running


def csr(**options: str) -> str:
    return request(keyfile.new(), **options).public_bytes(Encoding.PEM).decode()


async def device_rows(hub: SmallHub) -> list[dict[str, object]]:
    async with hub.database.reading() as connection:
        return [dict(row) for row in (await connection.execute(select(fleet.devices))).mappings()]


async def test_an_edge_enrols(hub: SmallHub, tmp_path: Path) -> None:
    identity = await enroll(await hub.invitation("H007"), tmp_path / "edge", CLOCK)
    assert (identity.site, identity.edge, identity.line_url) == ("H007", "1", hub.config.line.url)
    assert identity.trust.identify(identity.signer.chain, Purpose.DEVICE, CLOCK.now()).site == "H007"
    assert [key.kid for key in identity.recipients] == [max(hub.keys.kem_keys)]
    assert [(row["site"], row["fingerprint"]) for row in await device_rows(hub)] == [
        ("H007", identity.fingerprint)
    ]
    assert hub.events.seen == [("edge-enrolled", "H007")]


async def test_the_key_is_for_its_owner_alone_and_its_draft_is_gone(hub: SmallHub, tmp_path: Path) -> None:
    data = tmp_path / "edge"
    identity = await enroll(await hub.invitation(), data, CLOCK)
    assert identity.device_file.stat().st_mode & 0o777 == 0o600
    assert identity.folder.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in data.iterdir()] == ["identity"]


async def test_a_wrong_pin_sends_nothing(hub: SmallHub, tmp_path: Path) -> None:
    invitation = replace(await hub.invitation(), pin="sha256:" + "0" * 64)
    with pytest.raises(Unverified, match="Nothing was sent"):
        await enroll(invitation, tmp_path / "edge", CLOCK)
    assert await device_rows(hub) == []
    await enroll(replace(invitation, pin=hub.pin), tmp_path / "edge", CLOCK)  # so the token was not spent


async def test_the_right_root_shown_by_a_stranger_gets_no_token(hub: SmallHub, tmp_path: Path) -> None:
    """Somebody in between can show the true root, but cannot prove the hub's name under it."""
    asked: list[str] = []

    async def root(_: web.Request) -> web.Response:
        return web.json_response({"root": pem([hub.authority.root]).decode()})

    async def steal(request: web.Request) -> web.Response:
        asked.append(await request.text())
        return web.json_response({})

    async with small_hub(tmp_path / "stranger") as stranger:
        app = web.Application()
        app.add_routes([web.get("/enroll/ca", root), web.post("/enroll", steal)])
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "localhost", 0, ssl_context=stranger.keys.web_context())
        await site.start()
        port = runner.addresses[0][1]
        with pytest.raises(Unverified, match="does not prove its name"):
            await enroll(
                replace(await hub.invitation(), hub=f"https://localhost:{port}"), tmp_path / "edge", CLOCK
            )
        await runner.cleanup()
    assert asked == []


async def test_a_token_is_good_once(hub: SmallHub, tmp_path: Path) -> None:
    invitation = await hub.invitation()
    await enroll(invitation, tmp_path / "one", CLOCK)
    with pytest.raises(NotAllowed, match="used already"):
        await enroll(invitation, tmp_path / "two", CLOCK)
    assert len(await device_rows(hub)) == 1


async def test_a_lost_answer_can_be_asked_for_again(hub: SmallHub) -> None:
    token, mine = await hub.token(), csr()
    first = await hub.enrolment.enrol(token, mine)
    second = await hub.enrolment.enrol(token, mine)
    assert second.issued.certificate == first.issued.certificate
    assert len(await device_rows(hub)) == 1
    async with hub.database.writing() as connection:
        await devices.revoke(connection, "H001", None, CLOCK.now(), "stolen")
    with pytest.raises(NotAllowed, match="used already"):
        await hub.enrolment.enrol(token, mine)


async def test_two_that_race_for_one_token(hub: SmallHub) -> None:
    token = await hub.token()
    results = await asyncio.gather(
        *(hub.enrolment.enrol(token, csr()) for _ in range(5)), return_exceptions=True
    )
    lost = [result for result in results if isinstance(result, BaseException)]
    assert len(lost) == 4
    assert all(isinstance(result, NotAllowed) for result in lost)
    assert len(await device_rows(hub)) == 1


async def test_the_site_comes_from_the_token_and_never_from_the_request(hub: SmallHub) -> None:
    claim = csr(subject="H999", uri="spiffe://telerad/site/H999/edge/9")
    enrolled = await hub.enrolment.enrol(await hub.token("H001"), claim)
    identity = hub.authority.trust.identify(enrolled.issued.chain, Purpose.DEVICE, CLOCK.now())
    assert (identity.site, identity.edge) == ("H001", "1")
    assert b"H999" not in enrolled.issued.certificate.public_bytes(Encoding.DER)


async def test_unknown_and_expired_tokens(hub: SmallHub) -> None:
    with pytest.raises(NotAllowed, match="not known"):
        await hub.enrolment.enrol("guessed", csr())
    with pytest.raises(NotAllowed, match=r"expired on .* the hub's clock says"):
        await hub.enrolment.enrol(await hub.token(hours=-1), csr())


async def test_a_failed_request_leaves_the_token_unspent(hub: SmallHub) -> None:
    token = await hub.token()
    bad = bytearray(request(keyfile.new()).public_bytes(Encoding.DER))
    bad[-1] ^= 1
    text = enrolling.x509.load_der_x509_csr(bytes(bad)).public_bytes(Encoding.PEM).decode()
    with pytest.raises(Refused, match="not signed by its own key"):
        await hub.enrolment.enrol(token, text)
    with pytest.raises(Malformed, match="cannot be read"):
        await hub.enrolment.enrol(token, "no request")
    with pytest.raises(Malformed, match="longer than"):
        await hub.enrolment.enrol(token, "x" * 20000)
    assert (await hub.enrolment.enrol(token, csr())).edge == "1"


async def test_edges_of_a_site_are_numbered_and_a_number_can_be_replaced(hub: SmallHub) -> None:
    first = await hub.enrolment.enrol(await hub.token("H001"), csr())
    second = await hub.enrolment.enrol(await hub.token("H001"), csr())
    other = await hub.enrolment.enrol(await hub.token("H002"), csr())
    assert [first.edge, second.edge, other.edge] == ["1", "2", "1"]
    await hub.enrolment.enrol(await hub.token("H001", edge="1"), csr())
    revoked = {row["fingerprint"]: row["revoked_why"] for row in await device_rows(hub) if row["revoked"]}
    assert revoked == {fingerprint(first.issued.certificate): "replaced by a new enrolment"}
    listed = enrolling.x509.load_der_x509_crl(hub.authority.crl(Issuer.DEVICE))
    assert [entry.serial_number for entry in listed] == [first.issued.certificate.serial_number]


async def test_an_identity_is_not_overwritten(hub: SmallHub, tmp_path: Path) -> None:
    data = tmp_path / "edge"
    first = await enroll(await hub.invitation(), data, CLOCK)
    with pytest.raises(UsageError, match="--again"):
        await enroll(await hub.invitation(), data, CLOCK)
    assert EdgeIdentity.load(first.folder).fingerprint == first.fingerprint
    second = await enroll(await hub.invitation("H001", "1"), data, CLOCK, again=True)
    kept = [folder for folder in data.iterdir() if folder.name.startswith("identity.until-")]
    assert second.fingerprint != first.fingerprint
    assert [EdgeIdentity.load(folder).fingerprint for folder in kept] == [first.fingerprint]


async def test_no_hub_at_all(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be reached"):
        await enroll(Invitation("https://localhost:1", "t", "sha256:" + "0" * 64), tmp_path, CLOCK)


@pytest.mark.parametrize(
    ("hub", "pin"), [("http://h", "sha256:" + "0" * 64), ("h", ""), ("https://h", "sha256:77")]
)
def test_an_unfit_invitation(hub: str, pin: str) -> None:
    with pytest.raises(UsageError):
        Invitation(hub, "t", pin)


async def test_answers_over_http(hub: SmallHub) -> None:
    context = tls.web_client_context([hub.authority.root])
    async with aiohttp.ClientSession(hub.config.web.url) as session:

        async def ask(body: bytes) -> tuple[int, str]:
            async with session.post("/enroll", data=body, ssl=context) as response:
                return response.status, (await response.json())["error"]["code"]

        assert await ask(b"no json") == (400, "bad_data")
        assert await ask(b'{"token": 1, "csr": "x"}') == (400, "bad_data")
        assert await ask(b"[" * 70000) == (400, "bad_data")
        assert await ask(b'{"token": "x", "csr": "x"}') == (400, "bad_data")


async def test_the_token_itself_is_not_in_the_database(hub: SmallHub) -> None:
    token = await hub.token()
    async with hub.database.reading() as connection:
        row = (await connection.execute(select(fleet.tokens))).mappings().one()
    assert token not in str(dict(row))
    async with hub.database.reading() as connection:
        assert (await tokens.look(connection, f" {token.upper()}\n", CLOCK.now())).site == "H001"


def test_a_key_set_names_its_hub_and_no_other_purpose_signs_it(tmp_path: Path) -> None:
    from certs.authority import Authority
    from gateway.envelope.kem import KemKeys
    from gateway.keyset import sign_key_set
    from gateway.trust import FileSigner

    authority = Authority.create(tmp_path / "pki", CLOCK)
    key, now = keyfile.new(), CLOCK.now()
    publics = KemKeys.generate("k1").publics()
    hub_signer = FileSigner(key, authority.issue_hub(key.public_key(), "north").chain)
    good = read_key_set(sign_key_set("north", publics, hub_signer, now), authority.trust, now)
    assert (good.hub, good.keys, rfc3339(good.issued_at)) == ("north", publics, rfc3339(now))
    with pytest.raises(Unverified, match="signed by 'north'"):
        read_key_set(sign_key_set("south", publics, hub_signer, now), authority.trust, now)
    device = FileSigner(key, authority.issue_device(request(key), "H001", "1").chain)
    with pytest.raises(Unverified, match="hub's signer"):
        read_key_set(sign_key_set("north", publics, device, now), authority.trust, now)
    with pytest.raises(Unverified, match="expired"):
        read_key_set(
            sign_key_set("north", publics, hub_signer, now), authority.trust, now + timedelta(days=400)
        )


@pytest.mark.parametrize(
    ("status", "data", "kind", "words"),
    [
        (200, b"<html>", Malformed, "is it a telerad hub"),
        (200, b"[]", Malformed, "no object"),
        (403, b'{"error": {"message": "used"}}', NotAllowed, "the hub says: used"),
        (422, b'{"error": {"message": "no"}}', Refused, "the hub says: no"),
        (503, b"{}", Unavailable, "status 503"),
    ],
)
def test_other_answers_are_told_apart(status: int, data: bytes, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        enrolling._read_answer("https://hub.test", status, data)


async def test_a_certificate_for_another_key_is_not_kept(hub: SmallHub, tmp_path: Path) -> None:
    enrolled = await hub.enrolment.enrol(await hub.token(), csr())
    root = pem(hub.authority.roots).decode()
    answer = {
        "root": root,
        "chain": pem(enrolled.issued.chain).decode(),
        "key_set": hub.keys.signed_key_set().decode(),
    }
    with pytest.raises(Unverified, match="for another key"):
        enrolling._keep(
            tmp_path / "identity", DeviceKeys.new(), hub.authority.root, "https://h", answer, CLOCK
        )
    with pytest.raises(Malformed, match="'chain' in the hub's answer holds no readable certificate"):
        enrolling._keep(
            tmp_path / "identity", DeviceKeys.new(), hub.authority.root, "https://h", {"root": root}, CLOCK
        )
    assert not (tmp_path / "identity").exists()


@pytest.mark.parametrize("way", [("POST", "/enroll"), ("POST", "/enroll/return"), ("GET", "/whoami")])
async def test_an_address_that_asks_too_often_is_told_to_wait(hub: SmallHub, way: tuple[str, str]) -> None:
    method, path = way
    answers = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as session:
        for _ in range(int(routes.BURST) + 20):
            async with session.request(method, hub.config.web.url + path, data=b"{}") as answer:
                answers.append(answer.status)
                if answer.status == 429:
                    told = await answer.json()
                    assert int(answer.headers["Retry-After"]) >= 1
                    assert (told["error"]["code"], "wait" in told["error"]["message"]) == ("too_many", True)
                    break
    assert answers[-1] == 429
    assert len(answers) > routes.BURST


async def test_a_token_that_is_no_text_is_refused_in_plain_words(hub: SmallHub) -> None:
    body = b'{"token": "\\ud800", "csr": "x"}'
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as session,
        session.post(hub.config.web.url + "/enroll", data=body) as answer,
    ):
        assert answer.status == 400
        assert "no text" in (await answer.json())["error"]["message"]
