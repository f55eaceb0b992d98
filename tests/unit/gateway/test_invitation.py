"""The code an edge joins with: whole or told, never half."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UsageError
from gateway.invitation import Invitation

HUB = "https://hub.example.org:8443"
TOKEN = base64.b32encode(bytes(range(20))).decode().lower()
PIN = "sha256:" + bytes(range(32)).hex()
GOOD = Invitation(HUB, TOKEN, PIN)
GOLDEN = (
    "TG1-DRUHI-5DQOM-5C6L3-IOVRC-4ZLYM-FWXA3-DFFZX-XEZZ2-HA2DI-MYAAE-BAGBA-FAYDQ-QCIKB-MGA2D-QPCAI"
    "-REEYA-AEBAG-BAFAY-DQQCI-KBMGA-2DQPC-AIREE-YUCUL-BOGAZ-DINRY-HI6D4-US467-7"
)


def test_what_goes_in_comes_out() -> None:
    assert Invitation.of_code(GOOD.code()) == GOOD
    assert GOOD.code() == GOLDEN


def test_it_may_be_pasted_with_breaks_in_small_letters_or_read_out() -> None:
    code = GOOD.code()
    broken = "\n  ".join(code[at : at + 40] for at in range(0, len(code), 40)).lower()
    assert Invitation.of_code(f" {broken}\n") == GOOD
    assert Invitation.of_code("TG1" + code[3:].replace("O", "0").replace("I", "1").replace("B", "8")) == GOOD


@given(st.data())
def test_one_wrong_or_missing_character_is_told(data: st.DataObject) -> None:
    code = GOOD.code().replace("-", "")
    at = data.draw(st.integers(0, len(code) - 1))
    other = data.draw(st.sampled_from([*(set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") - {code[at]}), ""]))
    with pytest.raises(UsageError):
        Invitation.of_code(code[:at] + other + code[at + 1 :])


@given(st.text(max_size=300))
def test_anything_else_is_told(text: str) -> None:
    with pytest.raises(UsageError):
        Invitation.of_code(text)


@pytest.mark.parametrize(
    ("code", "words"),
    [("TG2-AAAA", "another version"), ("x" * 2000, "longer than"), ("hello", "does not begin with TG1")],
)
def test_the_words(code: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Invitation.of_code(code)


def test_the_qr_code_is_in_the_small_mode() -> None:
    assert GOOD.qr().mode == "alphanumeric"


def test_no_code_for_what_does_not_fit() -> None:
    with pytest.raises(UsageError, match="another length"):
        Invitation(HUB, "mfrggzdf", PIN).code()
    with pytest.raises(UsageError, match="no code"):
        Invitation("https://" + "x" * 300, TOKEN, PIN).code()
