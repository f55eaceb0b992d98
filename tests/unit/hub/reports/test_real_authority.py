"""The report signed under the real certificate authority, with the hub's own keys."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from certs import rollover
from certs.authority import Authority, Issuer
from gateway.clock import SystemClock
from gateway.errors import Unverified
from gateway.report.pdf_signature import read
from gateway.trust import FileSigner, Trust
from hub.app import trust_material
from hub.config import HubConfig
from hub.identity import HubKeys
from hub.reports.document import draw
from hub.reports.press import Press
from hub.reports.signature import sign
from tests.doubles.report import CHINESE
from tests.doubles.signed import LETTERHEAD, authored


def test_a_report_signed_with_the_hub_s_own_keys_holds_until_its_reader_is_revoked(tmp_path: Path) -> None:
    clock = SystemClock()
    authority = Authority.create(tmp_path / "pki", clock)
    config = HubConfig(data=tmp_path / "hub", pki=tmp_path / "pki", rules=tmp_path / "rules.yaml")
    keys = HubKeys.prepare(config, authority, clock)
    material = trust_material(keys, clock)
    key = ec.generate_private_key(ec.SECP256R1())
    issued = authority.issue_person(key.public_key(), "Dr. Wei Lin", "wei@example.org")
    signer = FileSigner(key, issued.chain)
    whole = authored(CHINESE, signer)
    pdf = asyncio.run(sign(draw(whole, LETTERHEAD), whole, signer, material))
    assert read(pdf, keys.trust, datetime.now(UTC)).report == whole
    authority.revoke(issued.certificate)
    with pytest.raises(Unverified, match="cannot sign"):
        asyncio.run(sign(draw(whole, LETTERHEAD), whole, signer, material))
    assert read(pdf, keys.trust, datetime.now(UTC)).signer.name == "Dr. Wei Lin"


def test_signing_goes_on_after_every_authority_was_exchanged_under_a_running_hub(tmp_path: Path) -> None:
    clock = SystemClock()
    authority = Authority.create(tmp_path / "pki", clock)
    config = HubConfig(data=tmp_path / "hub", pki=tmp_path / "pki", rules=tmp_path / "rules.yaml")
    keys = HubKeys.prepare(config, authority, clock)
    press = Press(trust_material(keys, clock), "Telerad", clock)
    before = keys.timestamp_chain
    rollover.new_root(tmp_path / "pki", clock)
    keys.maintain()
    for issuer in (Issuer.SERVER, Issuer.PEOPLE, Issuer.TIMESTAMP):
        rollover.new_issuer(tmp_path / "pki", clock, issuer)
    keys.maintain()
    key = ec.generate_private_key(ec.SECP256R1())
    issued = authority.issue_person(key.public_key(), "Dr. Wei Lin", "wei@example.org")
    signer = FileSigner(key, issued.chain)
    printed = press.make(authored(CHINESE, signer), signer, [])
    newest = Trust([authority.root])  # the old root is not needed any more: the stamp is of the new TSA too
    assert keys.timestamp_chain != before
    assert read(printed.pdf, newest, datetime.now(UTC)).signer.certificate == issued.certificate
