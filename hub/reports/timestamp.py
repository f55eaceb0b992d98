"""The hub's own time-stamping authority: real RFC 3161 tokens, signed by a key of their own.

`TimestampAuthority.answer` is the authority (request in, response out); `LocalTimeStamper` is the
way pyHanko asks it, without a network in between.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.sign.general import as_signing_certificate_v2, simple_cms_attribute
from pyhanko.sign.timestamps import TimeStamper

from gateway.clock import Clock

POLICY = "2.25.273113225154497621292147379569749007196"
"""Our TSA policy: the hub's clock, kept by NTP, to the second. Under the UUID arc (ITU-T X.667)."""

DIGESTS = {"sha256": 32, "sha384": 48, "sha512": 64}
"""Digests that may be stamped, with their lengths in bytes."""


class TimestampAuthority:
    """Stamps digests with the time of `clock`.

    Args:
        key: P-256, or RSA of at least 3072 bits.
        chain: its certificates, leaf first, the leaf for time-stamping alone (RFC 3161 §2.3).
        clock: the authority's clock.
    """

    def __init__(
        self,
        key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
        chain: Sequence[x509.Certificate],
        clock: Clock,
    ) -> None:
        self.chain = tuple(chain)
        self._key, self._clock = key, clock
        self._chain = [asn1.Certificate.load(c.public_bytes(Encoding.DER)) for c in chain]

    def answer(self, request: tsp.TimeStampReq) -> tsp.TimeStampResp:
        """The response to `request`: a token, or a rejection with its reason (RFC 3161 §2.4.2)."""
        imprint = request["message_imprint"]
        length = DIGESTS.get(imprint["hash_algorithm"]["algorithm"].native)
        if length is None:
            return _rejection("bad_alg", "this digest algorithm is not stamped here")
        if length != len(imprint["hashed_message"].native):
            return _rejection("bad_data_format", "the digest has the wrong length")
        if request["req_policy"].native not in (None, POLICY):
            return _rejection("unaccepted_policy", "this policy is not served here")
        content = self._info(request).dump()
        return tsp.TimeStampResp(
            {
                "status": tsp.PKIStatusInfo({"status": "granted"}),
                "time_stamp_token": cms.ContentInfo(
                    {"content_type": "signed_data", "content": self._signed(content)}
                ),
            }
        )

    def _info(self, request: tsp.TimeStampReq) -> tsp.TSTInfo:
        info = {
            "version": "v1",
            "policy": POLICY,
            "message_imprint": request["message_imprint"],
            "serial_number": secrets.randbits(127) | 1,  # unique among tokens, at most 160 bits
            "gen_time": self._clock.now().replace(microsecond=0),
            "accuracy": tsp.Accuracy({"seconds": 1}),
            "tsa": asn1.GeneralName(name="directory_name", value=self._chain[0].subject),
        }
        if request["nonce"].native is not None:
            info["nonce"] = request["nonce"]
        return tsp.TSTInfo(info)

    @property
    def _algorithm(self) -> str:
        return "sha256_rsa" if isinstance(self._key, rsa.RSAPrivateKey) else "sha256_ecdsa"

    def _sign(self, data: bytes) -> bytes:
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return self._key.sign(data, ec.ECDSA(hashes.SHA256()))

    def _signed(self, content: bytes) -> cms.SignedData:
        certificate = self._chain[0]
        attributes = cms.CMSAttributes(
            [
                simple_cms_attribute("content_type", "tst_info"),
                simple_cms_attribute("message_digest", hashlib.sha256(content).digest()),
                simple_cms_attribute("signing_certificate_v2", as_signing_certificate_v2(certificate)),
            ]
        )
        signer = cms.SignerInfo(
            {
                "version": "v1",
                "sid": cms.SignerIdentifier(
                    {
                        "issuer_and_serial_number": cms.IssuerAndSerialNumber(
                            {"issuer": certificate.issuer, "serial_number": certificate.serial_number}
                        )
                    }
                ),
                "digest_algorithm": algos.DigestAlgorithm({"algorithm": "sha256"}),
                "signature_algorithm": algos.SignedDigestAlgorithm({"algorithm": self._algorithm}),
                "signed_attrs": attributes,
                "signature": self._sign(attributes.dump()),
            }
        )
        return cms.SignedData(
            {
                "version": "v3",
                "digest_algorithms": [algos.DigestAlgorithm({"algorithm": "sha256"})],
                "encap_content_info": {
                    "content_type": "tst_info",
                    "content": core.ParsableOctetString(content),
                },
                "certificates": self._chain,
                "signer_infos": [signer],
            }
        )


class LocalTimeStamper(TimeStamper):  # type: ignore[misc]  # pyHanko's types are not followed
    """pyHanko's client side, asking an authority in this process."""

    def __init__(self, authority: TimestampAuthority) -> None:
        super().__init__(include_nonce=True)
        self._authority = authority

    async def async_request_tsa_response(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
        """Ask the authority."""
        return self._authority.answer(req)


def _rejection(reason: str, text: str) -> tsp.TimeStampResp:
    status = {"status": "rejection", "status_string": [text], "fail_info": {reason}}
    return tsp.TimeStampResp({"status": tsp.PKIStatusInfo(status)})
