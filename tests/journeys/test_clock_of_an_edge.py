"""An edge whose clock is off, over the true line: an alert at the hub, with how much, until it is set."""

from datetime import timedelta
from pathlib import Path

from edge.enroll import enroll
from edge.heartbeat import Heartbeat
from edge.hub_client import HubClient
from edge.identity import FOLDER, EdgeIdentity
from edge.spool.item import LinkState
from gateway.clock import SystemClock
from hub import alerts
from hub.watch import Watch
from tests.doubles.small_hub import small_hub
from tests.doubles.spools import SpoolWorld

CLOCK = SystemClock()


class Off(SystemClock):
    """The machine's clock, and by how much it is wrong."""

    by = timedelta(0)

    def now(self):  # type: ignore[no-untyped-def]
        return super().now() + self.by


async def test_a_clock_that_is_off_is_an_alert_at_the_hub_until_it_is_set(tmp_path: Path) -> None:
    world, clock = SpoolWorld(tmp_path / "spool"), Off()
    async with small_hub(tmp_path) as hub:
        await enroll(await hub.invitation(), tmp_path / "edge", CLOCK)
        identity = EdgeIdentity.load(tmp_path / "edge" / FOLDER)
        watch = Watch(hub.database, list, CLOCK)
        async with HubClient(identity, clock) as client:
            link = LinkState(True, CLOCK.now())
            told = Heartbeat(world.spool, client, lambda: link, lambda *_, **__: None, clock)

            async def look() -> list[tuple[str, str]]:
                await client.json("POST", "/v1/status", json_body=await told.status())
                await watch.look()
                async with hub.database.reading() as connection:
                    found = await alerts.listed(connection)
                return [(one["kind"], one["words"]) for one in found if not one["ended_at"]]

            assert await look() == []
            clock.by = timedelta(minutes=17)
            ahead = [("clock-ahead", "its clock is 17 min ahead of this hub's")]
            assert await look() == ahead
            clock.by = timedelta(minutes=3)
            found = [("clock-ahead", "its clock is 3 min ahead of this hub's")]
            assert await look() == found, "not right yet"
            clock.by = timedelta(seconds=20)
            assert await look() == []
            clock.by = timedelta(hours=-3, minutes=-5)
            assert await look() == [("clock-behind", "its clock is 3 h 5 min behind this hub's")]
    world.spool.close()
