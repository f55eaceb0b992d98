"""Every forgery is refused, by the rule it breaks; whatever is written before is never more than declared."""

from __future__ import annotations

import functools

import pytest

from gateway.envelope.kem import KemKeys
from gateway.envelope.unseal import BodyOpener, check_body, open_header
from tests.doubles.forger import Forger, Forgery, forgeries
from tests.doubles.forger_blake3 import blake3_parcels
from tests.doubles.signers import MemoryAuthority

AUTHORITY = MemoryAuthority()
KEYS = KemKeys.generate("hub-1")


@functools.cache
def made() -> dict[str, Forgery]:
    forger = Forger(AUTHORITY, KEYS)
    return forgeries(forger) | blake3_parcels(forger)


def open_all(forgery: Forgery) -> list[bytes]:
    opened = open_header(forgery.signed, AUTHORITY.trust, forgery.at)
    opener = BodyOpener(opened.header, KEYS)
    if forgery.body:
        check_body(opened.header, forgery.read)
    found = []
    for entry in opener.manifest.instances:
        out: list[bytes] = []
        try:
            opener.extract(entry, forgery.read, out.append)
        finally:
            assert sum(map(len, out)) <= entry.length
        found.append(b"".join(out))
    return found


@pytest.mark.parametrize("name", made())
def test_attack_11_forgery_is_refused(name):
    forgery = made()[name]
    if forgery.error is None:
        open_all(forgery)
        return
    with pytest.raises(forgery.error, match=forgery.says):
        open_all(forgery)


def test_a_good_one_is_accepted():
    """So that the refusals above mean something."""
    from tests.doubles.forger import DATA

    assert open_all(made()["good"]) == [DATA]
    assert open_all(made()["good-blake3"]) == open_all(made()["good-both-digests"]) == [DATA]
    assert open_all(made()["good-several-zstd"]) == [b"", b"one", DATA, DATA * 9]
    assert sum(forgery.error is not None for forgery in made().values()) > 50


def test_the_digests_alone_do_not_save_a_forger_who_signs():
    """What a signing thief can do: digests fit, so only the cipher refuses."""
    for name in ("swapped-chunks-and-digests", "last-chunk-not-last", "chunk-repeated"):
        forgery = made()[name]
        header = open_header(forgery.signed, AUTHORITY.trust, forgery.at).header
        check_body(header, forgery.read)
