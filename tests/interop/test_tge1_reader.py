"""The golden vectors and fresh parcels, read by this program and by the reader made from FORMAT.md alone."""

from __future__ import annotations

import ast
import json
from base64 import b64decode
from pathlib import Path

import pytest
import zstandard
from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.clock import parse_rfc3339
from gateway.envelope.kem import KemKeys
from gateway.envelope.layout import Notice
from gateway.envelope.receipt import Receipt, ReceivedInstance, open_receipt, sign_receipt
from gateway.envelope.seal import header_digest
from gateway.envelope.unseal import BodyOpener, check_body, open_header
from gateway.errors import DataError, Unverified
from gateway.trust import Trust
from tests.doubles.parcels import PARCEL, SITE, Parcel, seal
from tests.doubles.signers import NOW, MemoryAuthority
from tests.interop import tge1_reader

VECTORS = Path(__file__).parents[1] / "vectors" / "tge1"
REFUSALS = (
    tge1_reader.Refused,
    InvalidTag,
    InvalidSignature,
    ValueError,
    zstandard.ZstdError,
)


def load(name):
    return json.loads((VECTORS / f"{name}.json").read_text())


KEYS = load("keys")
ROOT = x509.load_pem_x509_certificate(KEYS["root"].encode())
PRIVATE = load_pem_private_key(KEYS["private"].encode(), None)
ROOTS = {
    folder: x509.load_pem_x509_certificate(load(f"{folder}keys")["root"].encode())
    for folder in ("", "shared/", "blake3/")
}
BODIES = {name: body for folder in ROOTS for name, body in load(f"{folder}bodies").items()}
ACCEPTED, REFUSED = (
    {
        f"{folder}{name}": vector | {"root": ROOTS[folder]}
        for folder in ROOTS
        for name, vector in load(f"{folder}{kind}").items()
    }
    for kind in ("accepted", "refused")
)


def ours(vector) -> list[bytes]:
    assert isinstance(PRIVATE, ec.EllipticCurvePrivateKey)
    body = b64decode(BODIES[vector["body"]])
    parcel = Parcel(None, body)
    opened = open_header(b64decode(vector["header"]), Trust([vector["root"]]), parse_rfc3339(vector["at"]))
    opener = BodyOpener(opened.header, KemKeys({KEYS["kid"]: PRIVATE}))
    check_body(opened.header, parcel.read)
    found = []
    for entry in opener.manifest.instances:
        out: list[bytes] = []
        opener.extract(entry, parcel.read, out.append)
        found.append(b"".join(out))
    return found


def theirs(vector) -> list[bytes]:
    header, _ = tge1_reader.open_header(
        b64decode(vector["header"]), vector["root"], parse_rfc3339(vector["at"])
    )
    found, _ = tge1_reader.open_parcel(header, b64decode(BODIES[vector["body"]]), {KEYS["kid"]: PRIVATE})
    return [data for _, data in found]


def test_the_reader_is_a_strangers():
    source = Path(tge1_reader.__file__).read_text()
    imported = {
        name
        for node in ast.walk(ast.parse(source))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert not [
        name for name in imported if name.split(".")[0] in ("gateway", "edge", "hub", "certs", "tests")
    ]
    assert len(source.splitlines()) <= 150


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted_by_both(name):
    assert ours(ACCEPTED[name]) == theirs(ACCEPTED[name])


@pytest.mark.parametrize("name", REFUSED)
def test_refused_here_for_the_named_reason(name):
    with pytest.raises(DataError, match=REFUSED[name]["failure"]):
        ours(REFUSED[name])


@pytest.mark.parametrize("name", REFUSED)
def test_refused_there(name):
    with pytest.raises(REFUSALS):
        theirs(REFUSED[name])


def test_the_key_schedule_gives_the_same_bytes_for_ever():
    vector = load("schedule")
    key, salt = bytes.fromhex(vector["key"]), bytes.fromhex(vector["salt"])
    parcel = seal(
        KemKeys.generate("any"),
        [b64decode(vector["payload"])],
        codec="raw",
        chunk_size=vector["chunk_size"],
        parcel_id=vector["parcel_id"],
        site=SITE,
        random=lambda count: (key + salt)[:count] if count != len(salt) else salt,
    )
    assert parcel.draft.commitment.hex() == vector["commitment"]
    assert list(parcel.draft.chunks) == vector["chunks"]
    assert tge1_reader.sha(parcel.body) == vector["body_sha256"]
    assert parcel.draft.manifest_sha256 == vector["manifest_sha256"]


def test_the_receipt_vector():
    vector = load("receipt")
    at = parse_rfc3339(vector["at"])
    signed = b64decode(vector["accepted"])
    assert tge1_reader.open_receipt(signed, ROOT, at) == json.loads(
        open_receipt(signed, Trust([ROOT]), at).receipt.to_bytes()
    )
    with pytest.raises(Unverified):
        open_receipt(b64decode(vector["refused"]), Trust([ROOT]), at)
    with pytest.raises(REFUSALS):
        tge1_reader.open_receipt(b64decode(vector["refused"]), ROOT, at)


def test_a_fresh_parcel_is_read_there():
    authority, private = MemoryAuthority(), ec.generate_private_key(ec.SECP256R1())
    instances = [b"", b"one" * 5000, bytes(range(256)) * 50]
    note = Notice("association-closed", {"association": "a"})
    parcel = seal(KemKeys({"k": private}), instances, notices=[note], chunk_size=4096, site=SITE)
    signed = parcel.signed(authority.device())
    header, found_digest = tge1_reader.open_header(signed, authority.root, NOW)
    assert found_digest == header_digest(signed)
    found, notices = tge1_reader.open_parcel(header, parcel.body, {"k": private})
    assert [data for _, data in found] == instances
    assert notices == [{"kind": note.kind, "body": note.body}]
    receipt = Receipt(
        parcel_id=PARCEL,
        header_digest=found_digest,
        site=SITE,
        sequence=1,
        instances=tuple(ReceivedInstance(entry["sha256"], entry["length"]) for entry, _ in found),
        received_at=header["created_at"],
    )
    told = tge1_reader.open_receipt(sign_receipt(receipt, authority.hub()), authority.root, NOW)
    assert told["header_digest"] == found_digest
