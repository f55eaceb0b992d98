"""The vectors of the post-quantum suite, read by this program and by the reader made from FORMAT.md alone."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hpke

from gateway import keyfile
from gateway.clock import parse_rfc3339
from gateway.envelope.kem import HYBRID, P256, HybridPrivate, KemKeys
from gateway.envelope.receipt import open_receipt
from gateway.envelope.unseal import BodyOpener, check_body, open_header
from gateway.errors import DataError, Unverified
from gateway.trust import Trust
from tests.interop import tge1_reader

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "tge1" / "hybrid.json").read_text())
ROOT = x509.load_pem_x509_certificate(VECTORS["root"].encode())
LATTICE, CURVE = keyfile.read_pem(VECTORS["private"].encode())
AT, BODY = parse_rfc3339(VECTORS["at"]), b64decode(VECTORS["body"])
REFUSALS = (tge1_reader.Refused, InvalidTag, InvalidSignature, ValueError)


def ours(header: str, trust: Trust | None = None) -> list[str]:
    opened = open_header(b64decode(header), trust or Trust([ROOT]), AT)
    opener = BodyOpener(opened.header, KemKeys({VECTORS["kid"]: HybridPrivate(LATTICE, CURVE)}))

    def read(offset: int, count: int) -> bytes:
        return BODY[offset : offset + count]

    check_body(opened.header, read)
    for entry in opener.manifest.instances:
        opener.extract(entry, read, lambda _: None)
    return [entry.sha256 for entry in opener.manifest.instances]


def theirs(header: str) -> list[str]:
    read, _ = tge1_reader.open_header(b64decode(header), ROOT, AT)
    private = hpke.MLKEM768X25519PrivateKey(LATTICE, CURVE)
    found, _ = tge1_reader.open_parcel(read, BODY, {VECTORS["kid"]: private})
    return [tge1_reader.sha(data) for _, data in found]


@pytest.mark.parametrize("name", VECTORS["accepted"])
def test_accepted_by_both(name: str) -> None:
    header = VECTORS["accepted"][name]
    assert ours(header) == theirs(header) == [VECTORS["instance_sha256"]]


@pytest.mark.parametrize("name", VECTORS["refused"])
def test_refused_here_for_the_named_reason(name: str) -> None:
    vector = VECTORS["refused"][name]
    with pytest.raises(DataError, match=vector["failure"]):
        ours(vector["header"])


@pytest.mark.parametrize("name", VECTORS["refused"])
def test_refused_there(name: str) -> None:
    with pytest.raises(REFUSALS):
        theirs(VECTORS["refused"][name]["header"])


def test_a_receipt_signed_twice_and_one_robbed_of_its_second_signature() -> None:
    good, robbed = (b64decode(VECTORS["receipt"][name]) for name in ("accepted", "refused"))
    assert open_receipt(good, Trust([ROOT], both_signatures=True), AT).identity.name == "main"
    assert tge1_reader.open_receipt(good, ROOT, AT)
    with pytest.raises(Unverified, match="lacks a second signature"):
        open_receipt(robbed, Trust([ROOT]), AT)
    with pytest.raises(REFUSALS):
        tge1_reader.open_receipt(robbed, ROOT, AT)


def test_what_the_configuration_does_not_list_is_refused() -> None:
    header = VECTORS["accepted"]["signed once"]
    with pytest.raises(Unverified, match=r"not allowed here \(suites: P256\)"):
        ours(header, Trust([ROOT], (P256,)))
    with pytest.raises(Unverified, match="only statements signed with both"):
        ours(header, Trust([ROOT], (HYBRID,), both_signatures=True))
