"""The report signed under the real certificate authority, with the hub's own keys."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from certs.authority import Authority, Issuer
from gateway.clock import SystemClock
from gateway.errors import Unverified
from gateway.report.pdf_signature import read
from gateway.trust import FileSigner
from hub.config import HubConfig
from hub.identity import HubKeys
from hub.reports.document import draw
from hub.reports.signature import TrustMaterial, sign
from hub.reports.timestamp import TimestampAuthority
from tests.doubles.report import CHINESE
from tests.doubles.signed import LETTERHEAD, authored


def test_a_report_signed_with_the_hub_s_own_keys_holds_until_its_reader_is_revoked(tmp_path: Path) -> None:
    clock = SystemClock()
    authority = Authority.create(tmp_path / "pki", clock)
    config = HubConfig(data=tmp_path / "hub", pki=tmp_path / "pki", rules=tmp_path / "rules.yaml")
    keys = HubKeys.prepare(config, authority, clock)
    material = TrustMaterial(
        roots=(keys.root,),
        timestamps=TimestampAuthority(keys.timestamp_key, keys.timestamp_chain, clock),
        crls=lambda: [authority.crl(name) for name in (Issuer.ROOT, Issuer.PEOPLE, Issuer.TIMESTAMP)],
    )
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
