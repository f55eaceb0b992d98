from __future__ import annotations

import asyncio
import threading
import time

import pytest

from gateway.errors import Refused
from hub.access import passwords as module
from hub.access.passwords import AT_ONCE, Cost, Passwords, check_new
from tests.doubles.people import CHEAP


async def test_the_right_password_is_told_from_a_wrong_one() -> None:
    hashing = Passwords(CHEAP)
    kept = await hashing.hash("correct horse")
    assert kept.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert await hashing.verify("correct horse", kept)
    assert not await hashing.verify("correct horsf", kept)
    assert not await hashing.verify("correct horse", None)


async def test_the_default_cost_is_rfc_9106_second_recommendation() -> None:
    assert (await Passwords().hash("x")).startswith("$argon2id$v=19$m=65536,t=3,p=4$")


async def test_the_same_password_on_another_keyboard_is_the_same() -> None:
    hashing = Passwords(CHEAP)
    assert await hashing.verify("Å-ångström", await hashing.hash("\u212b-a\u030angstro\u0308m"))


async def test_nobody_costs_a_derivation_like_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    hashing = Passwords(CHEAP)
    await hashing.verify("x", None)
    calls: list[str] = []
    real = module.Argon2id.verify_phc_encoded

    class Counting:
        @staticmethod
        def verify_phc_encoded(word: bytes, kept: str) -> None:
            calls.append(kept)
            real(word, kept)

    monkeypatch.setattr(module, "Argon2id", Counting)
    await hashing.verify("x", None)
    assert len(calls) == 1
    assert "m=8,t=1,p=1" in calls[0]


async def test_few_derivations_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hashing = Passwords(CHEAP)
    running, most, lock = 0, 0, threading.Lock()

    class Slow:
        @staticmethod
        def verify_phc_encoded(word: bytes, kept: str) -> None:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.02)
            with lock:
                running -= 1

    monkeypatch.setattr(module, "Argon2id", Slow)
    await asyncio.gather(*(hashing.verify("x", "y") for _ in range(8)))
    assert most == AT_ONCE


async def test_a_key_depends_on_passphrase_salt_and_cost() -> None:
    hashing = Passwords(CHEAP)
    key = await hashing.key("p", b"s" * 16)
    assert len(key) == 32
    assert key == await hashing.key("p", b"s" * 16, CHEAP)
    assert key != await hashing.key("q", b"s" * 16)
    assert key != await hashing.key("p", b"t" * 16)
    assert key != await hashing.key("p", b"s" * 16, Cost(16, 1, 1))


@pytest.mark.parametrize(
    ("password", "alone"),
    [
        ("short", False),
        ("seven77", False),
        ("fourteen chars", True),
        ("Password", False),
        ("aaaaaaaaaaaa", False),
        ("radmeier2026", False),
        ("x" * 300, False),
    ],
)
def test_weak_passwords_are_refused(password: str, alone: bool) -> None:
    with pytest.raises(Refused):
        check_new(password, name="radmeier", alone=alone)


def test_good_passwords_pass() -> None:
    check_new("eight-ch", name="radmeier", alone=False)
    check_new("fifteen letters", name="radmeier", alone=True)
