"""Keys made in quiet moments: used once, for the hub's present keys, and made at once when there are none."""

import threading

import pytest

from edge.spool.ahead import KeysAhead
from gateway.envelope.kem import KemKeys
from gateway.errors import Malformed

OLD, NEW = KemKeys.generate("old").publics(), KemKeys.generate("new").publics()


def test_every_key_is_given_once_whoever_asks():
    ahead = KeysAhead(lambda: OLD, most=20)
    ahead.fill()
    assert not ahead.few
    taken = []
    threads = [
        threading.Thread(target=lambda: taken.extend(ahead.take() for _ in range(10))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.parcel_id for one in taken}) == len({one.key for one in taken}) == 40
    assert ahead.few


def test_what_was_made_for_an_old_key_of_the_hub_is_not_used():
    current = [OLD]
    ahead = KeysAhead(lambda: current[0], most=5)
    ahead.fill()
    current[0] = NEW
    assert [wrap.kid for wrap in ahead.take().wraps] == ["new"]
    ahead.fill(2)
    assert [wrap.kid for wrap in ahead.take().wraps] == ["new"]


def test_making_stops_when_something_comes():
    ahead, asked = KeysAhead(lambda: OLD, most=50), iter(range(100))
    ahead.fill(stop=lambda: next(asked) >= 3)
    assert len(ahead._ready) == 3


def test_without_a_recipient_nothing_is_sealed():
    with pytest.raises(Malformed):
        KeysAhead(lambda: ()).take()
