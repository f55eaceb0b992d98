"""Make the golden vectors anew: ``python -m tests.vectors.tge1.make [shared|blake3]``. Only when FORMAT.md changes.

With ``shared`` only those of shared streams, with ``blake3`` those whose edge took BLAKE3: they have keys of
their own and lie in the folder so named.

Signatures and key wraps are random, so every run gives other bytes; what was published stays valid.
"""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.clock import rfc3339
from gateway.envelope.kem import KemKeys
from gateway.envelope.receipt import Receipt, ReceivedInstance, sign_receipt
from gateway.envelope.seal import header_digest
from tests.doubles.forger import DATA, KEY, SALT, Forger, digest, forgeries, shared_streams
from tests.doubles.forger_blake3 import blake3_parcels
from tests.doubles.parcels import PARCEL, SITE
from tests.doubles.signers import NOW, MemoryAuthority

HERE = Path(__file__).parent
TEST_SCALAR = 0x7E57  # a key everybody knows, for tests alone


def text(data: bytes) -> str:
    return b64encode(data).decode()


def write(name: str, value: object) -> None:
    folder = HERE.joinpath(*sys.argv[1:])
    (folder / f"{name}.json").write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")


def main() -> None:
    authority = MemoryAuthority("TGE1 test vectors")
    private = ec.derive_private_key(TEST_SCALAR, ec.SECP256R1())
    forger = Forger(authority, KemKeys({"test-key": private}))
    made = forgeries(forger)
    if sys.argv[1:]:
        made = {"shared": shared_streams, "blake3": blake3_parcels}[sys.argv[1]](forger)
    write_all(authority, private, made)
    if not sys.argv[1:]:
        write_others(forger, authority, made)


def write_all(authority, private, made) -> None:
    write(
        "keys",
        {
            "warning": "Keys for tests alone. Everybody knows them.",
            "root": authority.root.public_bytes(Encoding.PEM).decode(),
            "kid": "test-key",
            "private": private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        },
    )
    parcels = {
        name: {
            "header": text(forgery.signed),
            "body": digest(forgery.body),
            "at": rfc3339(forgery.at),
            "failure": forgery.says or None,
        }
        for name, forgery in made.items()
    }
    write("bodies", {digest(forgery.body): text(forgery.body) for forgery in made.values()})
    write("accepted", {name: value for name, value in parcels.items() if value["failure"] is None})
    write("refused", {name: value for name, value in parcels.items() if value["failure"] is not None})


def write_others(forger, authority, made) -> None:
    write(
        "schedule",
        {
            "comment": "Everything before the key wrap, from fixed key and salt; codec raw.",
            "key": KEY.hex(),
            "salt": SALT.hex(),
            "suite": "P256",
            "parcel_id": PARCEL,
            "chunk_size": 1024,
            "payload": text(DATA),
            "commitment": forger.good().draft.commitment.hex(),
            "body_sha256": digest(forger.good().body),
            "chunks": list(forger.good().draft.chunks),
            "manifest_sha256": forger.good().draft.manifest_sha256,
        },
    )
    receipt = Receipt(
        parcel_id=PARCEL,
        header_digest=header_digest(made["good"].signed),
        site=SITE,
        sequence=1,
        instances=(ReceivedInstance(digest(DATA), len(DATA)),),
        received_at=rfc3339(NOW),
    )
    write(
        "receipt",
        {
            "for": "good",
            "at": rfc3339(NOW),
            "accepted": text(sign_receipt(receipt, authority.hub())),
            "refused": text(sign_receipt(receipt, forger.device)),
        },
    )


if __name__ == "__main__":
    main()
