"""The tree against published roots, and every proof for every size and place up to 40."""

from __future__ import annotations

import pytest

from gateway.custody import merkle
from gateway.errors import Unverified

LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [  # the leaves and roots that Certificate Transparency implementations share
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
HASHES = [merkle.leaf_hash(bytes([number])) for number in range(40)]


@pytest.mark.parametrize("size", range(1, 9))
def test_published_roots(size):
    assert merkle.root(map(merkle.leaf_hash, LEAVES[:size])).hex() == ROOTS[size - 1]


def test_the_empty_tree_has_its_own_root():
    assert merkle.root([]) == merkle.EMPTY_ROOT


def test_the_frontier_keeps_few_hashes():
    frontier = merkle.Frontier()
    for leaf in HASHES:
        frontier.append(leaf)
    assert len(frontier._roots) == len(HASHES).bit_count()


@pytest.mark.parametrize("size", range(1, 41))
def test_every_inclusion_proof_holds_for_its_own_place_only(size):
    root = merkle.root(HASHES[:size])
    for index in range(size):
        proof = merkle.inclusion_proof(index, HASHES[:size])
        merkle.verify_inclusion(HASHES[index], index, size, proof, root)
        with pytest.raises(Unverified):
            merkle.verify_inclusion(merkle.leaf_hash(b"other"), index, size, proof, root)
        with pytest.raises(Unverified):
            merkle.verify_inclusion(HASHES[index], index, size, [*proof, root], root)
        if size > 1:
            with pytest.raises(Unverified):
                merkle.verify_inclusion(HASHES[index], (index + 1) % size, size, proof, root)
            with pytest.raises(Unverified):
                merkle.verify_inclusion(HASHES[index], index, size, proof[:-1], root)


@pytest.mark.parametrize("new", range(41))
def test_every_consistency_proof_holds_and_a_rewritten_log_does_not(new):
    new_root = merkle.root(HASHES[:new])
    for old in range(new + 1):
        old_root = merkle.root(HASHES[:old])
        proof = merkle.consistency_proof(old, HASHES[:new])
        merkle.verify_consistency(old, new, old_root, new_root, proof)
        with pytest.raises(Unverified):
            merkle.verify_consistency(old, new, merkle.leaf_hash(b"other"), new_root, proof)
        with pytest.raises(Unverified):
            merkle.verify_consistency(old, new, old_root, new_root, [*proof, new_root])
        if proof:
            with pytest.raises(Unverified):
                merkle.verify_consistency(old, new, old_root, new_root, proof[:-1])
            with pytest.raises(Unverified):
                merkle.verify_consistency(old, new, old_root, merkle.leaf_hash(b"other"), proof)


def test_places_that_cannot_be_are_refused():
    with pytest.raises(IndexError):
        merkle.inclusion_proof(3, HASHES[:3])
    with pytest.raises(IndexError):
        merkle.consistency_proof(4, HASHES[:3])
    with pytest.raises(Unverified):
        merkle.verify_inclusion(HASHES[0], 1, 1, [], HASHES[0])
    with pytest.raises(Unverified):
        merkle.verify_consistency(2, 1, HASHES[0], HASHES[0], [])
