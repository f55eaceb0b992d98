"""The custody log: one transaction with its cause, gap-free, and a changed row is found."""

from __future__ import annotations

import asyncio
import dataclasses
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import event, select, update

from gateway.custody import merkle
from gateway.custody.bundle import open_bundle, write_bundle
from gateway.custody.checkpoint import NoteSigner, open_checkpoint
from gateway.database import open_database, sqlite_url
from gateway.errors import Broken, Malformed, Refused, Unverified
from hub import custody as module
from hub.custody import CustodyLog
from hub.tables import VERSION, metadata
from hub.tables.custody import checkpoints, custody
from tests.doubles.clock import SetClock

SIGNER = NoteSigner("hub.example/custody", Ed25519PrivateKey.from_private_bytes(bytes(32)))  # for tests alone


@pytest.fixture
async def database(tmp_path):
    database = await open_database(sqlite_url(tmp_path / "hub.db"), metadata, version=VERSION)
    yield database
    await database.close()


async def add(log, database, count, subject="s"):
    for number in range(count):
        async with database.writing() as connection:
            await log.append(connection, "stored", site="H001", subject=subject, detail={"number": number})


async def test_positions_have_no_gap_and_leaves_say_what_happened(database):
    log = CustodyLog(database, None, SetClock())
    await add(log, database, 3)
    async with database.reading() as connection:
        rows = (await connection.execute(select(custody).order_by(custody.c.position))).all()
    assert [row.position for row in rows] == [0, 1, 2]
    assert rows[1].leaf == (
        '{"at":"2026-11-22T09:00:00.000000Z","detail":{"number":1},"event":"stored",'
        '"position":1,"site":"H001","subject":"s"}'
    )
    assert rows[1].leaf_hash == merkle.leaf_hash(rows[1].leaf.encode()).hex()


async def test_an_undone_transaction_leaves_no_event(database):
    log = CustodyLog(database, SIGNER, SetClock())
    await add(log, database, 1)

    async def undone():
        async with database.writing() as connection:
            await log.append(connection, "stored")
            raise Malformed("the cause did not come true")

    with pytest.raises(Malformed):
        await undone()
    await add(log, database, 1)
    assert await log.audit() == 2


async def test_checkpoints_continue_each_other(database, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 3)
    log = CustodyLog(database, SIGNER, SetClock())
    assert await log.checkpoint() is None
    await add(log, database, 4)
    first = open_checkpoint(await log.checkpoint(), [SIGNER.verifier])
    assert await log.checkpoint() == await log.checkpoint()
    await add(log, database, 5)
    again = CustodyLog(database, SIGNER, SetClock())  # after a restart
    second = open_checkpoint(await again.checkpoint(), [SIGNER.verifier])
    assert (first.size, second.size) == (4, 9)
    proof = await again.consistency(4, 9)
    merkle.verify_consistency(4, 9, first.root, second.root, proof)
    assert await again.audit() == 9


async def test_the_service_signs_what_was_added(database):
    log = CustodyLog(database, SIGNER, SetClock())
    await add(log, database, 2)
    service = asyncio.create_task(log.run(every=0.01))
    async with asyncio.timeout(10):
        while (note := await newest(database)) is None:  # noqa: ASYNC110 - a database rings no bell
            await asyncio.sleep(0.01)
    service.cancel()
    with pytest.raises(asyncio.CancelledError):
        await service
    assert open_checkpoint(note, [SIGNER.verifier]).size == 2


async def newest(database):
    async with database.reading() as connection:
        return (await connection.execute(select(checkpoints.c.note))).scalar()


async def test_without_a_signer_there_is_no_checkpoint(database):
    log = CustodyLog(database, None, SetClock())
    await add(log, database, 1)
    assert await log.checkpoint() is None


async def test_entries_about_a_subject_are_proven(database):
    log = CustodyLog(database, SIGNER, SetClock())
    await add(log, database, 2, "one")
    await add(log, database, 3, "two")
    await add(log, database, 2, "one")
    state = open_checkpoint(await log.checkpoint(), [SIGNER.verifier])
    entries = await log.prove("one", state.size)
    assert [entry.position for entry in entries] == [0, 1, 5, 6]
    for entry in entries:
        leaf = merkle.leaf_hash(entry.leaf)
        merkle.verify_inclusion(leaf, entry.position, state.size, entry.proof, state.root)


async def test_a_bundle_is_checked_offline(database):
    log = CustodyLog(database, SIGNER, SetClock())
    await add(log, database, 2, "one")
    await add(log, database, 3, "two")
    assert await log.prove_newest("nothing") is None
    note, entries = await log.prove_newest("two")
    bundle = write_bundle(note, entries)
    state, said = open_bundle(bundle, [SIGNER.verifier])
    assert state.size == 5
    assert [(leaf["position"], leaf["subject"]) for leaf in said] == [(2, "two"), (3, "two"), (4, "two")]
    changed = dataclasses.replace(entries[0], leaf=entries[0].leaf.replace(b"stored", b"strayed"))
    with pytest.raises(Unverified, match="entry 2 is not in the log"):
        open_bundle(write_bundle(note, [changed]), [SIGNER.verifier])
    with pytest.raises(Unverified, match="entry 3 is not in the log"):
        open_bundle(write_bundle(note, [dataclasses.replace(entries[0], position=3)]), [SIGNER.verifier])
    with pytest.raises(Unverified, match="no key"):
        open_bundle(bundle, [NoteSigner("other", Ed25519PrivateKey.generate()).verifier])
    with pytest.raises(Malformed):
        open_bundle(bundle[:-1], [SIGNER.verifier])


async def test_sizes_the_log_never_had_are_refused(database):
    log = CustodyLog(database, SIGNER, SetClock())
    await add(log, database, 2)
    with pytest.raises(Refused):
        await log.prove("s", 3)
    with pytest.raises(Refused):
        await log.consistency(3, 2)


async def test_a_changed_row_is_found(database):
    log = CustodyLog(database, SIGNER, SetClock())
    await add(log, database, 3)
    await log.checkpoint()
    async with database.writing() as connection:
        changed = select(custody.c.leaf).where(custody.c.position == 1)
        leaf = (await connection.execute(changed)).scalar().replace("stored", "strayed")
        await connection.execute(
            update(custody)
            .where(custody.c.position == 1)
            .values(leaf=leaf, leaf_hash=merkle.leaf_hash(leaf.encode()).hex(), event="strayed")
        )
    with pytest.raises(Broken, match="changed before entry 3"):
        await log.audit()
    with pytest.raises(Broken, match="changed after it was signed"):
        await CustodyLog(database, SIGNER, SetClock()).checkpoint()


@pytest.mark.parametrize("column", ["event", "at", "site", "subject"])
async def test_attack_27_an_entry_that_is_hidden_by_the_columns_beside_it_is_found(database, column):
    log = CustodyLog(database, SIGNER, SetClock())
    await add(log, database, 2)
    async with database.writing() as connection:
        await connection.execute(update(custody).where(custody.c.position == 1).values({column: "other"}))
    with pytest.raises(Broken, match="entry 1 of the custody log was changed"):
        await log.audit()


@pytest.mark.parametrize(("position", "says"), [(1, "gap at entry 1"), (2, "lost entries")])
async def test_a_missing_row_is_found(database, position, says):
    log = CustodyLog(database, SIGNER, SetClock())
    await add(log, database, 3)
    await log.checkpoint()
    async with database.writing() as connection:
        await connection.execute(custody.delete().where(custody.c.position == position))
    with pytest.raises(Broken, match=says):
        await log.audit()


async def test_a_gap_is_never_signed(database):
    log = CustodyLog(database, SIGNER, SetClock())
    await add(log, database, 3)
    async with database.writing() as connection:
        await connection.execute(custody.delete().where(custody.c.position == 1))
    with pytest.raises(Broken, match=r"gap at entry .* What to do: \(1\) copy .* \(2\) restore"):
        await log.checkpoint()


async def test_proofs_read_only_what_is_new_and_are_made_off_the_loop(database, monkeypatch):
    log = CustodyLog(database, SIGNER, SetClock())
    await add(log, database, 5)
    first = open_checkpoint(await log.checkpoint(), [SIGNER.verifier])
    await add(log, database, 4)
    second = open_checkpoint(await log.checkpoint(), [SIGNER.verifier])
    seen, threads = [], []

    def counted(connection, cursor, statement, *rest):
        seen.append(statement)

    proof_of = merkle.consistency_proof

    def watched(old, leaves):
        threads.append(threading.current_thread())
        return proof_of(old, leaves)

    monkeypatch.setattr(merkle, "consistency_proof", watched)
    event.listen(database.engine.sync_engine, "before_cursor_execute", counted)
    proof = await log.consistency(5, 9)
    merkle.verify_consistency(5, 9, first.root, second.root, proof)
    assert not any("leaf_hash" in statement for statement in seen)
    assert threads
    assert threading.main_thread() not in threads
    with pytest.raises(Refused):
        await log.consistency(5, 10)
    await add(log, database, 1)
    assert await log.consistency(9, 10)
