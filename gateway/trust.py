"""Which certificate may speak as whom, and when. Every certificate chain is judged here, purely.

Rules, in the order they are checked (RFC 5280 §6.1, cut down to what our own authority issues):

- the chain is leaf first, at most `MAX_CHAIN` certificates, and ends below one of the given roots;
- every certificate is signed by the next one, with SHA-2, and names it as issuer;
- every certificate, the root's too, is valid at the given time, give or take `SKEW`;
- no certificate has a critical extension that is not checked here;
- every issuer is a certificate authority (basicConstraints, keyCertSign), within its path length,
  and, if it carries an extended key usage itself, may issue for this purpose;
- the leaf is no authority, may sign, has the key kind and the extended key usage of its purpose;
- the name comes from the subject alternative name alone (never from the subject, which the
  applicant could choose): ``spiffe://telerad/site/H001/edge/1``, ``spiffe://telerad/hub/NAME``,
  an e-mail address for a person, a DNS name or address for a server.

Not judged here: revocation, which the hub keeps in its database and asks on every request.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from gateway.certificate import UNREADABLE, fingerprint, pem, read_certificates, spki_pin
from gateway.errors import Unverified
from gateway.model import SiteId
from gateway.signer import SECOND_KEY, DoubleSigner, FileSigner, Signer, second_key

__all__ = [
    "DOCUMENT_SIGNING",
    "HUB_SIGNING",
    "MAX_CHAIN",
    "SECOND_KEY",
    "SKEW",
    "TRUST_DOMAIN",
    "DoubleSigner",
    "FileSigner",
    "Identity",
    "Purpose",
    "Signer",
    "Trust",
    "device_uri",
    "fingerprint",
    "hub_uri",
    "pem",
    "read_certificates",
    "second_key",
    "spki_pin",
]

SKEW = timedelta(minutes=10)
"""How far two honest clocks may differ."""

MAX_CHAIN = 4
"""Leaf, issuing authority, and two spare for the change of an authority."""

TRUST_DOMAIN = "telerad"
"""SPIFFE trust domain of every device and hub name."""

DOCUMENT_SIGNING = ObjectIdentifier("1.3.6.1.5.5.7.3.36")
"""id-kp-documentSigning, RFC 9336."""

HUB_SIGNING = ObjectIdentifier("2.25.273113225154497621292147379569749007195")
"""Signs receipts, deliveries and key sets for a hub. Of our own: no known purpose fits, and none must
let a web server's certificate sign receipts. Under the UUID arc (ITU-T X.667)."""

_DEVICE_URI = re.compile(
    rf"spiffe://{TRUST_DOMAIN}/site/([A-Za-z0-9][A-Za-z0-9_-]{{0,31}})/edge/([A-Za-z0-9_-]{{1,64}})"
)
_HUB_URI = re.compile(rf"spiffe://{TRUST_DOMAIN}/hub/([A-Za-z0-9][A-Za-z0-9._-]{{0,63}})")
_CHECKED = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage, x509.SubjectAlternativeName)
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_NO_SIGNATURE: tuple[type[Exception], ...] = (InvalidSignature, *UNREADABLE)

E = TypeVar("E", bound=x509.ExtensionType)


class Purpose(Enum):
    """What a certificate may sign or serve as."""

    DEVICE = "device"  # an edge: TLS client, parcels, acknowledgements
    HUB = "hub"  # receipts, delivery manifests, key sets
    PERSON = "person"  # reports
    TIMESTAMP = "timestamp"  # RFC 3161
    SERVER = "server"  # TLS server


_USAGE = {
    Purpose.DEVICE: ExtendedKeyUsageOID.CLIENT_AUTH,
    Purpose.HUB: HUB_SIGNING,
    Purpose.PERSON: DOCUMENT_SIGNING,
    Purpose.TIMESTAMP: ExtendedKeyUsageOID.TIME_STAMPING,
    Purpose.SERVER: ExtendedKeyUsageOID.SERVER_AUTH,
}
_WORDS = {
    Purpose.DEVICE: "an edge",
    Purpose.HUB: "a hub's signer",
    Purpose.PERSON: "a person",
    Purpose.TIMESTAMP: "a time-stamping authority",
    Purpose.SERVER: "a server",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a verified certificate speaks for.

    Attributes:
        purpose: what it was verified for.
        name: a device's URI, a hub's name, a person's name, a server's first name.
        site: of a device; nothing else says which site a device is of.
        edge: a device's number within its site.
        certificate: the leaf.
    """

    purpose: Purpose
    name: str
    site: SiteId | None
    edge: str | None
    certificate: x509.Certificate

    @property
    def email(self) -> str | None:
        """A person's e-mail address (rfc822Name), else None."""
        names = _alternative_names(self.certificate).get_values_for_type(x509.RFC822Name)
        return names[0] if self.purpose is Purpose.PERSON else None


class Trust:
    """Judges chains against the given roots. Pure.

    Args:
        roots: whom to believe. May be exchanged as a whole, when an authority's root is.
        suites: names of the suites that may be used; None: every one that is known.
        both_signatures: whether statements must be signed with ML-DSA beside ECDSA.
    """

    def __init__(
        self,
        roots: Sequence[x509.Certificate],
        suites: Sequence[str] | None = None,
        *,
        both_signatures: bool = False,
    ) -> None:
        self.roots = tuple(roots)
        self.suites = None if suites is None else tuple(suites)
        self.both_signatures = both_signatures

    def identify(self, chain: Sequence[x509.Certificate], purpose: Purpose, at: datetime) -> Identity:
        """Whom the leaf of `chain` speaks for.

        Args:
            chain: leaf first; the root may be left out.
            purpose: what the leaf is to be used for.
            at: the time it must be valid at, aware.

        Raises:
            Unverified: in plain words, the first rule that does not hold.
        """
        try:
            path = self._path(chain)
            for certificate in path:
                _check_time(certificate, at)
                _check_extensions(certificate)
            for below, issuer in enumerate(path[1:]):
                _check_issuer(issuer, below, purpose)
            _check_leaf(path[0], purpose)
            return _identity(path[0], purpose)
        except UNREADABLE as error:  # extensions are parsed only when looked at
            raise Unverified(f"a certificate of the chain cannot be read: {error}") from error

    def _path(self, chain: Sequence[x509.Certificate]) -> list[x509.Certificate]:
        """The chain with its root at the end, every signature verified."""
        path = list(chain)
        if not path:
            raise Unverified("there is no certificate")
        if len(path) > 1 and path[-1] in self.roots:
            path.pop()
        if len(path) > MAX_CHAIN:
            raise Unverified(f"the certificate chain is longer than {MAX_CHAIN}")
        for certificate, issuer in pairwise(path):
            if not _signed_by(certificate, issuer):
                raise Unverified(f"{_describe(certificate)} is not signed by {_describe(issuer)}")
        for root in self.roots:
            if _signed_by(path[-1], root):
                return [*path, root]
        raise Unverified(
            f"{_describe(path[-1])} is not signed by a root that is trusted here;"
            f" it names {path[-1].issuer.rfc4514_string()!r} as its issuer"
        )


def device_uri(site: str, edge: str) -> str:
    """The name an edge's certificate bears. Raises ValueError if site or edge have no such form."""
    return _fitting(f"spiffe://{TRUST_DOMAIN}/site/{site}/edge/{edge}", _DEVICE_URI)


def hub_uri(name: str) -> str:
    """The name a hub signer's certificate bears. Raises ValueError if `name` has no such form."""
    return _fitting(f"spiffe://{TRUST_DOMAIN}/hub/{name}", _HUB_URI)


def _fitting(uri: str, form: re.Pattern[str]) -> str:
    if not form.fullmatch(uri):
        raise ValueError(f"{uri!r} is no name a certificate here may bear")
    return uri


@lru_cache(maxsize=256)
def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
        return isinstance(certificate.signature_hash_algorithm, _HASHES)
    except _NO_SIGNATURE:
        return False


def _check_time(certificate: x509.Certificate, at: datetime) -> None:
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    who, clock = _describe(certificate), f"this machine's clock says {_say(at)}"
    if at > end + SKEW:
        raise Unverified(f"{who} expired on {_say(end)}; {clock}")
    if at < start - SKEW:
        raise Unverified(f"{who} is not valid before {_say(start)}; {clock}. Is the clock right?")


def _check_extensions(certificate: x509.Certificate) -> None:
    for extension in certificate.extensions:
        if extension.critical and not isinstance(extension.value, _CHECKED):
            raise Unverified(
                f"{_describe(certificate)} has the critical extension {extension.oid.dotted_string},"
                " which this program does not know (RFC 5280 §4.2)"
            )


def _check_issuer(issuer: x509.Certificate, below: int, purpose: Purpose) -> None:
    """`below`: how many authorities stand between this one and the leaf."""
    constraints = _extension(issuer, x509.BasicConstraints)
    usage = _extension(issuer, x509.KeyUsage)
    if constraints is None or not constraints.ca or usage is None or not usage.key_cert_sign:
        raise Unverified(f"{_describe(issuer)} is no certificate authority, yet it signed a certificate")
    if constraints.path_length is not None and below > constraints.path_length:
        raise Unverified(f"{_describe(issuer)} may not have {below} further authorities below it")
    extended = _extension(issuer, x509.ExtendedKeyUsage)
    if extended is not None and _USAGE[purpose] not in extended:
        raise Unverified(f"{_describe(issuer)} may not issue certificates for {_WORDS[purpose]}")


def _check_leaf(leaf: x509.Certificate, purpose: Purpose) -> None:
    constraints = _extension(leaf, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise Unverified(f"{_describe(leaf)} is a certificate authority, not {_WORDS[purpose]}")
    usage = _extension(leaf, x509.KeyUsage)
    if usage is None or not usage.digital_signature:
        raise Unverified(f"{_describe(leaf)} may not sign (keyUsage lacks digitalSignature)")
    if purpose is Purpose.PERSON and not usage.content_commitment:
        raise Unverified(f"{_describe(leaf)} may not sign documents (keyUsage lacks contentCommitment)")
    extended = _extension(leaf, x509.ExtendedKeyUsage)
    if extended is None or _USAGE[purpose] not in extended:
        raise Unverified(f"{_describe(leaf)} is not for {_WORDS[purpose]} (extendedKeyUsage)")
    if purpose is Purpose.TIMESTAMP and len(extended) != 1:
        raise Unverified(f"{_describe(leaf)} is for more than time stamps (RFC 3161 §2.3)")
    _check_key(leaf, purpose)


def _check_key(leaf: x509.Certificate, purpose: Purpose) -> None:
    key = leaf.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return
    if purpose is Purpose.TIMESTAMP and isinstance(key, rsa.RSAPublicKey) and key.key_size >= 3072:
        return
    raise Unverified(f"{_describe(leaf)} has a key of a kind that is not accepted here (P-256 is)")


def _identity(leaf: x509.Certificate, purpose: Purpose) -> Identity:
    names = _alternative_names(leaf)
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if purpose is Purpose.DEVICE:
        match = _only(leaf, uris, _DEVICE_URI, "spiffe://telerad/site/SITE/edge/NUMBER")
        return Identity(purpose, match[0], SiteId(match[1]), match[2], leaf)
    if purpose is Purpose.HUB:
        return Identity(
            purpose, _only(leaf, uris, _HUB_URI, "spiffe://telerad/hub/NAME")[1], None, None, leaf
        )
    if purpose is Purpose.PERSON and len(names.get_values_for_type(x509.RFC822Name)) != 1:
        raise Unverified(f"{_describe(leaf)} must name exactly one e-mail address")
    if purpose is Purpose.SERVER:
        hosts = names.get_values_for_type(x509.DNSName)
        hosts += [str(address) for address in names.get_values_for_type(x509.IPAddress)]
        if not hosts:
            raise Unverified(f"{_describe(leaf)} names no host")
        return Identity(purpose, hosts[0], None, None, leaf)
    return Identity(purpose, _common_name(leaf), None, None, leaf)


def _only(leaf: x509.Certificate, uris: Sequence[str], form: re.Pattern[str], shown: str) -> re.Match[str]:
    match = form.fullmatch(uris[0]) if len(uris) == 1 else None
    if match is None:
        raise Unverified(f"{_describe(leaf)} must bear exactly one name of the form {shown}, not {uris!r}")
    return match


def _extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    return _extension(certificate, x509.SubjectAlternativeName) or x509.SubjectAlternativeName([])


def _common_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()


def _describe(certificate: x509.Certificate) -> str:
    return f"the certificate {_common_name(certificate)[:80]!r} (serial {certificate.serial_number:x})"


def _say(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
