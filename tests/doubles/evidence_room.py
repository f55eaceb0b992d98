"""A room of evidence over a database of its own log, for portals that show the way of a study."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.clock import Clock
from gateway.custody.checkpoint import NoteSigner
from gateway.database import Database
from gateway.envelope.kem import KemKeys
from hub.archive.store import BlobStore
from hub.custody import CustodyLog
from hub.evidence import EvidenceRoom
from tests.doubles.delivery import hub_signer
from tests.doubles.signed import authority


def evidence_room(database: Database, store: BlobStore, clock: Clock) -> EvidenceRoom:
    signer = NoteSigner("telerad/test", Ed25519PrivateKey.generate())
    log = CustodyLog(database, signer, clock)
    keys = KemKeys.generate("k")
    return EvidenceRoom(database, store, log, keys, signer.verifier, hub_signer(), authority().trust, clock)
