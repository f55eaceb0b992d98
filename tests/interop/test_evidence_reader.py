"""Evidence of a made study: both readers accept it, and each refuses every change that EVIDENCE.md names."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway import canonical
from gateway.clock import SystemClock, rfc3339
from gateway.custody.bundle import write_bundle
from gateway.custody.checkpoint import NoteSigner, NoteVerifier, open_checkpoint
from gateway.custody.commitment import images_digest, study_digest
from gateway.custody.evidence import Evidence, Instance, Parcel, Study, Witness
from gateway.custody.judge import judge
from gateway.custody.witness import LOG_KEY_KIND, WITNESS_KEY_KIND, cosign, say_key
from gateway.database import open_database, sqlite_url
from gateway.envelope.inner import InnerManifest
from gateway.envelope.kem import KemKeys
from gateway.envelope.layout import HEADER_KIND, NO_PREVIOUS
from gateway.envelope.receipt import Receipt, received, sign_receipt
from gateway.envelope.seal import complete, header_digest
from gateway.envelope.signature import sign
from gateway.envelope.taken import Taken
from gateway.envelope.unseal import BodyOpener
from gateway.errors import DataError
from gateway.model import ParcelId, Priority, Sha256
from hub import tables
from hub.custody import CustodyLog
from hub.record import subject_of
from hub.verify_custody import verify_evidence
from tests.doubles.delivery import hub_signer
from tests.doubles.parcels import SITE, seal
from tests.doubles.signed import authority
from tests.interop import evidence_reader

CLOCK = SystemClock()
REFUSED = (
    evidence_reader.Refused,
    InvalidSignature,
    ValueError,  # base64, JSON, certificates
    KeyError,
    TypeError,
    IndexError,
)
Change = Callable[[dict[str, Any]], object]


async def _made(folder: Path, taken: Taken) -> bytes:
    keys, device, log_key = (
        KemKeys.generate("k"),
        authority().device(),
        NoteSigner("telerad/test", Ed25519PrivateKey.generate()),
    )
    database = await open_database(sqlite_url(folder / "hub.db"), tables.metadata, version=tables.VERSION)
    log = CustodyLog(database, log_key, CLOCK)
    images = [b"first image", b"second image"]
    parcel = seal(keys, images, parcel_id=ParcelId("a" * 32), taken=taken)
    header = complete(
        parcel.draft,
        site=SITE,
        sequence=1,
        previous=NO_PREVIOUS,
        priority=Priority.ROUTINE,
        created_at=rfc3339(CLOCK.now()),
    )
    signed = sign(HEADER_KIND, header.to_bytes(), device)
    sealed: InnerManifest = BodyOpener(header, keys).manifest
    manifest = sealed.named([Sha256(hashlib.sha256(image).hexdigest()) for image in images])
    receipt = Receipt(
        parcel_id=header.parcel_id,
        header_digest=header_digest(signed),
        site=header.site,
        sequence=1,
        instances=received(manifest),
        received_at=rfc3339(CLOCK.now()),
    )
    study, other = subject_of("study", 1), subject_of("study", 2)
    async with database.writing() as connection:
        stored = {"parcel": header.parcel_id, "instances": [one.sha256 for one in manifest.instances]}
        await log.append(connection, "parcel-stored", site=SITE, subject=header_digest(signed), detail=stored)
        await log.append(connection, "study-complete", site=SITE, subject=other)
    note = await log.checkpoint()
    assert note is not None
    then = open_checkpoint(note, [log_key.verifier])
    witness = Ed25519PrivateKey.generate()
    witness_key = NoteVerifier("telerad/site/H001/edge/1", witness.public_key().public_bytes_raw())
    async with database.writing() as connection:
        salt, uid = "5" * 32, manifest.instances[0].study_uid
        bound = {
            "study": study_digest(salt, SITE, uid),
            "images": images_digest(one.sha256 for one in manifest.instances),
        }
        await log.append(connection, "study-complete", site=SITE, subject=study, detail=bound)
    newest, entries = await log.prove_newest(study) or (b"", [])
    size = open_checkpoint(newest, [log_key.verifier]).size
    proven = await log.prove_all([header_digest(signed), study], size)
    assert len(proven) == len(entries) + 1 == 2
    seen = Witness(
        say_key(WITNESS_KEY_KIND, witness_key, device, CLOCK.now()),
        note,
        cosign(then, witness_key.name, witness, CLOCK.now()),
        tuple(await log.consistency(then.size, size)),
    )
    await database.close()
    return Evidence(
        study=Study(
            site=SITE,
            study_uid=manifest.instances[0].study_uid,
            subject=study,
            salt=salt,
            cases=(),
            instances=tuple(
                Instance(one.sop_instance_uid, one.sha256, one.length) for one in manifest.instances
            ),
        ),
        log_key=say_key(LOG_KEY_KIND, log_key.verifier, hub_signer(), CLOCK.now()),
        log=write_bundle(newest, proven),
        witnesses=(seen,),
        parcels=(Parcel(signed, sealed.to_bytes(), sign_receipt(receipt, hub_signer())),),
        reports=(),
    ).to_bytes()


@pytest.fixture(scope="module", params=Taken, ids=lambda taken: taken.value)
def evidence(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return asyncio.run(_made(tmp_path_factory.mktemp("evidence"), request.param))


def test_both_readers_accept_it(evidence: bytes) -> None:
    found = judge(evidence, authority().trust, CLOCK.now())
    events = [one.event for one in found.moments]
    assert sorted(events) == ["received", "sealed", "stored", "study-complete", "witnessed"]
    images, events, witnesses, complete = evidence_reader.open_evidence(
        evidence, authority().root.certificate
    )
    assert images == [one.sha256 for one in found.evidence.study.instances]
    assert events == ["parcel-stored", "study-complete"]
    assert witnesses == list(found.witnesses) == [f"spiffe://telerad/site/{SITE}/edge/1"]
    assert complete
    assert found.complete
    assert found.unwitnessed == (2,)
    assert verify_evidence(evidence, authority().trust).ok


def test_without_the_entry_of_completion_it_says_that_images_may_be_missing(evidence: bytes) -> None:
    told = json.loads(evidence)
    _inner(lambda log: log["entries"].pop(), "log")(told)
    data = canonical.dump(told)
    assert not judge(data, authority().trust, CLOCK.now()).complete
    assert any("NOT proven" in line for line in verify_evidence(data, authority().trust).lines)
    assert not evidence_reader.open_evidence(data, authority().root.certificate)[3]


def _inner(change: Callable[[Any], object], *path: str | int) -> Change:
    """Change the JSON that lies in base64 at a place."""

    def apply(told: dict[str, Any]) -> None:
        at: Any = told
        for step in path[:-1]:
            at = at[step]
        value = json.loads(base64.b64decode(at[path[-1]]))
        change(value)
        at[path[-1]] = base64.b64encode(canonical.dump(value)).decode()

    return apply


def _flip(text: str) -> str:
    data = bytearray(base64.b64decode(text))
    data[len(data) // 2] ^= 1
    return base64.b64encode(data).decode()


CHANGES: dict[str, Change] = {
    "another image": lambda told: told["study"]["instances"][0].update(sha256="0" * 64),
    "another length": lambda told: told["study"]["instances"][0].update(length=1),
    "another UID": lambda told: told["study"]["instances"][0].update(sop_instance_uid="1.2.3"),
    "another site": lambda told: told["study"].update(site="H002"),
    "relabelled": lambda told: told["study"].update(study_uid="9.9.9"),
    "one image left out": lambda told: told["study"]["instances"].pop(),
    "nothing at all": lambda told: told.update(
        parcels=[], witnesses=[], study=told["study"] | {"instances": [], "site": "H777"}
    ),
    "another salt": lambda told: told["study"].update(salt="6" * 32),
    "no parcel": lambda told: told.update(parcels=[]),
    "manifest changed": _inner(lambda m: m["instances"][0].update(length=7), "parcels", 0, "manifest"),
    "header changed": _inner(lambda h: h.update(payload=_flip(h["payload"])), "parcels", 0, "header"),
    "receipt changed": _inner(lambda r: r.update(payload=_flip(r["payload"])), "parcels", 0, "receipt"),
    "receipt's signature changed": _inner(
        lambda r: r.update(signature=_flip(r["signature"])), "parcels", 0, "receipt"
    ),
    "header as receipt": lambda told: told["parcels"][0].update(receipt=told["parcels"][0]["header"]),
    "log key of another": lambda told: told.update(log_key=told["witnesses"][0]["key"]),
    "log entry gone": _inner(lambda log: log["entries"].pop(0), "log"),
    "log entry changed": _inner(
        lambda log: log["entries"][0].update(leaf=_flip(log["entries"][0]["leaf"])), "log"
    ),
    "log entry moved": _inner(lambda log: log["entries"][0].update(position=1), "log"),
    "checkpoint changed": _inner(lambda log: log.update(checkpoint=_flip(log["checkpoint"])), "log"),
    "cosignature changed": lambda told: told["witnesses"][0].update(
        line="\u2014 telerad/site/H001/edge/1 " + _flip(told["witnesses"][0]["line"].split(" ")[2])
    ),
    "growth not proven": lambda told: told["witnesses"][0].update(proof=[]),
    "witness key by the hub": lambda told: told["witnesses"][0].update(key=told["log_key"]),
    "one key more": lambda told: told.update(more=1),
    "another version": lambda told: told.update(version=2),
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_is_refused_by_both(evidence: bytes, name: str) -> None:
    told = json.loads(evidence)
    CHANGES[name](told)
    changed = canonical.dump(told)
    assert changed != evidence
    with pytest.raises(DataError):
        judge(changed, authority().trust, CLOCK.now())
    with pytest.raises(REFUSED):
        evidence_reader.open_evidence(changed, authority().root.certificate)


def test_another_authority_vouches_for_nothing(evidence: bytes) -> None:
    from tests.doubles.small_authority import SmallAuthority

    with pytest.raises(DataError):
        judge(evidence, SmallAuthority().trust, CLOCK.now() + timedelta(0))


def test_the_reader_is_small_and_imports_nothing_of_the_gateway() -> None:
    source = Path(evidence_reader.__file__).read_text()
    assert len(source.splitlines()) <= 155
    lines = [line.split() for line in source.splitlines()]
    assert not any(
        line[0] in ("import", "from") and line[1].startswith(("gateway", "hub", "edge"))
        for line in lines
        if line
    )
