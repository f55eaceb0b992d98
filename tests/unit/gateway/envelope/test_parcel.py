"""A parcel from seal to receipt, the good way."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.envelope.inner import UNTAKEN, InnerManifest
from gateway.envelope.kem import KemKeys
from gateway.envelope.layout import NO_PREVIOUS, Draft, Header, Notice
from gateway.envelope.receipt import Receipt, ReceivedInstance, open_receipt, received, sign_receipt
from gateway.envelope.seal import BodySealer, header_digest
from gateway.envelope.taken import Taken
from gateway.envelope.trailer import read_trailer, trailer
from gateway.envelope.unseal import BodyOpener, check_body, open_header
from gateway.errors import Malformed, Unverified
from gateway.model import SiteId
from tests.doubles.parcels import PARCEL, SITE, Parcel, facts, seal
from tests.doubles.signers import NOW, MemoryAuthority

KEYS = KemKeys.generate("hub-1")
AUTHORITY = MemoryAuthority()
INSTANCES = [b"", b"one" * 1000, bytes(range(256)) * 40]


def extract(opener, parcel, entry) -> bytes:
    out: list[bytes] = []
    opener.extract(entry, parcel.read, out.append)
    return b"".join(out)


@pytest.mark.parametrize("codec", ["raw", "zstd"])
def test_what_goes_in_comes_out(codec):
    note = Notice("association-closed", {"association": "a1", "studies": {"2.25.1000": 3}})
    parcel = seal(KEYS, INSTANCES, codec=codec, notices=[note], site=SITE)
    signed = parcel.signed(AUTHORITY.device())
    opened = open_header(signed, AUTHORITY.trust, NOW)
    assert opened.identity.site == opened.header.site == SITE
    assert opened.digest == header_digest(signed)
    check_body(opened.header, parcel.read)
    opener = BodyOpener(opened.header, KEYS)
    assert [extract(opener, parcel, entry) for entry in opener.manifest.instances] == INSTANCES
    assert opener.manifest.notices == (note,)
    assert opener.manifest.length == sum(map(len, INSTANCES))
    entry = opener.manifest.instances[1]
    assert entry.sha256 == hashlib.sha256(INSTANCES[1]).hexdigest()
    assert (entry.study_uid, entry.codec, entry.length) == ("2.25.1000", codec, 3000)


def test_of_what_blake3_was_taken_the_reader_takes_the_sha256():
    keys, taken = KEYS.publics(), blake3(INSTANCES[1]).hexdigest()
    body: list[bytes] = []
    sealer = BodySealer(body.append, keys, PARCEL, site=SITE)
    writer = sealer.begin("raw", taken=Taken.BLAKE3)
    writer.write(INSTANCES[1])
    assert writer.digest == taken == writer.finish(facts(1)).digest
    sealer.add(facts(2), [INSTANCES[2]], "zstd")
    parcel = Parcel(sealer.finish(), b"".join(body))
    opener = BodyOpener(parcel.header(), KEYS)
    one, two = opener.manifest.instances
    assert (one.sha256, one.blake3, two.blake3) == (UNTAKEN, taken, "")
    assert InnerManifest.from_bytes(opener.manifest.to_bytes()) == opener.manifest
    found = [opener.extract(entry, parcel.read, len).sha256 for entry in (one, two)]
    assert found == [hashlib.sha256(data).hexdigest() for data in INSTANCES[1:]]
    whole = opener.manifest.named(found)
    assert [(entry.sha256, entry.blake3) for entry in whole.instances] == [(found[0], taken), (found[1], "")]
    for wrong in (found[:1], [*found, found[0]], found[::-1]):
        with pytest.raises(Unverified, match="not the digests"):
            opener.manifest.named(wrong)
    assert received(whole) == (
        ReceivedInstance(found[0], 3000, taken),
        ReceivedInstance(found[1], len(INSTANCES[2])),
    )


def test_a_receipt_names_blake3_where_the_manifest_did():
    plain = receipt()
    both = replace(plain, instances=(*plain.instances, ReceivedInstance(NO_PREVIOUS, 7, "a" * 64)))
    assert Receipt.from_bytes(both.to_bytes()) == both
    assert (b'"version":2' in both.to_bytes(), b'"version":1' in plain.to_bytes()) == (True, True)
    for wrong in (
        both.to_bytes().replace(b'"version":2', b'"version":1'),
        plain.to_bytes().replace(b'"version":1', b'"version":2'),
    ):
        with pytest.raises(Malformed, match="version"):
            Receipt.from_bytes(wrong)


def test_instances_come_out_in_any_order():
    parcel = seal(KEYS, INSTANCES)
    opener = BodyOpener(parcel.header(), KEYS)
    for index in (2, 0, 1, 2):
        assert extract(opener, parcel, opener.manifest.instances[index]) == INSTANCES[index]


def test_header_and_draft_survive_their_bytes():
    parcel = seal(KEYS, INSTANCES)
    header = parcel.header()
    assert Header.from_bytes(header.to_bytes()) == header
    assert Draft.from_bytes(parcel.draft.to_bytes()) == parcel.draft


def test_the_draft_tells_no_uid_and_no_name():
    parcel = seal(KEYS, INSTANCES)
    assert b"2.25" not in parcel.draft.to_bytes()
    assert b"CT1" not in parcel.draft.to_bytes()


def test_every_recipient_can_open_and_nobody_else():
    escrow = KemKeys.generate("escrow")
    parcel = seal(KEYS.joined(escrow), INSTANCES)
    for keys in (KEYS, escrow):
        assert BodyOpener(parcel.header(), keys).manifest.instances[0].length == 0
    with pytest.raises(Unverified, match="none of which is a key of this hub"):
        BodyOpener(parcel.header(), KemKeys.generate("other"))
    with pytest.raises(Unverified, match="does not open for this parcel"):
        BodyOpener(parcel.header(), KemKeys.generate("hub-1"))


def test_an_abandoned_instance_leaves_the_others_whole():
    from gateway.envelope.seal import BodySealer
    from tests.doubles.parcels import Parcel

    body: list[bytes] = []
    sealer = BodySealer(body.append, KEYS.publics(), PARCEL, site=SITE, chunk_size=1024)
    sealer.add(facts(1), [b"first" * 500], "zstd")
    broken = sealer.begin("raw")
    broken.write(b"x" * 5000)
    broken.abandon()
    sealer.add(facts(2), [b"second" * 500], "raw")
    parcel = Parcel(sealer.finish(), b"".join(body))
    opener = BodyOpener(parcel.header(), KEYS)
    found = [extract(opener, parcel, entry) for entry in opener.manifest.instances]
    assert found == [b"first" * 500, b"second" * 500]


PIECES = st.lists(st.binary(max_size=3000), max_size=6)


@given(before=PIECES, dropped=PIECES, pieces=PIECES, taken=st.sampled_from(Taken), looks=st.booleans())
@settings(max_examples=60)
def test_a_digest_is_of_one_instance_wherever_chunks_end(before, dropped, pieces, taken, looks):
    """It is taken of chunks, in which others may lie, too; and may be asked for on the way."""
    sealer = BodySealer(lambda _: None, KEYS.publics(), PARCEL, site=SITE, chunk_size=1024)
    sealer.add(facts(1), before, "raw")
    broken = sealer.begin("raw")
    for piece in dropped:
        broken.write(piece)
    broken.abandon()
    writer, so_far = sealer.begin("raw", taken=taken), b""
    for piece in pieces:
        writer.write(piece)
        so_far += piece
        if looks:
            assert writer.digest == taken.of(so_far)
    entry = writer.finish(facts(2))
    assert entry.digest == writer.digest == taken.of(so_far)
    assert sealer.entries[0].sha256 == hashlib.sha256(b"".join(before)).hexdigest()


def test_keys_are_kept_in_a_folder(tmp_path):
    KEYS.save(tmp_path)
    KEYS.save(tmp_path)  # a second time changes nothing
    assert KemKeys.load(tmp_path).publics() == KEYS.publics()
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


def test_no_key_in_the_folder_is_told(tmp_path):
    with pytest.raises(Malformed, match="there is no"):
        KemKeys.load(tmp_path)


def test_the_trailer_finds_the_draft():
    parcel = seal(KEYS, INSTANCES)
    file = parcel.body + trailer(parcel.draft)
    assert read_trailer(lambda at, n: file[at : at + n], len(file)) == parcel.draft
    for cut in (0, 5, 12, len(file) - 1):
        with pytest.raises(Malformed):
            read_trailer(lambda at, n, cut=cut: file[:cut][at : at + n], cut)
    with pytest.raises(Malformed, match="another size"):
        read_trailer(lambda at, n: (b"x" + file)[at : at + n], len(file) + 1)


def receipt() -> Receipt:
    return Receipt(
        parcel_id=PARCEL,
        header_digest=NO_PREVIOUS,
        site=SITE,
        sequence=1,
        instances=(ReceivedInstance(NO_PREVIOUS, 7),),
        received_at="2026-11-22T12:00:00.000000Z",
    )


def test_a_receipt_is_the_hubs_word():
    opened = open_receipt(sign_receipt(receipt(), AUTHORITY.hub()), AUTHORITY.trust, NOW)
    assert opened.receipt == receipt()
    assert opened.identity.name == "main"


def test_an_edge_cannot_write_receipts():
    with pytest.raises(Unverified):
        open_receipt(sign_receipt(receipt(), AUTHORITY.device()), AUTHORITY.trust, NOW)


def test_a_receipt_must_be_for_what_was_sent():
    sent = {"parcel_id": PARCEL, "header_digest": NO_PREVIOUS, "site": SITE, "sequence": 1}
    receipt().check(**sent, instances=receipt().instances)
    for change in (
        {"parcel_id": "f" * 32},
        {"header_digest": "f" * 64},
        {"site": SiteId("H002")},
        {"sequence": 2},
        {"instances": ()},
    ):
        with pytest.raises(Unverified):
            receipt().check(**(sent | change))
