"""Signed notes: what is signed can be read by its own key, and nothing else can."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.custody.checkpoint import (
    Checkpoint,
    NoteSigner,
    NoteVerifier,
    open_checkpoint,
    sign_checkpoint,
)
from gateway.errors import Malformed, Unverified

TEST_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))  # a key for tests alone
SIGNER = NoteSigner("hub.example/custody", TEST_KEY)
STATE = Checkpoint("hub.example/custody", 7, bytes(32))
NOTE = sign_checkpoint(STATE, SIGNER)


def test_a_note_is_what_c2sp_says():
    text, signature = NOTE.split(b"\n\n")
    assert text.decode() == "hub.example/custody\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    assert signature.startswith("— hub.example/custody ".encode())
    assert open_checkpoint(NOTE, [SIGNER.verifier]) == STATE


def test_the_published_verifier_key_is_read():
    """From the documentation of Go's golang.org/x/mod/sumdb/note."""
    verifier = NoteVerifier.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    assert verifier.key_id.hex() == "c74f20a3"
    assert str(verifier) == "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


def test_another_key_or_another_text_does_not():
    other = NoteSigner("hub.example/custody", Ed25519PrivateKey.generate())
    with pytest.raises(Unverified, match="no key that is known"):
        open_checkpoint(NOTE, [other.verifier])
    with pytest.raises(Unverified, match="does not fit"):
        open_checkpoint(NOTE.replace(b"\n7\n", b"\n8\n"), [SIGNER.verifier])


def test_a_witness_may_add_a_signature():
    witness = NoteSigner("edge.example/H001", Ed25519PrivateKey.generate())
    cosigned = NOTE + witness.sign(STATE.text()).split(b"\n\n")[1]
    assert open_checkpoint(cosigned, [SIGNER.verifier]) == STATE
    assert open_checkpoint(cosigned, [witness.verifier]) == STATE


@pytest.mark.parametrize(
    "note",
    [
        b"",
        NOTE.rstrip(b"\n"),
        NOTE.split(b"\n\n")[0] + b"\n",
        NOTE.replace("—".encode(), b"-"),
        b"\xff" + NOTE[-80:],
        SIGNER.sign(b"hub.example/custody\n7\n"),
        SIGNER.sign(b"hub.example/custody\n07\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"),
        SIGNER.sign(b"hub.example/custody\n7\nAAAA\n"),
        SIGNER.sign(STATE.text() + b"extension\n"),
    ],
)
def test_other_forms_are_refused(note):
    with pytest.raises(Malformed):
        open_checkpoint(note, [SIGNER.verifier])


@pytest.mark.parametrize(
    "text", ["", "name", "name+00000000+AAAA", str(SIGNER.verifier).replace("+", "+0", 1)]
)
def test_other_verifier_keys_are_refused(text):
    with pytest.raises(Malformed):
        NoteVerifier.parse(text)


def test_the_verifier_key_survives_its_text():
    assert NoteVerifier.parse(str(SIGNER.verifier)) == SIGNER.verifier
