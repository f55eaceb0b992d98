"""The hub's custody log: rows nobody changes, in one Merkle tree whose root is signed.

An event is written inside the transaction that makes it true, so that there is none without the
other. Leaves hold digests and opaque identifiers, never names or UIDs. `CustodyLog.checkpoint`
signs the state of the whole log; whoever keeps a checkpoint can prove later that nothing before it
was changed. Every entry has a seal (`hub.seals`), so that one put in by hand is told from ours; `hub.sealed`
looks for those.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import exists, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import canonical
from gateway.clock import Clock, SystemClock, rfc3339
from gateway.custody import merkle
from gateway.custody.bundle import ProvenEntry
from gateway.custody.checkpoint import Checkpoint, NoteSigner, open_checkpoint, sign_checkpoint
from gateway.database import Database
from gateway.errors import Broken, Malformed, Refused
from hub.persons import subject_of_person
from hub.record import Person
from hub.seals import Seals
from hub.tables.custody import checkpoints, custody, leaf_seals

BATCH = 10_000
"""Leaves read at a time when the tree is built up."""

HASH_BYTES = 32

SUBJECTS = 500
"""Subjects asked for in one query."""


SEALS_BEGUN = "seals-begun"
"""From this entry on every one has a seal; with ``by`` in its detail somebody vouches for those before."""

_END = select(
    func.coalesce(select(func.max(custody.c.position)).scalar_subquery(), -1) + 1,
    exists(select(leaf_seals.c.position)),
)
"""The next position, and whether entries are sealed."""

_BESIDE = (custody.c.event, custody.c.at, custody.c.site, custody.c.subject)
"""What a row repeats of its leaf, to be searched."""

CHECKPOINT_PERIOD = 60.0
"""Seconds between signed checkpoints: how much history could be rewritten unseen."""


REMEDY = (
    "Somebody changed the database past the hub, or it was restored in part; the hub stops, so that nothing"
    " is written beside it, and edges keep what they have. What to do: (1) copy the data folder as it is,"
    " for whoever finds out what happened; (2) restore the newest backup whose log is whole (check it by"
    " telerad hub custody audit), the database and the keys folder from the same moment; (3) start the hub:"
    " edges notice and send again what it has lost. SECURITY.md, “A broken custody log”"
)


def log_name(hub: str) -> str:
    """The origin of a hub's log, and the name of the key that signs it."""
    return f"telerad/{hub}"


class CustodyLog:
    """The log.

    Args:
        database: the hub's.
        signer: signs checkpoints; its name is the log's origin. Without one, the log only grows.
        clock: for the time of events.
        seals: mark entries as ours; None, for a log that is only read.
    """

    def __init__(
        self, database: Database, signer: NoteSigner | None, clock: Clock, seals: Seals | None = None
    ) -> None:
        self._database, self._signer, self._clock, self._seals = database, signer, clock, seals
        self._frontier = merkle.Frontier()
        self._hashes = bytearray()  # of every leaf in the frontier: 32 bytes each; a log only grows
        self._lock = asyncio.Lock()

    @classmethod
    def of(cls, data: Path, database: Database) -> CustodyLog:
        """For this machine's own commands, which add to it. Raises as `hub.seals.read_key`."""
        return cls(database, None, SystemClock(), Seals.load(data))

    async def append(
        self,
        connection: AsyncConnection,
        event: str,
        *,
        site: str = "",
        subject: str | Person = "",
        detail: Mapping[str, Any] = {},
    ) -> None:
        """Add an event inside the caller's own `writing` transaction.

        Args:
            connection: the caller's; two writers queue at the database, so positions have no gap.
            event: what happened, at most 32 characters, such as ``stored``.
            site: the hospital it is about, if one.
            subject: what it is about: a digest, an opaque identifier or a person, never a name or UID.
            detail: more of the same kind; JSON without floats.
        """
        position, begun = (await connection.execute(_END)).one()
        if self._seals is not None and not begun:
            await self._write(connection, position, SEALS_BEGUN, "", "", {})
            position += 1
        salted = {key: await _said(connection, value) for key, value in detail.items()}
        await self._write(connection, position, event, site, await _said(connection, subject), salted)

    async def begin_seals(self, connection: AsyncConnection, by: Person) -> None:
        """Enter that somebody vouches for every entry so far, because the key of its seals is lost.

        Args:
            connection: in a `writing` transaction.
            by: who vouches.
        """
        said = {"by": await _said(connection, by)}
        position, _ = (await connection.execute(_END)).one()
        await self._write(connection, position, SEALS_BEGUN, "", "", said)

    async def _write(
        self,
        connection: AsyncConnection,
        position: int,
        event: str,
        site: str,
        subject: str,
        detail: Mapping[str, Any],
    ) -> None:
        said = {"event": event, "at": rfc3339(self._clock.now()), "site": site, "subject": subject}
        leaf = canonical.dump({"position": position, **said, "detail": detail})
        leaf_hash = merkle.leaf_hash(leaf)
        await connection.execute(
            insert(custody).values(position=position, **said, leaf=leaf.decode(), leaf_hash=leaf_hash.hex())
        )
        if self._seals is not None:
            seal = self._seals.leaf(leaf_hash)
            await connection.execute(insert(leaf_seals).values(position=position, seal=seal))

    async def checkpoint(self) -> bytes | None:
        """Sign the log's present state and keep the note.

        Returns:
            The signed note (C2SP), the one kept already if nothing was added since; None without a
            signer or without entries.

        Raises:
            Broken: the table is not what was written to it: a gap, or a root that was signed is another now.
        """
        if self._signer is None:
            return None
        async with self._lock, self._database.writing() as connection:
            await self._grow(connection)
            size = self._frontier.size
            if not size:
                return None
            state = Checkpoint(self._signer.verifier.name, size, self._frontier.root())
            kept = (
                await connection.execute(
                    select(checkpoints.c.root, checkpoints.c.note).where(checkpoints.c.size == size)
                )
            ).one_or_none()
            if kept is not None:
                if kept.root != state.root.hex():
                    raise _broken(f"the custody log of {size} entries was changed after it was signed")
                return bytes(kept.note)
            note = sign_checkpoint(state, self._signer)
            await connection.execute(
                insert(checkpoints).values(
                    size=size, root=state.root.hex(), note=note, at=rfc3339(self._clock.now())
                )
            )
            return note

    async def run(self, every: float = CHECKPOINT_PERIOD) -> None:
        """Sign a checkpoint now and every `every` seconds, for ever. Raises Broken as `checkpoint` does."""
        while True:
            await self.checkpoint()
            await asyncio.sleep(every)

    async def audit(self) -> int:
        """Read the whole log and compare it with every leaf, and every signed root, that was kept.

        Returns:
            How many entries it has.

        Raises:
            Broken: an entry or a signed root does not hold.
        """
        frontier = merkle.Frontier()
        async with self._database.reading() as connection:
            signed = {
                row.size: row.root
                for row in await connection.execute(select(checkpoints.c.size, checkpoints.c.root))
            }
            rows = await connection.stream(
                select(custody.c.position, custody.c.leaf, custody.c.leaf_hash, *_BESIDE).order_by(
                    custody.c.position
                )
            )
            async for row in rows:
                leaf = canonical.load(row.leaf.encode())
                if row.position != frontier.size or leaf.get("position") != row.position:
                    raise _broken(f"the custody log has a gap at entry {frontier.size}")
                leaf_hash = merkle.leaf_hash(row.leaf.encode())
                beside = any(leaf.get(one.name) != getattr(row, one.name) for one in _BESIDE)
                if leaf_hash.hex() != row.leaf_hash or beside:
                    raise _broken(f"entry {row.position} of the custody log was changed")
                frontier.append(leaf_hash)
                expected = signed.pop(frontier.size, None)
                if expected is not None and frontier.root().hex() != expected:
                    raise _broken(f"the custody log was changed before entry {frontier.size}")
        if signed:
            raise _broken(
                f"the custody log lost entries: {max(signed)} were signed, {frontier.size} are here"
            )
        return frontier.size

    async def root_at(self, size: int) -> str:
        """The root of the first `size` entries (hexadecimal), as they are now.

        Raises:
            Refused: the log has fewer entries.
        """
        if size < 0:
            raise Refused(f"no log has {size} entries")
        leaves = await self._leaves(size)
        return (await asyncio.to_thread(lambda: merkle.root(_split(leaves)))).hex()

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the log of `old` entries grew into that of `new` (RFC 9162 §2.1.4).

        Raises:
            Refused: the log never had so many entries.
        """
        leaves = await self._leaves(new)
        if not 0 <= old <= new:
            raise Refused(f"a log of {new} entries never had {old}")
        return await asyncio.to_thread(lambda: merkle.consistency_proof(old, _split(leaves)))

    async def prove(self, subject: str, size: int) -> list[ProvenEntry]:
        """Every entry about `subject` among the first `size`, each with its inclusion proof.

        Raises:
            Refused: the log has fewer entries.
        """
        return await self.prove_all([subject], size)

    async def prove_all(self, subjects: Sequence[str], size: int) -> list[ProvenEntry]:
        """As `prove`, for several subjects at once; in the log's order.

        Raises:
            Refused: the log has fewer entries.
        """
        leaves = await self._leaves(size)
        rows: list[Any] = []
        async with self._database.reading() as connection:
            for start in range(0, len(subjects), SUBJECTS):
                some = subjects[start : start + SUBJECTS]
                query = select(custody.c.position, custody.c.leaf).where(
                    custody.c.subject.in_(some), custody.c.position < size
                )
                rows += (await connection.execute(query)).all()
        rows.sort(key=lambda row: row.position)
        positions = [row.position for row in rows]
        proofs = await asyncio.to_thread(lambda: merkle.inclusion_proofs(positions, _split(leaves)))
        return [
            ProvenEntry(row.position, row.leaf.encode(), tuple(proof))
            for row, proof in zip(rows, proofs, strict=True)
        ]

    async def prove_newest(self, subject: str) -> tuple[bytes, list[ProvenEntry]] | None:
        """A checkpoint of now and every entry about `subject`; None if there is no entry or signer."""
        note = await self.checkpoint()
        if note is None or self._signer is None:
            return None
        entries = await self.prove(subject, open_checkpoint(note, [self._signer.verifier]).size)
        return (note, entries) if entries else None

    async def _leaves(self, size: int) -> bytes:
        """The leaf hashes of the first `size` entries, one behind the other; only new ones are read."""
        async with self._lock:
            if self._frontier.size < size:
                async with self._database.reading() as connection:
                    await self._grow(connection)
            if self._frontier.size < size:
                raise Refused(f"the log has {self._frontier.size} entries, not {size}")
            return bytes(self._hashes[: size * HASH_BYTES])

    async def _grow(self, connection: AsyncConnection) -> None:
        """Bring the kept tree up to the table, reading only what is new."""
        while True:
            start = self._frontier.size
            rows = await connection.execute(
                select(custody.c.position, custody.c.leaf_hash)
                .where(custody.c.position >= start, custody.c.position < start + BATCH)
                .order_by(custody.c.position)
            )
            for row in rows:
                if row.position != self._frontier.size:
                    raise _broken(f"the custody log has a gap at entry {self._frontier.size}")
                leaf_hash = bytes.fromhex(row.leaf_hash)
                self._frontier.append(leaf_hash)
                self._hashes += leaf_hash
            if self._frontier.size < start + BATCH:
                return


def _broken(what: str) -> Broken:
    return Broken(f"{what}. {REMEDY}")


def entry_of(leaf: str) -> dict[str, Any]:
    """An entry as its row holds it. What somebody put there by hand and is none has nothing to say.

    Returns:
        ``event``, ``site`` and ``subject`` as text and ``detail`` as a mapping, whatever lies there.
    """
    try:
        said = canonical.load(leaf.encode("utf-8", "surrogatepass"))
    except (Malformed, UnicodeError):
        said = None
    said = said if isinstance(said, dict) else {}
    texts = {name: str(said.get(name, "")) for name in ("event", "site", "subject")}
    detail = said.get("detail")
    return {**said, **texts, "detail": detail if isinstance(detail, dict) else {}}


async def newest_checkpoint(connection: AsyncConnection) -> tuple[int, str] | None:
    """Entries and root (hexadecimal) of the newest signed checkpoint; None if there is none yet."""
    query = select(checkpoints.c.size, checkpoints.c.root).order_by(checkpoints.c.size.desc()).limit(1)
    row = (await connection.execute(query)).first()
    return None if row is None else (row.size, row.root)


async def _said(connection: AsyncConnection, value: Any) -> Any:
    return await subject_of_person(connection, value) if isinstance(value, Person) else value


def _split(hashes: bytes) -> list[bytes]:
    return [hashes[start : start + HASH_BYTES] for start in range(0, len(hashes), HASH_BYTES)]
