from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.downlink.verify import Verified, open_package
from gateway.errors import DataError, Malformed, Unverified
from gateway.model import SiteId
from gateway.report.delivery import MAGIC, Acknowledgement, Manifest, Outcome, unpack
from tests.doubles.delivery import DELIVERY, SITE, hub_signer, package, parts
from tests.doubles.report import CHINESE, ENGLISH
from tests.doubles.signed import authored, authority, reader
from tests.doubles.small_authority import SmallAuthority


def judge(data: bytes, delivery: str = DELIVERY, site: SiteId = SITE) -> Verified:
    return open_package(data, delivery, site, authority().trust, datetime.now(UTC))


def test_a_package_of_the_hub_holds() -> None:
    manifest, data = parts()
    found = judge(package(manifest, data))
    assert found.report == authored(CHINESE)
    assert found.pdf == data[0]
    assert found.structured.dataset == data[1]
    assert found.enveloped.dataset == data[2]
    assert found.signed_by == "Dr. Wei Lin"


def test_the_second_copy_of_the_pdf_costs_next_to_nothing() -> None:
    manifest, data = parts()
    assert len(package(manifest, data)) < len(data[0]) + 10_000


def test_another_delivery_or_site_is_refused() -> None:
    made = package(*parts())
    for delivery, site in (("e" * 32, SITE), (DELIVERY, SiteId("H002"))):
        with pytest.raises(Unverified, match="the hub sent delivery"):
            judge(made, delivery, site)


def test_only_a_hub_may_sign_it() -> None:
    manifest, data = parts()
    for signer in (reader(), authority().device(), SmallAuthority("Other").hub()):
        with pytest.raises(Unverified):
            judge(package(manifest, data, signer))


def test_files_that_are_not_the_stated_ones_are_refused() -> None:
    manifest, data = parts()
    _, other = parts(ENGLISH)
    for wrong in ([other[0], *data[1:]], [*data, b"more"], data[:2], [data[0], data[2], data[1]]):
        with pytest.raises(Malformed):
            judge(package(manifest, wrong))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"report_id": "0" * 32}, "another report"),
        ({"canonical_sha256": "0" * 64}, "another report"),
        ({"study_uid": "1.2.3"}, "study"),
    ],
)
def test_a_manifest_that_does_not_fit_its_files_is_refused(change: dict[str, str], words: str) -> None:
    manifest, data = parts()
    with pytest.raises(Unverified, match=words):
        judge(package(replace(manifest, **change), data))


def test_an_envelope_with_another_pdf_is_refused() -> None:
    manifest, data = parts()
    other_manifest, other = parts(ENGLISH)
    mixed = replace(manifest, files=(*manifest.files[:2], other_manifest.files[2]))
    with pytest.raises(Unverified, match="envelope"):
        judge(package(mixed, [*data[:2], other[2]]))


@settings(max_examples=40, deadline=None)
@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_one_changed_byte_anywhere_is_refused(place: int, change: int) -> None:
    made = bytearray(package(*parts()))
    made[place % len(made)] ^= change
    try:
        found = judge(bytes(made))
    except DataError:
        return
    assert found.pdf == parts()[1][0]  # bits of the compressed form that mean nothing


def test_a_bomb_stops_at_the_limit() -> None:
    bomb = MAGIC + zstandard.ZstdCompressor().compress(bytes(200 << 20))
    with pytest.raises(Malformed, match="more than"):
        unpack(bomb)
    for data in (b"", b"TDP1", b"TDP1" + zstandard.compress(b"\xff\xff\xff\xff"), b"TDP1rubbish"):
        with pytest.raises(Malformed):
            unpack(data)


def test_manifest_and_acknowledgement_survive_the_way_there_and_back() -> None:
    manifest, _ = parts()
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest
    outcome = Outcome("pacs", "dicom", "refused", "0xC000 磁盘", manifest.queued_at)
    said = Acknowledgement(
        DELIVERY,
        "a" * 32,
        "b" * 64,
        SITE,
        3,
        "delivered",
        "",
        (outcome,),
        manifest.queued_at,  # type: ignore[arg-type]
    )
    assert Acknowledgement.from_bytes(said.to_bytes()) == said
    for change in ({"state": "perhaps"}, {"revision": 0}, {"outcomes": (outcome, outcome)}):
        with pytest.raises(Malformed):
            Acknowledgement.from_bytes(replace(said, **change).to_bytes())
    assert hub_signer().chain
