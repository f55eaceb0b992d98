"""The private certificate authority: one root, four issuing authorities, and what they issue.

::

    root (10 years, signs authorities only; its key belongs on a disk in a safe)
    ├── device     edges: TLS client and parcel signatures
    ├── server     the hub: TLS server, receipts, key sets
    ├── people     radiologists: signed reports
    └── timestamp  the time-stamping authority of signed reports

Each issuing authority carries the extended key usage of what it may issue, so the theft of one
key does not let its thief speak as another kind. Without ``root.key`` everything works but making
new issuing authorities and renewing the root's revocation list.

The folder: ``<name>.pem .key .crl`` of each authority, ``issued/<name>/<serial>.pem``,
``revoked/<name>/<serial>.json``. Files are only ever added, so several processes may use it at once.
"""

from __future__ import annotations

import ipaddress
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from certs import profile, revocation
from gateway import durable, keyfile
from gateway.certificate import UNREADABLE
from gateway.clock import Clock
from gateway.errors import Refused, UsageError
from gateway.trust import (
    DOCUMENT_SIGNING,
    HUB_SIGNING,
    Trust,
    device_uri,
    hub_uri,
    pem,
    read_certificates,
)


class Issuer(Enum):
    """The authorities, by the name of their files."""

    ROOT = "root"
    DEVICE = "device"
    SERVER = "server"
    PEOPLE = "people"
    TIMESTAMP = "timestamp"


DEVICE_LIFE = timedelta(days=30)
SERVER_LIFE = timedelta(days=90)
HUB_LIFE = timedelta(days=365)
PERSON_LIFE = timedelta(days=730)
TIMESTAMP_LIFE = timedelta(days=5 * 365)

_USAGES: dict[Issuer, tuple[ObjectIdentifier, ...]] = {
    Issuer.DEVICE: (ExtendedKeyUsageOID.CLIENT_AUTH,),
    Issuer.SERVER: (ExtendedKeyUsageOID.SERVER_AUTH, HUB_SIGNING),
    # documentSigning alone is not enough: openssl and pdfsig ask for e-mail protection
    Issuer.PEOPLE: (DOCUMENT_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION),
    Issuer.TIMESTAMP: (ExtendedKeyUsageOID.TIME_STAMPING,),
}


@dataclass(frozen=True, slots=True)
class Issued:
    """A new certificate.

    Attributes:
        certificate: the leaf.
        chain: leaf and issuing authority, without the root.
    """

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]


class Authority:
    """The authority in one folder."""

    def __init__(self, folder: Path, clock: Clock, certificates: dict[Issuer, x509.Certificate]) -> None:
        self.folder = folder
        self._clock = clock
        self._certificates = certificates

    @classmethod
    def create(cls, folder: Path, clock: Clock, organisation: str = "Teleradiology") -> Authority:
        """Make the root and the issuing authorities in a new folder, all or nothing.

        Raises:
            UsageError: the folder is there already and not empty.
        """
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"{folder} is not empty; an authority is never overwritten")
        durable.make_folder(folder.parent, mode=0o755)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            _create_in(draft, clock, organisation)
            draft.rename(folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        durable.sync_folder(folder.parent)
        return cls.open(folder, clock)

    @classmethod
    def open(cls, folder: Path, clock: Clock) -> Authority:
        """Open what `create` made; ``root.key`` may be absent.

        Raises:
            UsageError: there is no authority in the folder.
        """
        try:
            certificates = {name: read_certificates(folder / f"{name.value}.pem")[0] for name in Issuer}
        except FileNotFoundError as error:
            raise UsageError(
                f"{folder} holds no certificate authority ({error.filename} is missing); make one with"
                f" `telerad certs init --dir {folder}`"
            ) from error
        return cls(folder, clock, certificates)

    @property
    def root(self) -> x509.Certificate:
        """The root: what everybody is told to trust."""
        return self._certificates[Issuer.ROOT]

    @property
    def trust(self) -> Trust:
        """Trust in this authority's root alone."""
        return Trust([self.root])

    @property
    def root_key_is_here(self) -> bool:
        """Whether the root's key lies beside the others, where it need not be."""
        return (self.folder / "root.key").exists()

    def certificate(self, name: Issuer) -> x509.Certificate:
        """The certificate of one authority."""
        return self._certificates[name]

    def issue_device(
        self, csr: x509.CertificateSigningRequest, site: str, edge: str, life: timedelta = DEVICE_LIFE
    ) -> Issued:
        """A certificate for an edge. Of the request only the key is used, never its names.

        Raises:
            Refused: the request does not prove possession of its key, the key is not on P-256, or
                `site` or `edge` is no fitting name.
        """
        if not _is_proven(csr):
            raise Refused("the certificate request is not signed by its own key")
        key = csr.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise Refused("the certificate request must be for a key on the curve P-256")
        try:
            names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(device_uri(site, edge))]
        except ValueError as error:
            raise Refused(str(error)) from error
        usages = _USAGES[Issuer.DEVICE]
        return self._issue(Issuer.DEVICE, profile.Leaf(key, f"edge {site}/{edge}", names, usages, life))

    def issue_server(
        self, public_key: ec.EllipticCurvePublicKey, names: Sequence[str], life: timedelta = SERVER_LIFE
    ) -> Issued:
        """A TLS server certificate for DNS names and IP addresses. Raises Refused if there is none."""
        if not names:
            raise Refused("a server certificate needs a name or an address")
        general = [_host(name) for name in names]
        leaf = profile.Leaf(public_key, names[0], general, (ExtendedKeyUsageOID.SERVER_AUTH,), life)
        return self._issue(Issuer.SERVER, leaf)

    def issue_hub(
        self, public_key: ec.EllipticCurvePublicKey, name: str, life: timedelta = HUB_LIFE
    ) -> Issued:
        """A certificate that signs receipts and key sets. Raises Refused if `name` does not fit."""
        try:
            names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(hub_uri(name))]
        except ValueError as error:
            raise Refused(str(error)) from error
        return self._issue(
            Issuer.SERVER, profile.Leaf(public_key, f"hub {name}", names, (HUB_SIGNING,), life)
        )

    def issue_person(
        self, public_key: ec.EllipticCurvePublicKey, name: str, email: str, life: timedelta = PERSON_LIFE
    ) -> Issued:
        """A certificate that signs reports. Raises Refused if the name or the address does not fit."""
        try:
            names: list[x509.GeneralName] = [x509.RFC822Name(email)]
        except ValueError as error:
            raise Refused(f"not an e-mail address a certificate can hold: {email!r}") from error
        usages = _USAGES[Issuer.PEOPLE]
        leaf = profile.Leaf(public_key, name, names, usages, life, content_commitment=True)
        return self._issue(Issuer.PEOPLE, leaf)

    def issue_timestamp(
        self, public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey, life: timedelta = TIMESTAMP_LIFE
    ) -> Issued:
        """A certificate that signs time stamps and nothing else (RFC 3161 §2.3: critical, alone)."""
        usages = _USAGES[Issuer.TIMESTAMP]
        leaf = profile.Leaf(public_key, "time stamps", [], usages, life, usages_critical=True)
        return self._issue(Issuer.TIMESTAMP, leaf)

    def revoke(self, certificate: x509.Certificate, why: str = "") -> bool:
        """Put `certificate` on its authority's revocation list, for good.

        Returns:
            False if it was on it already.

        Raises:
            UsageError: no authority of this folder issued it.
        """
        return revocation.revoke(
            self.folder, self._issuer_of(certificate).value, certificate, self._clock, why
        )

    def crl(self, name: Issuer) -> bytes:
        """The authority's certificate revocation list (RFC 5280 §5), DER, valid now; kept in ``<name>.crl``.

        Raises:
            ResourceError: a new list of the root is needed and the root's key is not here.
        """
        return revocation.current(self.folder, name.value, self.certificate(name), self._clock)

    def _issuer_of(self, certificate: x509.Certificate) -> Issuer:
        for name, authority in self._certificates.items():
            if authority.subject == certificate.issuer:
                return name
        raise UsageError(f"the certificate {certificate.serial_number:x} was not issued by {self.folder}")

    def _issue(self, name: Issuer, leaf: profile.Leaf) -> Issued:
        authority = self.certificate(name)
        key = keyfile.load_p256(self.folder / f"{name.value}.key")
        try:
            certificate = profile.leaf(leaf, authority, key, self._clock.now())
        except ValueError as error:  # such as a common name beyond 64 characters
            raise Refused(f"no certificate can be made for {leaf.name!r}: {error}") from error
        kept = self.folder / "issued" / name.value
        durable.create(kept / f"{certificate.serial_number:x}.pem", pem([certificate]), mode=0o644)
        return Issued(certificate, (certificate, authority))


def _create_in(folder: Path, clock: Clock, organisation: str) -> None:
    now = clock.now()
    root_key = keyfile.new()
    try:
        root = profile.root(root_key, organisation, now)
    except ValueError as error:
        raise UsageError(f"the organisation's name does not fit a certificate: {error}") from error
    for name in Issuer:
        key, certificate = root_key, root
        if name is not Issuer.ROOT:
            key = keyfile.new()
            certificate = profile.issuer(key.public_key(), name.value, _USAGES[name], root, root_key, now)
        keyfile.store(folder / f"{name.value}.key", key)
        durable.create(folder / f"{name.value}.pem", pem([certificate]), mode=0o644)
        for kind in ("issued", "revoked"):
            durable.make_folder(folder / kind / name.value)
        revocation.current(folder, name.value, certificate, clock)


def _is_proven(csr: x509.CertificateSigningRequest) -> bool:
    try:
        return csr.is_signature_valid
    except UNREADABLE:  # such as an algorithm that does not go with the key
        return False


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name)
    except ValueError as error:
        raise Refused(f"not a host name a certificate can hold: {name!r}") from error
