"""This edge as a witness of the hub's custody log: it keeps what it has seen, and signs what only grew.

``data/witness/witness.key`` is an Ed25519 key of its own; ``seen.json`` holds the newest checkpoint that
was verified, durable before it is cosigned. A hub that shows another history gets no signature, and both
ends say so loudly.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.hub_client import HubClient
from edge.identity import EdgeIdentity
from gateway import canonical, durable, keyfile
from gateway.clock import Clock, rfc3339
from gateway.custody import merkle
from gateway.custody.checkpoint import NOTE_LIMIT, Checkpoint, NoteVerifier, open_checkpoint
from gateway.custody.witness import LOG_KEY_KIND, WITNESS_KEY_KIND, cosign, open_key, say_key
from gateway.envelope.record import Record, base64_bytes, base64_text
from gateway.errors import DataError, GatewayError, Malformed, NotFound, Unverified, UsageError
from gateway.log import logger

SECONDS = 60.0
"""Between two looks."""

FOLDER = "witness"
SEEN, CONTRADICTION = "seen.json", "contradiction.json"
STATEMENT_LIMIT = 64 << 10
_SEEN_KEYS = frozenset({"key", "note"})
_ALARM = "the hub's custody log does not continue what this edge has seen ({words}); the proof is in {file}"
log = logger("edge.witness")


@dataclass(frozen=True, slots=True)
class _Seen:
    """What this edge saw last: the log's key, the note, and what it says."""

    verifier: NoteVerifier
    note: bytes
    state: Checkpoint


@dataclass(frozen=True, slots=True)
class _Told:
    """What the hub shows now."""

    note: bytes
    log_key: bytes
    proof: tuple[bytes, ...]


class Witness:
    """Follows the log.

    Args:
        data: the edge's data folder.
        identity: whose witness key it is.
        client: the way to the hub.
        clock: the time.

    Attributes:
        alarm: what is wrong with the hub's log, for the page; empty if nothing is. It stays until a person
            has looked and removed the file it names.
    """

    def __init__(self, data: Path, identity: EdgeIdentity, client: HubClient, clock: Clock) -> None:
        self._folder, self._identity, self._client, self._clock = data / FOLDER, identity, client, clock
        durable.make_folder(self._folder)
        file = self._folder / CONTRADICTION
        self.alarm = _ALARM.format(words="it was found before this start", file=file) if file.exists() else ""
        self._key = self._load_key()
        self._name = f"telerad/site/{identity.site}/edge/{identity.edge}"

    async def run(self) -> None:
        """Look for ever. A service: ends only by cancellation."""
        while True:
            try:
                await self.look()
            except GatewayError as error:  # the line is down, somebody else answers, or the disk is full
                log.warning("not witnessed", reason=str(error))
            await asyncio.sleep(SECONDS)

    async def look(self) -> int:
        """Fetch the newest checkpoint, verify it against what was seen before, keep and cosign it.

        Returns:
            Entries of the log that this edge has witnessed; 0: none this time.

        Raises:
            PeerError: the hub cannot be asked now.
            DataError: whoever answers is not the hub, or what it says cannot be read.
            StorageFull: what was seen cannot be kept.
        """
        seen = await asyncio.to_thread(self._seen)
        try:
            answer = await self._client.json(
                "GET", "/v1/custody", params={"old": str(seen.state.size if seen else 0)}
            )
        except NotFound:
            return 0  # nothing was logged yet
        told = _read(answer)
        try:
            verifier, state = self._verified(told, seen)
        except DataError as error:
            await self._contradict(told, seen, str(error))
            return 0
        if seen is None or state.size != seen.state.size:
            record = canonical.dump({"key": str(verifier), "note": base64_text(told.note)})
            await asyncio.to_thread(durable.replace, self._folder / SEEN, record)
        await self._cosign(state)
        return state.size

    def _verified(self, told: _Told, seen: _Seen | None) -> tuple[NoteVerifier, Checkpoint]:
        """The log's key and state. Raises DataError if they do not continue what was seen."""
        verifier, _ = open_key(told.log_key, LOG_KEY_KIND, self._identity.trust)
        if seen is not None and seen.verifier != verifier:
            raise Unverified("the custody log is signed by another key than before")
        state = open_checkpoint(told.note, [verifier])
        if seen is not None:
            before = seen.state
            merkle.verify_consistency(before.size, state.size, before.root, state.root, told.proof)
        return verifier, state

    async def _cosign(self, state: Checkpoint) -> None:
        key = NoteVerifier(self._name, self._key.public_key().public_bytes_raw())
        now = self._clock.now()
        body = {
            "key": base64_text(say_key(WITNESS_KEY_KIND, key, self._identity.signer, now)),
            "line": cosign(state, self._name, self._key, now),
            "size": state.size,
        }
        await self._client.read("POST", "/v1/custody/cosign", data=canonical.dump(body))

    async def _contradict(self, told: _Told, seen: _Seen | None, words: str) -> None:
        """Keep the proof for good, say so at this end, and tell the other (which notes it once an hour)."""
        file = self._folder / CONTRADICTION
        if not file.exists():
            proof = {
                "at": rfc3339(self._clock.now()),
                "words": words,
                "seen": base64_text(seen.note) if seen else "",
                "told": base64_text(told.note),
                "log_key": base64_text(told.log_key),
            }
            await asyncio.to_thread(durable.create, file, canonical.dump(proof))
        self.alarm = _ALARM.format(words=words, file=file)
        log.error("the custody log was rewritten", why=words)
        await self._client.read("POST", "/v1/custody/alarm", data=canonical.dump({"words": words}))

    def _seen(self) -> _Seen | None:
        """What was seen last. A damaged record is put aside: that is this disk's fault, not the hub's."""
        file = self._folder / SEEN
        if not file.exists():
            return None
        try:
            record = Record.parse(file.read_bytes(), str(file), _SEEN_KEYS, limit=2 * NOTE_LIMIT)
            verifier, note = NoteVerifier.parse(record.text("key", 512)), record.binary("note", NOTE_LIMIT)
            return _Seen(verifier, note, open_checkpoint(note, [verifier]))
        except DataError as error:
            log.warning("what was seen of the custody log is damaged here; beginning anew", why=str(error))
            file.replace(file.with_suffix(".damaged"))
            return None

    def _load_key(self) -> Ed25519PrivateKey:
        file = self._folder / "witness.key"
        if not file.exists():
            keyfile.store(file, Ed25519PrivateKey.generate())
        key = keyfile.load(file)
        if not isinstance(key, Ed25519PrivateKey):
            raise UsageError(f"{file} holds no Ed25519 key")
        return key


def _read(answer: Any) -> _Told:
    """The hub's answer. Raises Malformed."""
    record = Record(answer, "the hub's answer about its custody log", frozenset({"note", "log_key", "proof"}))
    proof = record.items("proof", 0, merkle.PROOF_LIMIT)
    if not all(isinstance(one, str) for one in proof):
        raise Malformed("the hub's proof is no list of hashes")
    return _Told(
        record.binary("note", NOTE_LIMIT),
        record.binary("log_key", STATEMENT_LIMIT),
        tuple(base64_bytes(one) for one in proof),
    )
