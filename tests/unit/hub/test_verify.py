"""``telerad verify``: what it says, and its exit codes."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.cli import main
from gateway.clock import rfc3339
from gateway.custody.checkpoint import Checkpoint, NoteSigner, sign_checkpoint
from gateway.envelope.kem import KemKeys
from gateway.envelope.layout import NO_PREVIOUS
from gateway.envelope.receipt import Receipt, ReceivedInstance, sign_receipt
from gateway.envelope.seal import header_digest
from gateway.envelope.signature import sign
from gateway.envelope.trailer import trailer
from gateway.trust import pem
from tests.doubles.parcels import SITE, seal
from tests.doubles.signers import NOW, MemoryAuthority

AUTHORITY = MemoryAuthority()
DEVICE = AUTHORITY.device()
PARCEL = seal(KemKeys.generate("hub"), [b"data" * 1000])


@pytest.fixture(autouse=True)
def _no_root_from_outside(monkeypatch):
    monkeypatch.delenv("TELERAD_ROOT", raising=False)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "root.pem").write_bytes(pem([AUTHORITY.root]))
    (tmp_path / "p.tge").write_bytes(PARCEL.body + trailer(PARCEL.draft))
    signed = PARCEL.signed(DEVICE)
    (tmp_path / "p.head").write_bytes(signed)
    receipt = Receipt(
        parcel_id=PARCEL.draft.parcel_id,
        header_digest=header_digest(signed),
        site=SITE,
        sequence=1,
        instances=(ReceivedInstance(NO_PREVIOUS, 4000),),
        received_at=rfc3339(NOW),
    )
    (tmp_path / "p.receipt").write_bytes(sign_receipt(receipt, AUTHORITY.hub()))
    return tmp_path


def verify(capsys, *words):
    code = main(["verify", "--json", *map(str, words)])
    return code, json.loads(capsys.readouterr().out)


def test_a_parcel_with_its_header_and_receipt(folder, capsys):
    code, found = verify(capsys, folder / "p.tge", folder / "p.head", folder / "p.receipt")
    assert code == 0
    assert [one["facts"]["kind"] for one in found] == [
        "parcel",
        "tge1-header",
        "tge1-receipt",
        "receipt-for-header",
    ]
    assert found[0]["facts"]["signed_by"] == "spiffe://telerad/site/H001/edge/1"
    assert found[2]["facts"]["signed_by"] == "main"


def test_words_for_people(folder, capsys):
    assert main(["verify", str(folder / "p.receipt")]) == 0
    said = capsys.readouterr().out
    assert "good" in said
    assert "Receipt of hub main" in said


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("p.head", lambda data: data.replace(b'"kind":"tge1-header"', b'"kind":"tge1-receipt"'), "REFUSED"),
        ("p.head", lambda data: data[:-40] + data[-40:].swapcase(), "REFUSED"),
        ("p.receipt", lambda data: data + b" ", "canonical"),
        ("p.tge", lambda data: data[:10] + bytes([data[10] ^ 1]) + data[11:], "chunk 0 does not match"),
    ],
)
def test_what_was_changed_is_bad(folder, capsys, name, change, says):
    file = folder / name
    file.write_bytes(change(file.read_bytes()))
    code, found = verify(capsys, file)
    assert code == 1
    assert not found[0]["ok"]
    assert says in found[0]["lines"][0]


def test_a_body_beside_another_header_is_bad(folder, capsys):
    other = seal(KemKeys.generate("hub"), [b"data" * 1000])
    (folder / "p.head").write_bytes(other.signed(DEVICE))
    code, found = verify(capsys, folder / "p.tge")
    assert code == 1
    assert "for another body" in found[0]["lines"][0]


def test_a_receipt_for_another_header_is_bad(folder, capsys):
    (folder / "p.head").write_bytes(PARCEL.signed(DEVICE, sequence=2, previous="1" * 64))
    code, found = verify(capsys, folder / "p.head", folder / "p.receipt")
    assert code == 1
    assert "another header" in found[-1]["lines"][0]


def test_an_unsigned_parcel_is_only_whole(folder, capsys):
    (folder / "p.head").unlink()
    (folder / "root.pem").unlink()
    code, found = verify(capsys, folder / "p.tge")
    assert code == 0
    assert "nobody vouches" in found[0]["lines"][0]


def test_headers_of_an_edge_are_a_chain(folder, capsys):
    first = folder / "p.head"
    second, third = folder / "2.head", folder / "3.head"
    second.write_bytes(PARCEL.signed(DEVICE, sequence=2, previous=header_digest(first.read_bytes())))
    third.write_bytes(PARCEL.signed(DEVICE, sequence=3, previous=header_digest(second.read_bytes())))
    code, found = verify(capsys, third, first, second)
    assert code == 0
    assert "None is missing" in found[-1]["lines"][1]
    code, found = verify(capsys, third, first)
    assert code == 0
    assert "Not among these files: 2-2" in found[-1]["lines"][1]
    second.write_bytes(PARCEL.signed(DEVICE, sequence=2, previous="1" * 64))
    code, found = verify(capsys, third, first, second)
    assert code == 1
    assert len(found[-1]["facts"]["faults"]) == 2


def test_another_root_is_bad(folder, capsys):
    other = folder / "other.pem"
    other.write_bytes(pem([MemoryAuthority("Other").root]))
    code, found = verify(capsys, "--root", other, folder / "p.head")
    assert code == 1
    assert "not signed by a root" in found[0]["lines"][0]


def test_the_root_may_come_from_the_environment(folder, capsys, monkeypatch, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "trusted.pem"
    (folder / "root.pem").rename(elsewhere)
    monkeypatch.setenv("TELERAD_ROOT", str(elsewhere))
    code, _ = verify(capsys, folder / "p.head")
    assert code == 0


def test_another_kind_of_statement_is_judged_by_its_signature(folder, capsys):
    file = folder / "set"
    file.write_bytes(sign("key-set", b"{}", AUTHORITY.hub()))
    code, found = verify(capsys, file)
    assert code == 0
    assert found[0]["facts"]["signed_by"] == "main"
    file.write_bytes(sign("key-set", b"{}", MemoryAuthority("Other").hub()))
    code, _ = verify(capsys, file)
    assert code == 1


def test_a_checkpoint_is_judged_by_the_logs_key(folder, capsys):
    signer = NoteSigner("hub.example", Ed25519PrivateKey.generate())
    file = folder / "checkpoint"
    file.write_bytes(sign_checkpoint(Checkpoint("hub.example", 3, bytes(32)), signer))
    code, found = verify(capsys, "--log-key", signer.verifier, file)
    assert code == 0
    assert found[0]["facts"]["size"] == 3
    file.write_bytes(file.read_bytes().replace(b"\n3\n", b"\n4\n"))
    code, _ = verify(capsys, "--log-key", signer.verifier, file)
    assert code == 1
    assert main(["verify", str(file)]) == 2
    assert main(["verify", "--log-key", "no", str(file)]) == 2


def test_a_wrong_question_is_told(folder, capsys):
    (folder / "text").write_text("hello")
    assert main(["verify", str(folder / "text")]) == 2
    assert "no PDF, signed record" in capsys.readouterr().err
    assert main(["verify", str(folder / "nothing")]) == 2
    (folder / "root.pem").unlink()
    assert main(["verify", str(folder / "p.head")]) == 2
    assert "no root certificate" in capsys.readouterr().err
    (folder / "root.crt").write_text("no certificate")
    assert main(["verify", str(folder / "p.head")]) == 2


def test_a_pdf_goes_to_the_reports_own_judge(folder, capsys):
    (folder / "report.pdf").write_bytes(b"%PDF-1.7\nnothing\n%%EOF\n")
    code, found = verify(capsys, folder / "report.pdf")
    assert code == 1
    assert found[0]["facts"]["kind"] == "report"
