"""Who this edge is: what enrolment left in ``data/identity``.

==============  ==========================================================================
``device.pem``  the device key and its certificate chain in one file, so that renewal
                replaces both in one atomic step; mode 0600
``root.pem``    the authority's root
``hub.json``    the hub's addresses, site, edge, when enrolled; for the operator's eyes, since
                site and edge are taken from the certificate
``keys.json``   the hub's newest signed key set, and when it was received
``run``         a random word, new at each start, by which the hub notices a copied key
==============  ==========================================================================
"""

from __future__ import annotations

import fcntl
import json
import re
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from gateway import durable, keyfile
from gateway.bundle import read_bundle
from gateway.clock import Clock, parse_rfc3339, rfc3339
from gateway.envelope.kem import HYBRID, P256, KemPublic, choose, wants_both
from gateway.errors import Malformed, Unverified, UsageError
from gateway.keyset import KeySet, read_key_set
from gateway.model import SiteId
from gateway.request import DeviceKeys
from gateway.trust import (
    FileSigner,
    Identity,
    Purpose,
    Trust,
    fingerprint,
    pem,
    read_certificates,
    second_key,
)

TURN_FILE, TURN_LIMIT = "turn", 128

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
        return self._signer().sign(data)

    def sign_second(self, data: bytes) -> bytes | None:
        """ML-DSA-65, if the certificate names such a key."""
        return self._signer().sign_second(data)

    def _signer(self) -> FileSigner:
        signer: FileSigner = getattr(self._read_by, "signer", self.newest)
        return signer


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

    def __init__(
        self,
        folder: Path,
        addresses: Addresses,
        roots: tuple[x509.Certificate, ...],
        suites: Sequence[str] = (HYBRID, P256),
    ) -> None:
        self.folder = folder
        self.addresses = addresses
        self.roots = roots
        self.suites = tuple(suites)
        self.trust = Trust(roots, self.suites, both_signatures=wants_both(self.suites))
        self.signer = DeviceSigner(FileSigner.load(self.device_file, self.device_file))
        who = self._who()
        if who.site is None or who.edge is None:
            raise Unverified(f"the certificate in {folder} is not an edge's")
        self.site: SiteId = who.site
        self.edge: str = who.edge
        self.key_set = self._read_keys()
        self._recipients = choose(self.key_set.keys, self.suites)

    @classmethod
    def load(cls, folder: Path, suites: Sequence[str] = (HYBRID, P256)) -> EdgeIdentity:
        """Read ``data/identity``. An expired certificate is no error here: it may yet be renewed.

        Args:
            folder: ``data/identity``.
            suites: those that may be used; of these, the first that the hub offers is.

        Raises:
            UsageError: this edge is not enrolled, or a file cannot be read.
            Malformed: a file is not what it should be.
            Unverified: the files do not belong together, or the hub offers no suite that is allowed.
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
        return cls(folder, addresses, read_certificates(folder / "root.pem"), suites)

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
        return self._recipients

    @property
    def lacks_second_key(self) -> bool:
        """Whether the hub's suite asks for ML-DSA signatures and our certificate names no such key yet."""
        return self._recipients[0].suite != P256 and second_key(self.certificate) is None

    @property
    def certificate(self) -> x509.Certificate:
        """The device certificate."""
        return self.signer.newest.chain[0]

    @property
    def fingerprint(self) -> str:
        """Of the device certificate."""
        return fingerprint(self.certificate)

    @property
    def run(self) -> str:
        """The word of the newest `edge run` on this data folder; empty before the first."""
        try:
            return (self.folder / "run").read_text()[:64]
        except FileNotFoundError:
            return ""

    @property
    def turn(self) -> str:
        """The number this edge shows with every request (`PROTOCOL.md`); empty before the first."""
        try:
            return (self.folder / TURN_FILE).read_text("ascii", "replace")[:TURN_LIMIT]
        except FileNotFoundError:
            return ""

    def take_turn(self, turn: str) -> None:
        """Write down the next number, unless a request that was answered earlier brought one already.

        Durable before it is shown: so an edge that has shown a number never shows an earlier one.

        Raises:
            StorageFull, OSError: it cannot be written; the one before stays.
        """
        if not re.fullmatch(r"[1-9][0-9]{0,14}\.[0-9a-f.]{1,100}", turn):
            return
        with (self.folder / f"{TURN_FILE}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # `telerad doctor` asks the hub beside the running edge
            if _number(turn) > _number(self.turn):
                durable.replace(self.folder / TURN_FILE, turn.encode(), mode=0o600)

    def begin_run(self) -> None:
        """A new run: the caller holds the data folder."""
        durable.replace(self.folder / "run", secrets.token_hex(16).encode(), mode=0o600)

    def replace_device(self, keys: DeviceKeys, chain: tuple[x509.Certificate, ...]) -> None:
        """Take a renewed certificate, on disk first.

        Raises:
            Unverified: it is not for this site and edge.
        """
        at = chain[0].not_valid_before_utc
        who = self.trust.identify(chain, Purpose.DEVICE, at)
        if (who.site, who.edge) != (self.site, self.edge):
            raise Unverified(f"the renewed certificate is for {who.name}, not for {self.site}/{self.edge}")
        signer = FileSigner(keys.first, chain, keys.second)
        durable.replace(self.device_file, device_pem(keys, chain), mode=0o600)
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
        recipients = choose(new.keys, self.suites)
        durable.replace(self.folder / "keys.json", stored_key_set(statement, clock.now()), mode=0o600)
        self.key_set, self._recipients = new, recipients
        return True

    def replace_roots(self, statement: bytes, clock: Clock) -> bool:
        """Take the hub's bundle of roots, on disk first.

        Our certificate and the hub's key set must hold under it, or this edge would lock itself out.

        Returns:
            False if it names the roots we have.

        Raises:
            Unverified: it does not hold, or we would not hold under it.
            Malformed: it cannot be read.
        """
        new = read_bundle(statement, self.trust, clock.now()).roots
        if set(new) == set(self.roots):
            return False
        under = Trust(new)
        under.identify(self.signer.newest.chain, Purpose.DEVICE, self.certificate.not_valid_before_utc)
        read_bundle(statement, under, clock.now())
        durable.replace(self.folder / "root.pem", pem(new), mode=0o644)
        self.roots = self.trust.roots = new
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


def _number(turn: str) -> int:
    head = turn.partition(".")[0]
    return int(head) if head.isdecimal() else 0


def device_pem(keys: DeviceKeys, chain: tuple[x509.Certificate, ...]) -> bytes:
    """Keys and chain as one PEM text. The P-256 key comes first: TLS takes that."""
    second = None if second_key(chain[0]) is None else keys.second
    return keyfile.pem(keys.first) + pem(chain) + keyfile.pem(second)


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
