"""An edge follows the hub's custody log over the real line, cosigns what grew, and cries out at another history."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import delete, select, update

from edge.enroll import enroll
from edge.hub_client import HubClient
from edge.witness import Witness
from gateway import canonical
from gateway.clock import SystemClock
from gateway.custody import merkle
from gateway.custody.checkpoint import NoteVerifier, open_checkpoint
from gateway.custody.witness import WITNESS_KEY_KIND, cosign, open_cosignature, say_key
from gateway.envelope.record import base64_text
from gateway.errors import Malformed, NotAllowed, Refused, StorageFull, Unavailable, Unverified
from hub.audit.events import KINDS
from hub.audit.follower import FOLLOWED
from hub.custody import CustodyLog
from hub.tables.alert import alerts
from hub.tables.custody import checkpoints, cosignatures, custody, witnesses
from hub.witnesses import Witnesses, witness_routes
from tests.doubles.small_hub import SmallHub, small_hub

CLOCK = SystemClock()


class Scene:
    def __init__(self, hub: SmallHub, log: CustodyLog, client: HubClient, data: Path) -> None:
        self.hub, self.log, self.client, self.data = hub, log, client, data
        self.witness = Witness(data, client.identity, client, CLOCK)

    async def add(self, *events: str) -> None:
        async with self.hub.database.writing() as connection:
            for event in events:
                await self.log.append(connection, event, site="H001", subject="0" * 64)

    async def rows(self, table):
        async with self.hub.database.reading() as connection:
            return (await connection.execute(select(table))).mappings().all()


@asynccontextmanager
async def scene(folder: Path):
    logs: list[CustodyLog] = []

    def routes(hub: SmallHub):
        keys = hub.keys
        logs.append(CustodyLog(hub.database, keys.checkpoint_signer, CLOCK))
        station = Witnesses(
            hub.database, logs[0], keys.checkpoint_signer, lambda: keys.receipt_signer, keys.trust, CLOCK
        )
        return witness_routes(station)

    async with small_hub(folder, routes) as hub:
        identity = await enroll(await hub.invitation(), folder / "edge", CLOCK)
        async with HubClient(identity, CLOCK) as client:
            yield Scene(hub, logs[0], client, folder / "edge")


async def test_a_growing_log_is_cosigned_and_every_line_verifies(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        assert await at.witness.look() == 0  # nothing was logged yet
        await at.add("one")
        assert await at.witness.look() == 1
        await at.add("two", "three")
        again = Witness(at.data, at.client.identity, at.client, CLOCK)  # after a restart
        assert await again.look() == 3
        assert again.alarm == ""
        notes = {row["size"]: row["note"] for row in await at.rows(checkpoints)}
        (known,) = await at.rows(witnesses)
        lines = await at.rows(cosignatures)
        assert [row["size"] for row in lines] == [1, 3]
        key = NoteVerifier.parse(json.loads(_payload(known["statement"]))["key"])
        for row in lines:
            state = open_checkpoint(notes[row["size"]], [at.hub.keys.checkpoint_signer.verifier])
            assert open_cosignature(row["line"], state, key).name == "telerad/site/H001/edge/1"
        with pytest.raises(Unverified):
            open_cosignature(lines[0]["line"], state, key)


def _payload(statement: bytes) -> bytes:
    from gateway.envelope.signature import Statement

    return Statement.from_bytes(statement).payload


async def test_attack_27_a_rewritten_history_is_noticed_and_told(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        await at.add("one", "two")
        assert await at.witness.look() == 2
        leaf = {"position": 0, "event": "lie", "at": "", "site": "", "subject": "", "detail": {}}
        text = canonical.dump(leaf)
        async with at.hub.database.writing() as connection:  # whoever owns the hub owns its tables and keys
            await connection.execute(
                update(custody)
                .where(custody.c.position == 0)
                .values(leaf=text.decode(), leaf_hash=merkle.leaf_hash(text).hex())
            )
            await connection.execute(delete(cosignatures))
            await connection.execute(delete(checkpoints))
        at.log._frontier = merkle.Frontier()
        await at.add("three")
        assert await at.witness.look() == 0
        assert "does not continue" in at.witness.alarm
        assert not await at.rows(cosignatures)
        (alert,) = await at.rows(alerts)
        assert (alert["site"], alert["edge"], alert["kind"]) == ("H001", "1", "log-contradicted")
        assert KINDS[FOLLOWED["witness-alarm"]]  # searchable and exported, too
        await at.witness.look()
        assert len(await at.rows(alerts)) == 1, "told once an hour"
        proof = json.loads((at.data / "witness" / "contradiction.json").read_bytes())
        assert b64decode(proof["seen"]) != b64decode(proof["told"])
        again = Witness(at.data, at.client.identity, at.client, CLOCK)
        assert "before this start" in again.alarm, "a restart does not hush it up"


class Refusing:
    """A client that meets what a real one does on a bad day."""

    def __init__(self, identity, error: Exception) -> None:
        self.identity, self._error = identity, error

    async def json(self, *_: object, **__: object) -> object:
        raise self._error

    async def read(self, *_: object, **__: object) -> bytes:
        raise self._error


@pytest.mark.parametrize(
    "error", [Unverified("a proxy shows its own certificate"), Unavailable("away"), Malformed("no JSON")]
)
async def test_somebody_else_on_the_line_is_no_rewritten_log_and_stops_nothing(
    tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.witness.SECONDS", 0.01)
    async with scene(tmp_path) as at:
        witness = Witness(at.data, at.client.identity, Refusing(at.client.identity, error), CLOCK)  # type: ignore[arg-type]
        running = asyncio.create_task(witness.run())
        await asyncio.sleep(0.1)
        assert not running.done()
        running.cancel()
        assert witness.alarm == ""
        assert not await at.rows(alerts)


async def test_a_full_disk_and_a_damaged_record_are_this_edge_s_own_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.witness.SECONDS", 0.01)
    async with scene(tmp_path) as at:
        await at.add("one")
        await at.witness.look()
        (at.data / "witness" / "seen.json").write_bytes(b"{")
        assert await at.witness.look() == 1
        assert at.witness.alarm == ""
        assert (at.data / "witness" / "seen.damaged").exists()
        await at.add("two")

        def full(*_: object, **__: object) -> None:
            raise StorageFull("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr("gateway.durable.replace", full)
            running = asyncio.create_task(at.witness.run())
            await asyncio.sleep(0.3)
            assert not running.done()
            running.cancel()
        assert [row["size"] for row in await at.rows(cosignatures)] == [1], (
            "what was not kept is not cosigned"
        )


@pytest.mark.parametrize(
    "answer", [None, [], {"note": "", "log_key": ""}, {"note": 1, "log_key": 2, "proof": [3]}]
)
async def test_an_answer_out_of_form_is_told_as_that(tmp_path: Path, answer: object) -> None:
    class Odd(Refusing):
        async def json(self, *_: object, **__: object) -> object:
            return answer

    async with scene(tmp_path) as at:
        witness = Witness(at.data, at.client.identity, Odd(at.client.identity, Refused("")), CLOCK)  # type: ignore[arg-type]
        with pytest.raises(Malformed):
            await witness.look()
        assert witness.alarm == ""


async def test_a_log_that_lost_its_end_is_noticed(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        await at.add("one", "two", "three")
        await at.witness.look()
        async with at.hub.database.writing() as connection:
            await connection.execute(delete(cosignatures))
            await connection.execute(delete(checkpoints))
            await connection.execute(delete(custody).where(custody.c.position == 2))
        at.log._frontier = merkle.Frontier()
        assert await at.witness.look() == 0
        assert at.witness.alarm


async def test_nobody_witnesses_for_another_edge_or_with_another_key(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        await at.add("one")
        assert await at.witness.look() == 1
        note = (await at.rows(checkpoints))[0]["note"]
        state = open_checkpoint(note, [at.hub.keys.checkpoint_signer.verifier])
        for name, refusal in (
            ("telerad/site/H002/edge/1", NotAllowed),
            ("telerad/site/H001/edge/1", NotAllowed),
        ):
            other = Ed25519PrivateKey.generate()
            key = NoteVerifier(name, other.public_key().public_bytes_raw())
            body = {
                "key": base64_text(say_key(WITNESS_KEY_KIND, key, at.client.identity.signer, CLOCK.now())),
                "line": cosign(state, name, other, CLOCK.now()),
                "size": 1,
            }
            with pytest.raises(refusal):
                await at.client.read("POST", "/v1/custody/cosign", data=canonical.dump(body))
        with pytest.raises(Refused):
            await at.client.read("POST", "/v1/custody/cosign", data=b'{"line":"x"}')
        assert len(await at.rows(cosignatures)) == 1


async def test_an_edge_that_asks_for_proofs_without_end_is_told_to_wait(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        await at.add("one")
        with pytest.raises(Unavailable, match="wait") as caught:
            for _ in range(40):
                await at.client.json("GET", "/v1/custody", params={"old": "0"})
        assert caught.value.retry_after is not None
