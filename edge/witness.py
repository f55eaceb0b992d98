"""This edge as a witness of the hub's custody log: it keeps what it has seen, and signs what only grew.

``data/witness/witness.key`` is an Ed25519 key of its own; ``seen.json`` holds the newest checkpoint that
was verified, durable before it is cosigned. A hub that shows another history gets no signature, and both
ends say so loudly.
"""

from __future__ import annotations

import asyncio
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
from gateway.errors import DataError, Malformed, NotFound, PeerError, Unverified, UsageError
from gateway.log import logger

SECONDS = 60.0
"""Between two looks."""

FOLDER = "witness"
STATEMENT_LIMIT = 64 << 10
_SEEN_KEYS = frozenset({"key", "note"})
log = logger("edge.witness")


class Witness:
    """Follows the log.

    Args:
        data: the edge's data folder.
        identity: whose witness key it is.
        client: the way to the hub.
        clock: the time.

    Attributes:
        alarm: what is wrong with the hub's log; empty if nothing is.
    """

    def __init__(self, data: Path, identity: EdgeIdentity, client: HubClient, clock: Clock) -> None:
        self._folder, self._identity, self._client, self._clock = data / FOLDER, identity, client, clock
        self._told = False
        self.alarm = ""
        durable.make_folder(self._folder)
        self._key = self._load_key()
        self._name = f"telerad/site/{identity.site}/edge/{identity.edge}"

    async def run(self) -> None:
        """Look for ever. A service: ends only by cancellation."""
        while True:
            try:
                await self.look()
            except PeerError as error:
                log.debug("not witnessed", reason=str(error))
            await asyncio.sleep(SECONDS)

    async def look(self) -> int:
        """Fetch the newest checkpoint, verify it against what was seen before, keep and cosign it.

        Returns:
            Entries of the log that this edge has witnessed.

        Raises:
            PeerError: the hub cannot be asked now.
        """
        try:
            state = await self._verified()
        except NotFound:
            return 0  # nothing was logged yet
        except DataError as error:
            await self._raise_alarm(str(error))
            return 0
        self.alarm, self._told = "", False
        key = NoteVerifier(self._name, self._key.public_key().public_bytes_raw())
        now = self._clock.now()
        body = {
            "key": base64_text(say_key(WITNESS_KEY_KIND, key, self._identity.signer, now)),
            "line": cosign(state, self._name, self._key, now),
            "size": state.size,
        }
        await self._client.read("POST", "/v1/custody/cosign", data=canonical.dump(body))
        return state.size

    async def _verified(self) -> Checkpoint:
        seen = self._seen()
        old = seen[1].size if seen else 0
        answer = await self._client.json("GET", "/v1/custody", params={"old": str(old)})
        note, key = _binary(answer, "note", NOTE_LIMIT), _binary(answer, "log_key", STATEMENT_LIMIT)
        verifier, _ = open_key(key, LOG_KEY_KIND, self._identity.trust)
        if seen is not None and seen[0] != verifier:
            raise Unverified("the custody log is signed by another key than before")
        state = open_checkpoint(note, [verifier])
        if seen is not None:
            proof = [base64_bytes(one) for one in answer.get("proof", ())]
            before = seen[1]
            merkle.verify_consistency(before.size, state.size, before.root, state.root, proof)
        record = canonical.dump({"key": str(verifier), "note": base64_text(note)})
        await asyncio.to_thread(durable.replace, self._folder / "seen.json", record)
        return state

    def _seen(self) -> tuple[NoteVerifier, Checkpoint] | None:
        file = self._folder / "seen.json"
        if not file.exists():
            return None
        record = Record.parse(file.read_bytes(), str(file), _SEEN_KEYS, limit=2 * NOTE_LIMIT)
        verifier = NoteVerifier.parse(record.text("key", 512))
        return verifier, open_checkpoint(record.binary("note", NOTE_LIMIT), [verifier])

    def _load_key(self) -> Ed25519PrivateKey:
        file = self._folder / "witness.key"
        if not file.exists():
            keyfile.store(file, Ed25519PrivateKey.generate())
        key = keyfile.load(file)
        if not isinstance(key, Ed25519PrivateKey):
            raise UsageError(f"{file} holds no Ed25519 key")
        return key

    async def _raise_alarm(self, words: str) -> None:
        self.alarm = f"the hub's custody log does not continue what this edge has seen: {words}"
        log.error("the custody log was rewritten", why=words, at=rfc3339(self._clock.now()))
        if not self._told:
            await self._client.read("POST", "/v1/custody/alarm", data=canonical.dump({"words": words}))
            self._told = True


def _binary(answer: Any, name: str, limit: int) -> bytes:
    value = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(value, str) or len(value) > 2 * limit:
        raise Malformed(f"the hub's answer has no {name}")
    return base64_bytes(value)
