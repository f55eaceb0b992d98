"""A new generation of an authority: after a theft, before it expires, or to take its key into a token.

An issuing authority is exchanged in one step, since edges trust the root and every certificate comes with
its chain. A root needs two, with time between them:

1. `new_root`: the new one stands beside the old one. Hubs tell it to their edges, signed under the old one
   (`gateway.bundle`), and from then on an edge believes both.
2. `new_issuer` for each authority, once every edge has taken the new root (``telerad hub edge list``): what
   is issued from then on stands under it. The old certificates go on until they are renewed.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from certs import profile
from certs.authority import USAGES, Authority, Issuer, add_generation, generations
from gateway import durable, keyfile, token
from gateway.clock import Clock
from gateway.errors import UsageError


def new_root(folder: Path, clock: Clock, key_uri: str | None = None) -> str:
    """Make the next root. It issues nothing until `new_issuer`.

    Args:
        folder: of the authority.
        clock: now.
        key_uri: of a key in a token (RFC 7512) that is to be the root's; None: a new key in a file.

    Returns:
        The name of its files.

    Raises:
        UsageError: there is no authority here, or the token's key cannot be used.
    """
    authority = Authority.open(folder, clock)
    number = len(generations(folder, "root")) + 1
    stem, key = f"root-{number}", _key(folder / f"root-{number}.key", key_uri)
    organisation = profile.organisation(authority.root)
    add_generation(folder, stem, profile.root(key, organisation, clock.now(), number), clock)
    return stem


def new_issuer(folder: Path, clock: Clock, issuer: Issuer, key_uri: str | None = None) -> str:
    """Make the next generation of an issuing authority, under the newest root. Arguments as `new_root`.

    Raises:
        UsageError: the newest root's key is not here; and as `new_root`.
    """
    authority = Authority.open(folder, clock)
    if issuer is Issuer.ROOT:
        raise UsageError("a root is made with new-root")
    root, root_file = authority.certificate(Issuer.ROOT), folder / f"{authority.generation(Issuer.ROOT)}.key"
    if not root_file.exists():
        raise UsageError(f"{root_file} is not here; bring it from its safe, and take it back afterwards")
    number = len(generations(folder, issuer.value)) + 1
    stem, key = f"{issuer.value}-{number}", _key(folder / f"{issuer.value}-{number}.key", key_uri)
    certificate = profile.issuer(
        key.public_key(),
        issuer.value,
        USAGES[issuer],
        root,
        keyfile.load_p256(root_file),
        clock.now(),
        number,
    )
    add_generation(folder, stem, certificate, clock)
    return stem


def _key(file: Path, uri: str | None) -> ec.EllipticCurvePrivateKey:
    """The key of a new generation; one that a crash left without a certificate is taken up again."""
    if uri is not None:
        key = token.TokenKey(token.TokenUri.parse(uri))
        if not file.exists():
            durable.create(file, uri.strip().encode(), mode=0o600)
        return key
    if not file.exists():
        keyfile.store(file, keyfile.new())
    return keyfile.load_p256(file)
