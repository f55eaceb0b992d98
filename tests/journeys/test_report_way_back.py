"""A report's way from the desk into the hospital and its acknowledgement back, over HTTP on this machine."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from edge.config import Downlink as Settings
from edge.downlink.deliver import Delivery
from edge.downlink.deliver_folder import FolderDelivery
from edge.downlink.deliver_hl7 import Hl7Delivery
from edge.downlink.inbox import Entry
from edge.downlink.poller import Downlink
from edge.downlink.verify import Verified
from gateway.clock import SystemClock
from gateway.config import Seconds
from gateway.envelope.signature import sign
from gateway.errors import NotAllowed, NotFound, Refused, Unavailable, Unverified
from gateway.report.delivery import ACKNOWLEDGEMENT_KIND, Acknowledgement, Outcome
from gateway.trust import Identity
from hub.downlink.outbox import Outbox
from hub.tables.fleet import devices
from hub.tables.report import deliveries
from tests.doubles.delivery import HttpHub, SmallIdentity, device_identity, http_hub, hub_signer, ris
from tests.doubles.desk import CLOCK, PASSPHRASE, WEI, Office, office
from tests.doubles.report import CHINESE
from tests.doubles.signed import authority

FAST = Settings(poll=Seconds(1), retry_first=Seconds(0.05), retry_cap=Seconds(0.1))
BODY = {"findings": CHINESE.findings, "impression": CHINESE.impression, "language": "zh", "critical": True}


@dataclass
class Scene:
    office: Office
    outbox: Outbox
    hub: HttpHub
    identity: SmallIdentity
    folder: Path

    async def sign(self) -> dict[str, Any]:
        saved = await self.office.desk.save(WEI, 1, 0, BODY)
        return await self.office.desk.sign(WEI, 1, saved["revision"], PASSPHRASE)

    def downlink(self, places: Sequence[Delivery]) -> Downlink:
        identity: Any = self.identity
        return Downlink(self.folder / "downlink", self.hub, identity, places, FAST, SystemClock())

    async def report(self, report: str) -> dict[str, Any]:
        return (await self.office.desk.report(WEI, report))["delivery"]  # type: ignore[no-any-return]  # JSON

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def place(self) -> FolderDelivery:
        return FolderDelivery("folder", self.out)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    device = authority().device()
    async with office(tmp_path) as made:
        outbox = Outbox(made.database, made.archive.store, hub_signer, authority().trust, made.custody, CLOCK)
        async with http_hub(outbox, device) as hub:
            yield Scene(made, outbox, hub, SmallIdentity(device, authority().trust), tmp_path)


@asynccontextmanager
async def running(downlink: Downlink) -> AsyncIterator[None]:
    task = asyncio.create_task(downlink.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(look: Callable[[], Any], wanted: Callable[[Any], bool], seconds: float = 15) -> Any:
    async with asyncio.timeout(seconds):
        while True:
            found = await look()
            if wanted(found):
                return found
            await asyncio.sleep(0.02)


async def test_from_the_desk_to_the_folder_and_the_ris_and_back(scene: Scene) -> None:
    async with ris("AA") as receiver:
        hl7 = Hl7Delivery("ris", "127.0.0.1", receiver.port, "TELERAD", SystemClock())
        async with running(scene.downlink([scene.place(), hl7])):
            report = await scene.sign()
            done = await until(lambda: scene.report(report["id"]), lambda d: d["state"] == "acknowledged")
    assert {one["destination"]: one["outcome"] for one in done["outcomes"]} == {
        "folder": "delivered",
        "ris": "delivered",
    }
    assert done["fetched_at"] <= done["acknowledged_at"]
    (pdf,) = scene.out.rglob("*.pdf")
    assert hashlib.sha256(pdf.read_bytes()).hexdigest() == report["pdf_sha256"]
    assert len(receiver.messages) == 1
    names = scene.office.custody.names()
    assert names[:2] == ["report-signed", "report-fetched"]
    assert names[-1] == "report-acknowledged"
    assert not list((scene.folder / "downlink").glob("*.json"))


async def test_each_destination_is_tried_on_its_own_and_the_portal_sees_it(scene: Scene) -> None:
    async with ris("AE") as receiver:
        hl7 = Hl7Delivery("ris", "127.0.0.1", receiver.port, "TELERAD", SystemClock())
        async with running(scene.downlink([scene.place(), hl7])):
            report = await scene.sign()

            def refused(delivery: dict[str, Any]) -> bool:
                return "refused" in [one["outcome"] for one in delivery["outcomes"]]

            seen = await until(lambda: scene.report(report["id"]), refused)
            assert "检查号 not known" in seen["reason"]
            await until(lambda: scene.report(report["id"]), lambda d: d["state"] == "delivered")
            receiver.behaviour = "AA"
            await until(lambda: scene.report(report["id"]), lambda d: d["state"] == "acknowledged")
    assert len({message.split(b"|")[9] for message in receiver.messages}) == 1


async def test_the_disk_shows_no_patient_while_a_report_waits(scene: Scene) -> None:
    class Away:
        name, kind = "pacs", "dicom"

        async def deliver(self, verified: Verified) -> str:
            raise Unavailable("PACS cannot be reached")

    downlink = scene.downlink([Away()])
    async with running(downlink):
        report = await scene.sign()
        await until(lambda: scene.report(report["id"]), lambda d: d["state"] == "verified" and d["outcomes"])
    (status,) = downlink.status()["deliveries"]
    assert status["destinations"][0]["detail"] == "PACS cannot be reached"
    text = b"".join(file.read_bytes() for file in (scene.folder / "downlink").rglob("*") if file.is_file())
    assert b"pacs" in text
    for secret in ("Zhang", "张", "血肿", "%PDF"):
        assert secret.encode() not in text


class Crash(BaseException):
    """What kill -9 is to a test: nothing after it runs."""


@pytest.mark.parametrize("step", ["before", "after"])
async def test_a_crash_around_a_delivery_neither_loses_nor_doubles_it(scene: Scene, step: str) -> None:
    place = scene.place()

    class Falling(FolderDelivery):
        async def deliver(self, verified: Verified) -> str:
            if step == "after":
                await place.deliver(verified)
            raise Crash

    report = await scene.sign()
    with pytest.raises(BaseExceptionGroup):
        await scene.downlink([Falling("folder", scene.out)]).run()
    async with running(scene.downlink([place])):
        await until(lambda: scene.report(report["id"]), lambda d: d["state"] == "acknowledged")
    assert len(list(scene.out.rglob("*.pdf"))) == 1
    assert len([file for file in scene.out.rglob("*") if file.is_file()]) == 3


async def test_a_crash_before_each_durable_step_is_mended_by_the_next_start(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = await scene.sign()
    from gateway import durable

    real, left = durable.replace, [0]

    def falling(*arguments: Any, **options: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Crash
        real(*arguments, **options)

    crashes = 0
    for steps in range(12):
        left[0] = steps
        with monkeypatch.context() as patch:
            patch.setattr(durable, "replace", falling)
            task = asyncio.create_task(scene.downlink([scene.place()]).run())
            while not task.done() and (await scene.report(report["id"]))["state"] != "acknowledged":  # noqa: ASYNC110  # a row is waited for
                await asyncio.sleep(0.02)
            task.cancel()
            (ended,) = await asyncio.gather(task, return_exceptions=True)
        crashes += isinstance(ended, BaseExceptionGroup)
        if (await scene.report(report["id"]))["state"] == "acknowledged":
            break
    assert crashes >= 2
    assert (await scene.report(report["id"]))["state"] == "acknowledged"
    assert len(list(scene.out.rglob("*.pdf"))) == 1


async def test_an_edge_that_lost_its_memory_delivers_again_without_doubling(scene: Scene) -> None:
    report = await scene.sign()

    class Away(FolderDelivery):
        async def deliver(self, verified: Verified) -> str:
            raise Unavailable("unmounted")

    async with running(scene.downlink([Away("folder", scene.out)])):
        await until(lambda: scene.report(report["id"]), lambda d: d["outcomes"] != [])
    for file in (scene.folder / "downlink").rglob("*.json"):
        file.unlink()
    async with running(scene.downlink([scene.place()])):
        await until(lambda: scene.report(report["id"]), lambda d: d["state"] == "acknowledged")
    assert len(list(scene.out.rglob("*.pdf"))) == 1


async def test_a_report_that_does_not_hold_is_not_delivered_and_the_hub_is_told_why(scene: Scene) -> None:
    scene.identity.trust = type(scene.identity.trust)([])  # an edge that trusts nobody
    async with running(scene.downlink([scene.place()])):
        report = await scene.sign()
        seen = await until(lambda: scene.report(report["id"]), lambda d: d["state"] == "refused")
    assert "is not signed by a root that is trusted here" in seen["reason"]
    assert not scene.out.exists()
    scene.identity.trust = authority().trust
    async with running(scene.downlink([scene.place()])):
        await until(lambda: scene.report(report["id"]), lambda d: d["state"] == "acknowledged")


async def test_the_hub_being_away_only_delays(scene: Scene) -> None:
    scene.hub.away = True
    downlink = scene.downlink([scene.place()])
    async with running(downlink):
        report = await scene.sign()
        await asyncio.sleep(0.2)
        assert downlink.status()["trouble"] == "the hub cannot be reached"
        scene.hub.away = False
        await until(lambda: scene.report(report["id"]), lambda d: d["state"] == "acknowledged")


async def test_an_acknowledgement_counts_only_from_the_right_edge_in_the_right_order(scene: Scene) -> None:
    report = await scene.sign()
    device, other = scene.identity.signer, authority().device("H002")
    (row,) = await scene.outbox.waiting(device_identity(device))
    await scene.outbox.package(device_identity(device), row["id"])
    at = "2026-11-22T15:00:00.000000Z"
    outcome = Outcome("folder", "folder", "delivered", "", at)
    said = Acknowledgement(
        row["id"],
        report["id"],
        "0" * 64,
        scene.identity.site,
        2,
        "delivered",
        "",
        (outcome,),
        at,  # type: ignore[arg-type]
    )

    async def tell(
        word: Acknowledgement, signer: Any = device, caller: Any = device, kind: str = ACKNOWLEDGEMENT_KIND
    ) -> None:
        statement = sign(kind, word.to_bytes(), signer)
        await scene.outbox.acknowledge(device_identity(caller), word.delivery_id, statement)

    with pytest.raises(NotAllowed):
        await tell(said, signer=other)
    with pytest.raises(NotFound):
        await tell(replace(said, site="H002"), signer=other, caller=other)  # type: ignore[arg-type]
    with pytest.raises(NotAllowed):
        await tell(replace(said, report_id="0" * 32))
    with pytest.raises(Unverified):
        await tell(said, kind="delivery-manifest")
    with pytest.raises(Unverified):
        await tell(said, signer=hub_signer())
    with pytest.raises(NotFound):
        await scene.outbox.package(device_identity(other), row["id"])
    assert await scene.outbox.waiting(device_identity(other)) == []
    await tell(said)
    await tell(replace(said, revision=1, state="refused"))
    assert (await scene.report(report["id"]))["state"] == "delivered"
    await tell(replace(said, revision=3, state="acknowledged"))
    with pytest.raises(Refused):
        await tell(replace(said, revision=4, state="refused"))
    async with scene.office.database.reading() as connection:
        kept = (await connection.execute(select(deliveries.c.state))).scalar_one()
    assert kept == "acknowledged"


async def enrolled(scene: Scene, who: Identity) -> None:
    row = {"fingerprint": "f" * 64, "site": who.site, "edge": who.edge, "serial": "1", "certificate": b""}
    times = {"issued_at": "2026-01-01T00:00:00.000000Z", "not_after": "2999-01-01T00:00:00.000000Z"}
    async with scene.office.database.writing() as connection:
        await connection.execute(insert(devices).values(**row, **times))


async def test_of_two_edges_at_a_site_the_first_to_fetch_keeps_a_report(scene: Scene) -> None:
    await scene.sign()
    first, second = (device_identity(authority().device("H001", edge)) for edge in ("1", "2"))
    await enrolled(scene, first)
    (row,) = await scene.outbox.waiting(first)
    assert await scene.outbox.waiting(second) == [row]
    assert await scene.outbox.package(first, row["id"])
    assert await scene.outbox.waiting(second, everything=True) == []
    with pytest.raises(NotFound):
        await scene.outbox.package(second, row["id"])
    assert await scene.outbox.package(first, row["id"])
    async with scene.office.database.writing() as connection:
        await connection.execute(update(devices).values(revoked=True))
    assert len(await scene.outbox.waiting(second, everything=True)) == 1
    assert await scene.outbox.package(second, row["id"])


def test_entries_begin_where_the_hub_stopped_counting() -> None:
    entry = Entry("a" * 32, "", "b" * 32, revision=7, told=7).reject("x")
    assert entry.revision == 8
