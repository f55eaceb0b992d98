from __future__ import annotations

import pytest

from hub.access import totp

SECRET = b"12345678901234567890"  # the secret of RFC 6238, appendix B


@pytest.mark.parametrize(
    ("at", "code"),
    [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_the_vectors_of_rfc_6238(at: int, code: str) -> None:
    assert totp.generate(SECRET, at=at) == code
    assert totp.accepted_step(SECRET, code, at=at, last_step=0) == at // 30


def test_one_step_early_or_late_is_accepted_and_two_are_not() -> None:
    code = totp.generate(SECRET, at=3000)
    for at, fine in ((2939, False), (2970, True), (3000, True), (3059, True), (3060, False)):
        assert (totp.accepted_step(SECRET, code, at=at, last_step=0) is not None) is fine, at


def test_a_used_code_and_any_before_it_are_refused() -> None:
    code = totp.generate(SECRET, at=3000)
    assert totp.accepted_step(SECRET, code, at=3000, last_step=99) == 100
    assert totp.accepted_step(SECRET, code, at=3001, last_step=100) is None
    assert totp.accepted_step(SECRET, code, at=3001, last_step=101) is None


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "-12345", "12 34"])
def test_what_is_no_code_is_refused(code: str) -> None:
    assert totp.accepted_step(SECRET, code, at=59, last_step=0) is None


def test_blanks_within_a_code_are_fine() -> None:
    assert totp.accepted_step(SECRET, " 287 082 ", at=59, last_step=0) == 1


def test_what_an_app_is_given() -> None:
    assert totp.base32(SECRET) == "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    address = totp.uri(SECRET, name="chen", issuer="telerad")
    assert address.startswith("otpauth://totp/telerad:chen?")
    assert "secret=GEZDGNBVGY3TQOJQ" in address
