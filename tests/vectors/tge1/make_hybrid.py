"""Make the vectors of the post-quantum suite anew: ``python -m tests.vectors.tge1.make_hybrid``.

Only when FORMAT.md changes; what was published stays valid.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from gateway import keyfile
from gateway.clock import rfc3339
from gateway.envelope.kem import HYBRID, HybridPrivate, KemKeys
from gateway.envelope.receipt import Receipt, ReceivedInstance, sign_receipt
from gateway.envelope.seal import header_digest
from gateway.envelope.signature import Statement
from tests.doubles.forger import Forger, digest
from tests.doubles.parcels import PARCEL, SITE
from tests.doubles.signers import NOW, MemoryAuthority
from tests.vectors.tge1.make import text, write

DATA = b"a small instance"


def main() -> None:
    authority = MemoryAuthority("TGE1 hybrid test vectors")
    seed = bytes(range(64))
    private = HybridPrivate(
        MLKEM768PrivateKey.from_seed_bytes(seed), X25519PrivateKey.from_private_bytes(seed[:32])
    )
    forger = Forger(authority, KemKeys({"test-pq": private}))
    single, forger.device = forger.device, authority.device(double=True)
    good = forger.good(DATA)
    signed = good.signed(forger.device)
    statement = Statement.from_bytes(signed)
    assert statement.second_signature is not None
    bent = bytes([statement.second_signature[0] ^ 1]) + statement.second_signature[1:]
    (wrap,) = good.header().fields()["wraps"]
    other = KemKeys({"test-pq": HybridPrivate.generate()})
    (wrong,) = Forger(authority, other).good(DATA).header().fields()["wraps"]
    one_key = Statement.from_bytes(good.signed(single))
    strange = Statement(
        one_key.kind, one_key.payload, one_key.chain, one_key.signature, statement.second_signature
    )
    refused = {
        "second signature taken off": (_with(statement, None), "lacks a second signature"),
        "second signature bent": (_with(statement, bent), "ML-DSA signature"),
        "second signature without a key": (strange.to_bytes(), "has a second signature"),
        "wrap of the other suite": (
            forger.sign(good, wraps=[{**wrap, "kem": "HPKE-P256-HKDF256-A256GCM"}]).signed,
            "not the suite's",
        ),
        "suite renamed to the weaker": (forger.sign(good, suite="P256").signed, "not the suite's"),
        "wrap for another key": (forger.sign(good, wraps=[wrong]).signed, "does not open"),
        "wrap cut short": (
            forger.sign(good, wraps=[{**wrap, "wrapped": wrap["wrapped"][:-4]}]).signed,
            "does not open",
        ),
        "suite unknown": (forger.sign(good, suite="MLKEM1024-X448").signed, "is not known here"),
    }
    receipt = Receipt(
        parcel_id=PARCEL,
        header_digest=header_digest(signed),
        site=SITE,
        sequence=1,
        instances=(ReceivedInstance(digest(DATA), len(DATA)),),
        received_at=rfc3339(NOW),
    )
    answered = sign_receipt(receipt, authority.hub(double=True))
    write(
        "hybrid",
        {
            "warning": "Keys for tests alone. Everybody knows them.",
            "suite": HYBRID,
            "root": authority.root.public_bytes(Encoding.PEM).decode(),
            "at": rfc3339(NOW),
            "kid": "test-pq",
            "private": keyfile.pem(private.lattice, private.curve).decode(),
            "body": text(good.body),
            "instance_sha256": digest(DATA),
            "accepted": {
                "signed twice": text(signed),
                "signed once": text(good.signed(single)),
            },
            "refused": {
                name: {"header": text(data), "failure": words} for name, (data, words) in refused.items()
            },
            "receipt": {
                "accepted": text(answered),
                "refused": text(_with(Statement.from_bytes(answered), None)),
            },
        },
    )


def _with(statement: Statement, second: bytes | None) -> bytes:
    return Statement(
        statement.kind, statement.payload, statement.chain, statement.signature, second
    ).to_bytes()


if __name__ == "__main__":
    main()
