"""Who this edge is: what enrolment left in ``data/identity``.

==============  ==========================================================================
``device.pem``  the device key and its certificate chain in one file, so that renewal
                replaces both in one atomic step; mode 0600
``root.pem``    the authority's root
``hub.json``    the hub's addresses, site, edge, when enrolled; for the operator's eyes, since
                site and edge are taken from the certificate
``keys.json``   the hub's newest signed key set, and when it was received
==============  ==========================================================================
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway import durable
from gateway.clock import Clock, parse_rfc3339, rfc3339
from gateway.envelope.kem import KemPublic
from gateway.errors import Malformed, Unverified, UsageError
from gateway.keyset import KeySet, read_key_set
from gateway.model import SiteId
from gateway.trust import FileSigner, Identity, Purpose, Trust, fingerprint, pem, read_certificates

FOLDER = "identity"
"""Within the data folder."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the hub is.

    Attributes:
        web: its web address, for enrolment and diagnosis.
        line: where parcels go, over TLS with certificates at both ends.
    """

    web: str
    line: str


class DeviceSigner:
    """The device key, whichever is the newest.

    A thread that reads `chain` and then signs gets the key of that chain, even if the certificate
    is renewed in between.
    """

    def __init__(self, newest: FileSigner) -> None:
        self.newest = newest
        self._read_by = threading.local()

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """Leaf first, without the root."""
        self._read_by.signer = self.newest
        return self.newest.chain

    def sign(self, data: bytes) -> bytes:
        """ECDSA over P-256 with SHA-256, as DER."""
        signer: FileSigner = getattr(self._read_by, "signer", self.newest)
        return signer.sign(data)


class EdgeIdentity:
    """This edge's key, certificate, trust and recipients.

    `recipients` change while the edge runs, when the hub's key set is renewed: take them anew for
    each parcel. `signer` stays the same object; its key and certificate change.

    Attributes:
        folder: where it lies.
        site: the site this edge speaks for.
        edge: its number there.
        addresses: where the hub is.
        roots: what this edge trusts.
        trust: the same, to verify with.
        signer: the device key.
        recipients: whom parcels are sealed to.
    """

    def __init__(self, folder: Path, addresses: Addresses, roots: tuple[x509.Certificate, ...]) -> None:
        self.folder = folder
        self.addresses = addresses
        self.roots = roots
        self.trust = Trust(roots)
        self.signer = DeviceSigner(FileSigner.load(self.device_file, self.device_file))
        who = self._who()
        if who.site is None or who.edge is None:
            raise Unverified(f"the certificate in {folder} is not an edge's")
        self.site: SiteId = who.site
        self.edge: str = who.edge
        self.key_set = self._read_keys()

    @classmethod
    def load(cls, folder: Path) -> EdgeIdentity:
        """Read ``data/identity``. An expired certificate is no error here: it may yet be renewed.

        Raises:
            UsageError: this edge is not enrolled, or a file cannot be read.
            Malformed: a file is not what it should be.
            Unverified: the files do not belong together.
        """
        try:
            hub = json.loads((folder / "hub.json").read_bytes())
            addresses = Addresses(str(hub["hub_url"]), str(hub["line_url"]))
        except FileNotFoundError as error:
            raise UsageError(
                f"this edge is not enrolled ({folder} is missing); ask the hub's administrator for a token"
                " and run `telerad edge enroll`"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise Malformed(f"{folder / 'hub.json'} cannot be read: {error}") from error
        return cls(folder, addresses, read_certificates(folder / "root.pem"))

    @property
    def line_url(self) -> str:
        """Where parcels go."""
        return self.addresses.line

    @property
    def device_file(self) -> Path:
        """Key and chain, as the TLS context wants them."""
        return self.folder / "device.pem"

    @property
    def recipients(self) -> tuple[KemPublic, ...]:
        """Whom parcels are sealed to."""
        return self.key_set.keys

    @property
    def certificate(self) -> x509.Certificate:
        """The device certificate."""
        return self.signer.newest.chain[0]

    @property
    def fingerprint(self) -> str:
        """Of the device certificate."""
        return fingerprint(self.certificate)

    def replace_device(self, key: ec.EllipticCurvePrivateKey, chain: tuple[x509.Certificate, ...]) -> None:
        """Take a renewed certificate, on disk first.

        Raises:
            Unverified: it is not for this site and edge.
        """
        at = chain[0].not_valid_before_utc
        who = self.trust.identify(chain, Purpose.DEVICE, at)
        if (who.site, who.edge) != (self.site, self.edge):
            raise Unverified(f"the renewed certificate is for {who.name}, not for {self.site}/{self.edge}")
        signer = FileSigner(key, chain)
        durable.replace(self.device_file, device_pem(key, chain), mode=0o600)
        self.signer.newest = signer

    def replace_keys(self, statement: bytes, clock: Clock) -> bool:
        """Take a key set if it is newer than ours, on disk first.

        Returns:
            False if it names the keys we have.

        Raises:
            Unverified: it does not hold, or is older than ours.
            Malformed: it cannot be read.
        """
        new = read_key_set(statement, self.trust, clock.now())
        if new.keys == self.key_set.keys:
            return False
        if new.issued_at < self.key_set.issued_at:
            raise Unverified("the hub sent an older key set than the one this edge has")
        durable.replace(self.folder / "keys.json", stored_key_set(statement, clock.now()), mode=0o600)
        self.key_set = new
        return True

    def _who(self) -> Identity:
        # at the start of its life: an edge that was away for long may still say who it is
        return self.trust.identify(
            self.signer.newest.chain, Purpose.DEVICE, self.certificate.not_valid_before_utc
        )

    def _read_keys(self) -> KeySet:
        file = self.folder / "keys.json"
        try:
            stored = json.loads(file.read_bytes())
            received_at = parse_rfc3339(stored["received_at"])
            statement = str(stored["statement"]).encode()
        except (ValueError, KeyError, TypeError) as error:
            raise Malformed(f"{file} cannot be read: {error}") from error
        # when it was received: it stays good while the hub cannot be reached
        return read_key_set(statement, self.trust, received_at)


def device_pem(key: ec.EllipticCurvePrivateKey, chain: tuple[x509.Certificate, ...]) -> bytes:
    """Key and chain as one PEM text."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + pem(chain)


def stored_key_set(statement: bytes, received_at: datetime) -> bytes:
    """What stands in ``keys.json``."""
    return json.dumps({"received_at": rfc3339(received_at), "statement": statement.decode()}).encode()


def stored_hub(addresses: Addresses, who: Identity, at: datetime) -> bytes:
    """What stands in ``hub.json``."""
    facts: dict[str, Any] = {
        "hub_url": addresses.web,
        "line_url": addresses.line,
        "site": who.site,
        "edge": who.edge,
        "enrolled_at": rfc3339(at),
    }
    return json.dumps(facts, indent=2).encode()
