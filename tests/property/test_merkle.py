"""Merkle proofs for trees of any size."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.custody import merkle
from gateway.errors import Unverified


def leaves(count: int, seed: int) -> list[bytes]:
    return [hashlib.sha256(f"{seed}-{number}".encode()).digest() for number in range(count)]


@given(st.data(), st.integers(1, 600), st.integers(0, 3))
def test_inclusion(data, size, seed):
    index = data.draw(st.integers(0, size - 1))
    tree = leaves(size, seed)
    proof, root = merkle.inclusion_proof(index, tree), merkle.root(tree)
    merkle.verify_inclusion(tree[index], index, size, proof, root)
    if proof:
        place = data.draw(st.integers(0, len(proof) - 1))
        proof[place] = bytes(32)
        with pytest.raises(Unverified):
            merkle.verify_inclusion(tree[index], index, size, proof, root)


@given(st.data(), st.integers(1, 600), st.integers(0, 3))
def test_a_rewritten_entry_breaks_consistency(data, new, seed):
    old = data.draw(st.integers(1, new))
    tree = leaves(new, seed)
    old_root = merkle.root(tree[:old])
    merkle.verify_consistency(old, new, old_root, merkle.root(tree), merkle.consistency_proof(old, tree))
    tree[data.draw(st.integers(0, old - 1))] = bytes(32)
    with pytest.raises(Unverified):
        merkle.verify_consistency(old, new, old_root, merkle.root(tree), merkle.consistency_proof(old, tree))


@given(st.lists(st.binary(max_size=8), max_size=80))
def test_the_frontier_is_the_recursive_definition(entries):
    def defined(hashes):  # RFC 9162 §2.1.1, word for word
        if not hashes:
            return hashlib.sha256(b"").digest()
        if len(hashes) == 1:
            return hashes[0]
        k = 1
        while k * 2 < len(hashes):
            k *= 2
        return hashlib.sha256(b"\1" + defined(hashes[:k]) + defined(hashes[k:])).digest()

    hashes = [merkle.leaf_hash(entry) for entry in entries]
    assert merkle.root(hashes) == defined(hashes)


@given(st.data(), st.integers(1, 300))
def test_many_proofs_at_once_are_those_of_the_recursive_definition(data, size):
    tree = leaves(size, 0)
    wanted = data.draw(st.lists(st.integers(0, size - 1), max_size=10))
    assert merkle.inclusion_proofs(wanted, tree) == [merkle.inclusion_proof(one, tree) for one in wanted]
