"""Entries of the custody log with the proof that a signed checkpoint covers them: checked offline.

Canonical JSON: ``version`` 1, ``checkpoint`` (base64 of the C2SP note), ``entries``: each
``position``, ``leaf`` (base64 of its canonical JSON) and ``proof`` (base64 hashes from the leaf to
the root, RFC 9162 §2.1.3).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gateway import canonical
from gateway.custody import merkle
from gateway.custody.checkpoint import NOTE_LIMIT, Checkpoint, NoteVerifier, open_checkpoint
from gateway.envelope.record import Record, base64_bytes, base64_text
from gateway.errors import Malformed, Unverified

BUNDLE_LIMIT = 64 << 20
ENTRY_LIMIT = 100_000
LEAF_LIMIT = 1 << 20

_KEYS = frozenset({"version", "checkpoint", "entries"})
_ENTRY_KEYS = frozenset({"position", "leaf", "proof"})


@dataclass(frozen=True, slots=True)
class ProvenEntry:
    """One entry of the log.

    Attributes:
        position: from 0.
        leaf: the canonical JSON.
        proof: from the leaf to the checkpoint's root.
    """

    position: int
    leaf: bytes
    proof: tuple[bytes, ...]

    @classmethod
    def read(cls, value: Any) -> ProvenEntry:
        """From JSON. Raises Malformed."""
        record = Record(value, "an entry of the bundle", _ENTRY_KEYS)
        proof = record.items("proof", 0, merkle.PROOF_LIMIT)
        if not all(isinstance(item, str) for item in proof):
            raise Malformed("an entry of the bundle: a hash is not text")
        return cls(
            record.integer("position", 0),
            record.binary("leaf", LEAF_LIMIT),
            tuple(base64_bytes(item) for item in proof),
        )


def write_bundle(note: bytes, entries: Iterable[ProvenEntry]) -> bytes:
    """The bundle's bytes."""
    return canonical.dump(
        {
            "version": 1,
            "checkpoint": base64_text(note),
            "entries": [
                {
                    "position": entry.position,
                    "leaf": base64_text(entry.leaf),
                    "proof": [base64_text(item) for item in entry.proof],
                }
                for entry in entries
            ],
        }
    )


def open_bundle(data: bytes, verifiers: Iterable[NoteVerifier]) -> tuple[Checkpoint, list[dict[str, Any]]]:
    """Verify a bundle: the checkpoint's signature, then every entry's place in its tree.

    Returns:
        The checkpoint, and what the entries say, in their order.

    Raises:
        Malformed: it cannot be read.
        Unverified: the checkpoint or an entry does not hold.
    """
    record = Record.parse(data, "the custody bundle", _KEYS, limit=BUNDLE_LIMIT)
    record.integer("version", 1, 1)
    state = open_checkpoint(record.binary("checkpoint", NOTE_LIMIT), verifiers)
    said = []
    for entry in map(ProvenEntry.read, record.items("entries", 0, ENTRY_LIMIT)):
        leaf = merkle.leaf_hash(entry.leaf)
        merkle.verify_inclusion(leaf, entry.position, state.size, entry.proof, state.root)
        value = canonical.load(entry.leaf)
        if not isinstance(value, dict) or value.get("position") != entry.position:
            raise Unverified(f"entry {entry.position} of the log says it is another one")
        texts = all(isinstance(value.get(name), str) for name in ("event", "at", "site", "subject"))
        if not texts or not isinstance(value.get("detail"), dict):
            raise Malformed(f"entry {entry.position} of the log is not in its form")
        said.append(value)
    return state, said
