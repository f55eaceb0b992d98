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

An authority may have several generations: ``device``, ``device-2`` …; the newest issues, all are believed
(`certs.rollover`). The folder: ``<name>.pem .key .crl`` of each, ``issued/<name>/<serial>.pem``,
``revoked/<name>/<serial>.json``. Files are only ever added, so several processes may use it at once.
A ``.key`` file may name a key in a token instead of holding one (`gateway.token`).
"""

from __future__ import annotations

import ipaddress
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey
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

USAGES: dict[Issuer, tuple[ObjectIdentifier, ...]] = {
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

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder = folder
        self._clock = clock
        self._names: dict[Issuer, list[str]] = {}
        self._certificates: dict[str, x509.Certificate] = {}
        self.reload()

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
        return cls(folder, clock)

    def reload(self) -> bool:
        """Read the certificates of the folder again. Returns whether there are new ones.

        Raises:
            UsageError: an authority is missing.
        """
        names: dict[Issuer, list[str]] = {}
        found: dict[str, x509.Certificate] = {}
        for issuer in Issuer:
            names[issuer] = generations(self.folder, issuer.value)
            if not names[issuer]:
                raise UsageError(
                    f"{self.folder} holds no certificate authority ({issuer.value}.pem is missing); make one"
                    f" with `telerad certs init --dir {self.folder}`"
                )
            found |= {name: read_certificates(self.folder / f"{name}.pem")[0] for name in names[issuer]}
        new = found != self._certificates
        self._names, self._certificates = names, found
        return new

    @property
    def root(self) -> x509.Certificate:
        """The root in force: above the authority that issues the hub's certificates."""
        newest = self.certificate(Issuer.SERVER)
        return next(one for one in self.every(Issuer.ROOT) if one.subject == newest.issuer)

    @property
    def roots(self) -> tuple[x509.Certificate, ...]:
        """Every root, the one in force first: what everybody is told to trust."""
        return (self.root, *(one for one in self.every(Issuer.ROOT) if one != self.root))

    @property
    def trust(self) -> Trust:
        """Trust in this authority's roots alone."""
        return Trust(self.roots)

    @property
    def root_key_is_here(self) -> bool:
        """Whether the root's key lies beside the others, where it need not be."""
        return any((self.folder / f"{name}.key").exists() for name in self._names[Issuer.ROOT])

    def certificate(self, name: Issuer) -> x509.Certificate:
        """The certificate of one authority: its newest generation, which issues."""
        return self._certificates[self._names[name][-1]]

    def every(self, name: Issuer) -> tuple[x509.Certificate, ...]:
        """Every generation of one authority, oldest first."""
        return tuple(self._certificates[one] for one in self._names[name])

    def generation(self, name: Issuer) -> str:
        """The name of the files of an authority's newest generation."""
        return self._names[name][-1]

    def chain(self, certificate: x509.Certificate) -> tuple[x509.Certificate, ...]:
        """A certificate of ours, and the authority that issued it. Raises UsageError if none here did."""
        return (certificate, self._certificates[self._issuer_of(certificate)])

    def issue_device(
        self,
        csr: x509.CertificateSigningRequest,
        site: str,
        edge: str,
        life: timedelta = DEVICE_LIFE,
        *,
        second_key: MLDSA65PublicKey | None = None,
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
        usages = USAGES[Issuer.DEVICE]
        leaf = profile.Leaf(key, f"edge {site}/{edge}", names, usages, life, second_key=second_key)
        return self._issue(Issuer.DEVICE, leaf)

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
        self,
        public_key: ec.EllipticCurvePublicKey,
        name: str,
        life: timedelta = HUB_LIFE,
        *,
        second_key: MLDSA65PublicKey | None = None,
    ) -> Issued:
        """A certificate that signs receipts and key sets. Raises Refused if `name` does not fit."""
        try:
            names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(hub_uri(name))]
        except ValueError as error:
            raise Refused(str(error)) from error
        leaf = profile.Leaf(public_key, f"hub {name}", names, (HUB_SIGNING,), life, second_key=second_key)
        return self._issue(Issuer.SERVER, leaf)

    def issue_person(
        self, public_key: ec.EllipticCurvePublicKey, name: str, email: str, life: timedelta = PERSON_LIFE
    ) -> Issued:
        """A certificate that signs reports. Raises Refused if the name or the address does not fit."""
        try:
            names: list[x509.GeneralName] = [x509.RFC822Name(email)]
        except ValueError as error:
            raise Refused(f"not an e-mail address a certificate can hold: {email!r}") from error
        usages = USAGES[Issuer.PEOPLE]
        leaf = profile.Leaf(public_key, name, names, usages, life, content_commitment=True)
        return self._issue(Issuer.PEOPLE, leaf)

    def issue_timestamp(
        self, public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey, life: timedelta = TIMESTAMP_LIFE
    ) -> Issued:
        """A certificate that signs time stamps and nothing else (RFC 3161 §2.3: critical, alone)."""
        usages = USAGES[Issuer.TIMESTAMP]
        leaf = profile.Leaf(public_key, "time stamps", [], usages, life, usages_critical=True)
        return self._issue(Issuer.TIMESTAMP, leaf)

    def revoke(self, certificate: x509.Certificate, why: str = "") -> bool:
        """Put `certificate` on its authority's revocation list, for good.

        Returns:
            False if it was on it already.

        Raises:
            UsageError: no authority of this folder issued it.
        """
        return revocation.revoke(self.folder, self._issuer_of(certificate), certificate, self._clock, why)

    def crl(self, name: Issuer) -> bytes:
        """The authority's certificate revocation list (RFC 5280 §5), DER, valid now; kept in ``<name>.crl``.

        Raises:
            ResourceError: a new list of the root is needed and the root's key is not here.
        """
        return self.crls(name)[-1]

    def crls(self, name: Issuer) -> list[bytes]:
        """The lists of every generation, oldest first. Raises as `crl`."""
        return [
            revocation.current(self.folder, one, self._certificates[one], self._clock)
            for one in self._names[name]
        ]

    def _issuer_of(self, certificate: x509.Certificate) -> str:
        for name, authority in self._certificates.items():
            if authority.subject == certificate.issuer:
                return name
        raise UsageError(f"the certificate {certificate.serial_number:x} was not issued by {self.folder}")

    def _issue(self, name: Issuer, leaf: profile.Leaf) -> Issued:
        authority, stem = self.certificate(name), self.generation(name)
        key = keyfile.load_p256(self.folder / f"{stem}.key")
        try:
            certificate = profile.leaf(leaf, authority, key, self._clock.now())
        except ValueError as error:  # such as a common name beyond 64 characters
            raise Refused(f"no certificate can be made for {leaf.name!r}: {error}") from error
        kept = self.folder / "issued" / stem
        durable.create(kept / f"{certificate.serial_number:x}.pem", pem([certificate]), mode=0o644)
        return Issued(certificate, (certificate, authority))


def _create_in(folder: Path, clock: Clock, organisation: str) -> None:
    now = clock.now()
    root_key = keyfile.new()
    try:
        root = profile.root(root_key, organisation, now)
    except ValueError as error:
        raise UsageError(f"the organisation's name does not fit a certificate: {error}") from error
    keyfile.store(folder / "root.key", root_key)
    add_generation(folder, "root", root, clock)
    for name in Issuer:
        if name is not Issuer.ROOT:
            key = keyfile.new()
            certificate = profile.issuer(key.public_key(), name.value, USAGES[name], root, root_key, now)
            keyfile.store(folder / f"{name.value}.key", key)
            add_generation(folder, name.value, certificate, clock)


def add_generation(folder: Path, stem: str, certificate: x509.Certificate, clock: Clock) -> None:
    """Enter an authority whose key lies in ``<stem>.key`` already; its certificate comes last."""
    for kind in ("issued", "revoked"):
        durable.make_folder(folder / kind / stem)
    revocation.current(folder, stem, certificate, clock)
    durable.create(folder / f"{stem}.pem", pem([certificate]), mode=0o644)


def generations(folder: Path, name: str) -> list[str]:
    """The file names of an authority's generations, oldest first."""
    form = re.compile(rf"{name}(?:-([1-9][0-9]*))?\.pem")
    found = [
        (int(match[1] or 1), file.stem)
        for file in folder.glob(f"{name}*.pem")
        if (match := form.fullmatch(file.name))
    ]
    return [stem for _, stem in sorted(found)]


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
