"""Every input that fuzzing has kept, and what crashed once, again: nothing escapes, nothing takes long."""

import time

import pytest

from tests.property.fuzzing import LONGEST, MOST, TARGETS, load, seeds, store

SLOW = 1.0
"""Seconds of processor time of one input."""


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus_is_kept_and_does_no_harm(target):
    kept = load(target)
    assert len(kept) >= 20
    for one in [*seeds(target), *kept]:
        began = time.thread_time()
        TARGETS[target](one)
        assert time.thread_time() - began < SLOW, one.hex()


def test_what_is_kept_is_bounded_and_comes_back(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.property.fuzzing.CORPUS", tmp_path)
    inputs = [b"b", b"a", b"", b"aa", bytes(LONGEST + 1), *(n.to_bytes(3, "big") for n in range(MOST))]
    assert store("header", inputs) == MOST
    assert load("header")[:3] == [b"a", b"b", b"aa"]
    assert load("charset") == []
