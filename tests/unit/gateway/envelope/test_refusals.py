"""What the sealing side refuses before anything is written."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.envelope.kem import KemKeys, KemPublic
from gateway.envelope.layout import InstanceFacts
from gateway.envelope.record import base64_bytes
from gateway.envelope.seal import BodySealer, complete
from gateway.errors import Malformed, Unverified
from gateway.model import Priority, Sha256
from tests.doubles.parcels import PARCEL, SITE, facts, seal

KEYS = KemKeys.generate("hub-1")


def sealer(**options) -> BodySealer:
    recipients = options.pop("recipients", KEYS.publics())
    return BodySealer(lambda _: None, recipients, PARCEL, site=SITE, **options)


@pytest.mark.parametrize("size", [0, 1023, (8 << 20) + 1])
def test_chunk_sizes_out_of_bounds(size):
    with pytest.raises(Malformed, match="a chunk has"):
        sealer(chunk_size=size)


def test_unknown_suites_and_no_recipients():
    with pytest.raises(Unverified, match="suite 'X' is not known"):
        sealer(suite="X")
    with pytest.raises(Malformed, match="at least one recipient"):
        sealer(recipients=())
    with pytest.raises(Unverified, match="suite 'X' is not known"):
        sealer(recipients=(KemPublic("k", "X", b""),))
    with pytest.raises(Malformed, match="of its suite"):
        sealer(recipients=(KemPublic("k", "X", b""),), suite="P256")
    with pytest.raises(Malformed, match="not one of the suite P256"):
        sealer(recipients=(KemPublic("k", "P256", bytes(65)),))


def test_unknown_codecs_leave_the_sealer_usable():
    one = sealer()
    with pytest.raises(Malformed, match="no codec"):
        one.begin("jpeg")
    one.add(facts(), [b"data"], "raw")
    assert len(one.finish().chunks) == 1


def test_one_instance_at_a_time_and_nothing_after_the_end():
    one = sealer()
    writer = one.begin("raw")
    with pytest.raises(ValueError, match="still open"):
        one.begin("raw")
    with pytest.raises(ValueError, match="still open"):
        one.finish()
    entry = writer.finish(facts())
    with pytest.raises(ValueError, match="ended already"):
        writer.abandon()
    assert one.entries == (entry,)
    one.finish()
    with pytest.raises(ValueError, match="finished"):
        one.finish()
    with pytest.raises(ValueError, match="finished"):
        one.begin("raw")


def test_no_two_parcels_share_a_byte_of_secrets():
    first, second = seal(KEYS, [b"data"]), seal(KEYS, [b"data"])
    assert first.draft.salt != second.draft.salt
    assert first.draft.commitment != second.draft.commitment
    assert first.draft.manifest_sha256 != second.draft.manifest_sha256  # the blind
    assert first.body != second.body


def test_odd_uids_are_carried_as_they_came():
    odd = InstanceFacts(
        sop_class_uid="",
        sop_instance_uid="1.02.3 ",
        study_uid="not a uid",
        series_uid="x" * 200,
        transfer_syntax_uid="1.2.3",
        received_at=facts().received_at,
        calling_ae="Ä 模态",
    )
    one = sealer()
    assert one.add(odd, [b"data"], "raw").study_uid == "not a uid"
    one.finish()


def test_only_the_first_header_has_no_previous_one():
    draft = seal(KEYS, [b"data"]).draft
    rest = {"site": SITE, "priority": Priority.STAT, "created_at": facts().received_at}
    with pytest.raises(Malformed):
        complete(draft, sequence=2, previous=Sha256("0" * 64), **rest)
    with pytest.raises(Malformed):
        complete(draft, sequence=1, previous=Sha256("1" * 64), **rest)


@pytest.mark.parametrize("kid", ["", "../x", "a b", "x" * 65, ".hidden"])
def test_names_of_keys_are_safe_as_file_names(kid):
    with pytest.raises(Malformed, match="no name for a key"):
        KemKeys.generate(kid)


def test_keys_on_other_curves_are_refused(tmp_path):
    key = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(Malformed, match="P-256"):
        KemKeys({"k": key})
    file = tmp_path / "k.kem.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    file.chmod(0o600)
    with pytest.raises(Malformed, match="P-256"):
        KemKeys.load(tmp_path)
    file.write_text("nothing")
    with pytest.raises(Malformed, match="no readable private key"):
        KemKeys.load(tmp_path)


@pytest.mark.parametrize("text", ["AA", "AB==", "A A=", "====", "AAAA\n", "AAA-"])
def test_base64_has_one_form(text):
    with pytest.raises(Malformed):
        base64_bytes(text)
