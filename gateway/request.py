"""Certificate requests of a device: a new key, and perhaps a second, post-quantum one; both proven.

A request (PKCS#10, RFC 2986) is signed by the P-256 key. The ML-DSA-65 key stands in it as the extension
subjectAltPublicKeyInfo, and signs the whole request: `proof`. The hub decides whether it certifies it.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509.oid import NameOID

from gateway import keyfile
from gateway.certificate import UNREADABLE, read_request
from gateway.errors import Malformed, Refused
from gateway.trust import SECOND_KEY, Signer

MAX_REQUEST = 16 << 10
"""Characters of a PEM certificate request."""

RETURN_LABEL = b"telerad/return/1\0"
"""Before the request, where an expired certificate's key signs it."""

MAX_PROOF = 8 << 10


@dataclass(frozen=True, slots=True)
class DeviceKeys:
    """The keys of a device: what signs, and what signs beside it once the hub certifies it."""

    first: ec.EllipticCurvePrivateKey
    second: MLDSA65PrivateKey

    @classmethod
    def new(cls) -> DeviceKeys:
        """Fresh ones."""
        return cls(keyfile.new(), MLDSA65PrivateKey.generate())

    def request(self) -> dict[str, str]:
        """The fields of a request body: ``csr`` and ``proof``."""
        info = self.second.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        # the name means nothing: the hub writes the certificate's names
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edge")])
        builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
        builder = builder.add_extension(x509.UnrecognizedExtension(SECOND_KEY, info), critical=False)
        csr = builder.sign(self.first, hashes.SHA256())
        proof = self.second.sign(csr.public_bytes(Encoding.DER))
        return {
            "csr": csr.public_bytes(Encoding.PEM).decode(),
            "proof": base64.b64encode(proof).decode(),
        }


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """A request as the hub reads it.

    Attributes:
        csr: of which only the keys are used.
        second: the ML-DSA key, proven; None if the request has none.
    """

    csr: x509.CertificateSigningRequest
    second: MLDSA65PublicKey | None = None

    @classmethod
    def read(cls, csr: str, proof: str = "") -> DeviceRequest:
        """Read the fields of a request body.

        Raises:
            Malformed: they cannot be read.
            Refused: the second key does not prove itself.
        """
        if len(csr) > MAX_REQUEST:
            raise Malformed(f"the certificate request is longer than {MAX_REQUEST} characters")
        request = read_request(csr.encode())
        try:
            info = request.extensions.get_extension_for_oid(SECOND_KEY).value.public_bytes()
            second = load_der_public_key(info)
        except x509.ExtensionNotFound:
            return cls(request)
        except UNREADABLE as error:
            raise Malformed(f"the second key of the certificate request cannot be read: {error}") from error
        if not isinstance(second, MLDSA65PublicKey):
            raise Refused("the second key of the certificate request is not ML-DSA-65")
        try:
            signature = base64.b64decode(proof[:MAX_PROOF], validate=True)
            second.verify(signature, request.public_bytes(Encoding.DER))
        except (binascii.Error, ValueError, InvalidSignature) as error:
            raise Refused("the certificate request is not signed by its own second key") from error
        return cls(request, second)


def return_proof(signer: Signer, csr: str) -> str:
    """The old key's signature over a request (PEM) for new keys, base64."""
    der = x509.load_pem_x509_csr(csr.encode()).public_bytes(Encoding.DER)
    return base64.b64encode(signer.sign(RETURN_LABEL + der)).decode()
