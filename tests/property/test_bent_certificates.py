"""No flipped bit of what is signed passes, and none makes the judge fail in another way than by refusing."""

from __future__ import annotations

from base64 import b64encode
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs.authority import Authority
from gateway import keyfile
from gateway.certificate import read_der, read_request
from gateway.errors import Malformed, Refused, Unverified
from gateway.trust import Purpose
from tests.doubles.hand_clock import HandClock
from tests.doubles.requests import request

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder: Path = tmp_path_factory.mktemp("bent") / "pki"
    return Authority.create(folder, HandClock(NOW))


@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")
@pytest.mark.parametrize("place", [0, 1], ids=["leaf", "issuer"])
def test_every_flipped_bit_is_refused(authority: Authority, place: int) -> None:
    chain = authority.issue_device(request(keyfile.new()), "H001", "1", life=timedelta(days=30)).chain
    der = [certificate.public_bytes(Encoding.DER) for certificate in chain]
    assert authority.trust.identify(chain, Purpose.DEVICE, NOW).site == "H001"
    read = passed = 0
    for position in range(8 * len(der[place])):
        bent = bytearray(der[place])
        bent[position // 8] ^= 1 << (position % 8)
        try:
            certificate = read_der(bytes(bent))
        except Malformed:
            continue
        read += 1
        mixed = [certificate, chain[1]] if place == 0 else [chain[0], certificate]
        with suppress(Unverified):
            authority.trust.identify(mixed, Purpose.DEVICE, NOW)
            # one signature has several encodings (unused bits of a BIT STRING); what is signed has one
            assert certificate.tbs_certificate_bytes == chain[place].tbs_certificate_bytes
            passed += 1
    assert read > 1000
    assert passed < 8


@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")
def test_every_flipped_bit_of_a_request_is_refused(authority: Authority) -> None:
    """Malformed when it is read, Refused when a certificate is asked for; never anything else."""
    asked, passed = request(keyfile.new()), 0
    der = asked.public_bytes(Encoding.DER)
    for position in range(8 * len(der)):
        bent = bytearray(der)
        bent[position // 8] ^= 1 << (position % 8)
        text = (
            b"-----BEGIN CERTIFICATE REQUEST-----\n"
            + b64encode(bent)
            + b"\n-----END CERTIFICATE REQUEST-----\n"
        )
        with suppress(Malformed, Refused):
            read_again = read_request(text)
            authority.issue_device(read_again, "H001", "1")
            assert read_again.tbs_certrequest_bytes == asked.tbs_certrequest_bytes
            passed += 1
    assert passed < 8
