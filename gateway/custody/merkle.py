"""The Merkle tree of RFC 9162 §2.1 over SHA-256: root, inclusion proofs, consistency proofs. Pure.

Leaves are entered as their hashes (`leaf_hash`); a tree of n leaves is the list of n hashes.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence

from gateway.errors import Unverified

EMPTY_ROOT = hashlib.sha256(b"").digest()
"""RFC 9162 §2.1.1: the hash of an empty tree."""

PROOF_LIMIT = 64
"""No tree is higher than this."""


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256(0x00 ‖ leaf). The first byte keeps leaves and nodes apart (second-preimage resistance)."""
    return hashlib.sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\1" + left + right).digest()


class Frontier:
    """A growing tree of which only the roots of its full subtrees are kept: at most 64 hashes."""

    def __init__(self) -> None:
        self.size = 0
        self._roots: list[tuple[int, bytes]] = []  # (leaves below, hash), largest first

    def append(self, leaf: bytes) -> None:
        """Add a leaf hash."""
        count, digest = 1, leaf
        while self._roots and self._roots[-1][0] == count:
            digest = node_hash(self._roots.pop()[1], digest)
            count *= 2
        self._roots.append((count, digest))
        self.size += 1

    def root(self) -> bytes:
        """The root of the tree as it is now."""
        if not self._roots:
            return EMPTY_ROOT
        digest = self._roots[-1][1]
        for _, left in reversed(self._roots[:-1]):
            digest = node_hash(left, digest)
        return digest


def root(leaves: Iterable[bytes]) -> bytes:
    """MTH of RFC 9162 §2.1.1."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def _split(size: int) -> int:
    """The largest power of two smaller than `size` (≥ 2)."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_proof(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 9162 §2.1.3.1: what leads from leaf `index` (from 0) to the root.

    Raises:
        IndexError: there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"there is no leaf {index} in a tree of {len(leaves)}")
    if len(leaves) == 1:
        return []
    k = _split(len(leaves))
    if index < k:
        return [*inclusion_proof(index, leaves[:k]), root(leaves[k:])]
    return [*inclusion_proof(index - k, leaves[k:]), root(leaves[:k])]


def inclusion_proofs(indexes: Iterable[int], leaves: Sequence[bytes]) -> list[list[bytes]]:
    """`inclusion_proof` of several leaves, with every node of the tree computed once.

    Raises:
        IndexError: there is no such leaf.
    """
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        pairs = range(0, len(below) - 1, 2)
        above = [node_hash(below[i], below[i + 1]) for i in pairs]
        levels.append(above + below[len(above) * 2 :])  # an odd one at the end goes up as it is
    return [_path(index, levels) for index in indexes]


def _path(index: int, levels: Sequence[Sequence[bytes]]) -> list[bytes]:
    if not 0 <= index < len(levels[0]):
        raise IndexError(f"there is no leaf {index} in a tree of {len(levels[0])}")
    path = []
    for level in levels[:-1]:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        index >>= 1
    return path


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected_root: bytes
) -> None:
    """RFC 9162 §2.1.3.2: that leaf hash `leaf` is number `index` of the tree of `size` leaves.

    Raises:
        Unverified: it is not.
    """
    if not 0 <= index < size:
        raise Unverified(f"a log of {size} entries has no entry {index}")
    place, last, digest = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise Unverified("the inclusion proof is too long")
        if place & 1 or place == last:
            digest = node_hash(sibling, digest)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            digest = node_hash(digest, sibling)
        place, last = place >> 1, last >> 1
    if last != 0 or not hmac.compare_digest(digest, expected_root):
        raise Unverified(f"entry {index} is not in the log with this root")


def consistency_proof(old: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PROOF of RFC 9162 §2.1.4.1: that the tree of the first `old` leaves was only added to.

    Raises:
        IndexError: `old` is not from 0 to the number of leaves.
    """
    if not 0 <= old <= len(leaves):
        raise IndexError(f"a log of {len(leaves)} entries never had {old}")
    return _subproof(old, leaves, known=True) if old else []


def _subproof(old: int, leaves: Sequence[bytes], *, known: bool) -> list[bytes]:
    if old == len(leaves):
        return [] if known else [root(leaves)]
    k = _split(len(leaves))
    if old <= k:
        return [*_subproof(old, leaves[:k], known=known), root(leaves[k:])]
    return [*_subproof(old - k, leaves[k:], known=False), root(leaves[:k])]


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """RFC 9162 §2.1.4.2: that a log of `old` entries grew into one of `new` without a change.

    Raises:
        Unverified: it was rewritten, or the proof is none.
    """
    rewritten = Unverified(f"the log of {new} entries does not continue the log of {old} entries")
    if not 0 <= old <= new:
        raise rewritten
    if old in (0, new):
        before = EMPTY_ROOT if old == 0 else new_root
        if proof or not hmac.compare_digest(old_root, before):
            raise rewritten
        return
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        raise rewritten
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    before = after = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise rewritten
        if place & 1 or place == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        place, last = place >> 1, last >> 1
    holds = hmac.compare_digest(before, old_root) and hmac.compare_digest(after, new_root)
    if last != 0 or not holds:
        raise rewritten
