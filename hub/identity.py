"""The hub's own keys: made on first start, kept in ``data/keys``, renewed while it runs.

====================  =====================================================================
``server.key .pem``   TLS server, P-256; a new certificate for the same key in good time
``receipt.key .pem``  signs receipts, deliveries and key sets (`Purpose.HUB`); the key may be in a token
``receipt.second.key``  ML-DSA-65, signs beside it where a post-quantum suite is configured
``*.kem.pem``         opens parcels; a new one for every suite once a year, old ones are kept
``timestamp.key``     RSA-3072 (what most PDF readers can check), with ``timestamp.pem``
``checkpoint.key``    Ed25519, signs checkpoints of the custody log (C2SP signed notes)
====================  =====================================================================

Whatever changes here or in the folder of the authority is taken up within seconds, without a restart:
a renewed certificate, a new KEM key (``telerad hub keys rotate``), a new generation of an authority.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from certs.authority import Authority, Issued, Issuer
from gateway import durable, keyfile, tls, token
from gateway.bundle import sign_bundle
from gateway.clock import Clock
from gateway.custody.checkpoint import NoteSigner
from gateway.envelope.kem import FILE_SUFFIX, P256, KemKeys, KemPublic, wants_both
from gateway.errors import DataError, Malformed, UsageError
from gateway.keyset import sign_key_set
from gateway.log import logger
from gateway.trust import (
    TRUST_DOMAIN,
    FileSigner,
    Trust,
    fingerprint,
    hub_uri,
    pem,
    read_certificates,
    second_key,
)
from hub.config import HubConfig

KEM_LIFE = timedelta(days=365)
CHECK_SECONDS = 3600.0
WATCH_SECONDS = 3.0
"""How soon a changed file is taken up."""

_KID = "%Y%m%dT%H%M%SZ"
"""Kids are times, so the newest key of a suite is the last by name."""

_HYBRID_MARK = "-pq"

K = TypeVar("K", bound=PrivateKeyTypes)
log = logger("hub.identity")


class HubKeys:
    """Every key the hub itself holds.

    Attributes:
        folder: where they lie.
        authority: who issues the hub's certificates.
        receipt_signer: signs as this hub (`Purpose.HUB`); renewal gives it a new chain for the same key.
        timestamp_key: of the time-stamping authority.
        kem_keys: open parcels: the newest and those before it. The same object for good; a new key is
            in it before `signed_key_set` asks for it.
        trust: the authority's roots, and the suites the configuration allows. The same object for good.
        checkpoint_key: of the custody log.
        checkpoint_signer: signs the custody log's checkpoints, as ``telerad/NAME``.
    """

    def __init__(self, config: HubConfig, authority: Authority, clock: Clock) -> None:
        self.folder = config.data / "keys"
        self.authority = authority
        self.trust = Trust(authority.roots, config.suites, both_signatures=wants_both(config.suites))
        self._name = config.name
        self._suites = config.suites
        self._proxied = bool(config.line.trusted_proxies)
        self._hosts = server_names(config)
        self._clock = clock
        self._contexts: list[ssl.SSLContext] = []
        self._line_contexts: list[ssl.SSLContext] = []
        self._revoked: frozenset[tuple[bytes, int]] = frozenset()
        self._facts: dict[str, dict[str, Any]] = {}
        self.timestamp_key = self._key(
            "timestamp", lambda: rsa.generate_private_key(65537, 3072), rsa.RSAPrivateKey
        )
        self.checkpoint_key = self._key("checkpoint", Ed25519PrivateKey.generate, Ed25519PrivateKey)
        self.checkpoint_signer = NoteSigner(f"{TRUST_DOMAIN}/{config.name}", self.checkpoint_key)
        self._receipt_key = self._find_receipt_key(config.receipt_key)
        self._second_key: MLDSA65PrivateKey | None = (
            self._key("receipt.second", MLDSA65PrivateKey.generate, MLDSA65PrivateKey)
            if config.suites != (P256,)
            else None
        )
        self._renew_kem()
        self.kem_keys = KemKeys.load(self.folder)
        self._certify_hub()
        chain = read_certificates(self.folder / "receipt.pem")
        self.receipt_signer = FileSigner(self._receipt_key, chain, self._second_key)
        self.maintain()
        self._stamps = self._look()

    @classmethod
    def prepare(cls, config: HubConfig, authority: Authority, clock: Clock) -> HubKeys:
        """Load the keys, making on first start what is missing. Blocking (about a second the first time).

        Raises:
            UsageError: a key or certificate cannot be read, or an address in the configuration is unfit.
        """
        durable.make_folder(config.data / "keys")
        durable.sweep(config.data / "keys")
        return cls(config, authority, clock)

    @property
    def root(self) -> x509.Certificate:
        """What a new edge compares with its pin: the root above the hub's own certificates."""
        return self.authority.root

    @property
    def roots(self) -> tuple[x509.Certificate, ...]:
        """What the edges trust."""
        return self.authority.roots

    @property
    def timestamp_chain(self) -> tuple[x509.Certificate, ...]:
        """Of the time-stamping authority, leaf first, without the root."""
        return read_certificates(self.folder / "timestamp.pem")

    def newest_kem(self) -> tuple[KemPublic, ...]:
        """The newest public key of each suite that the configuration allows."""
        publics = self.kem_keys.publics()
        return tuple(
            max((key for key in publics if key.suite == suite), key=lambda key: key.kid)
            for suite in self._suites
        )

    def signed_key_set(self) -> bytes:
        """The public keys for edges to seal to, signed (`gateway.keyset`)."""
        return sign_key_set(self._name, self.newest_kem(), self.receipt_signer, self._clock.now())

    def signed_bundle(self) -> bytes:
        """The roots for edges to trust, signed (`gateway.bundle`)."""
        return sign_bundle(self._name, self.roots, self.receipt_signer, self._clock.now())

    def line_context(self) -> ssl.SSLContext:
        """For the line port. Renewed certificates and new authorities go into it by themselves (`run`)."""
        context = tls.line_server_context(
            self.folder / "server.pem",
            self.folder / "server.key",
            self._device_authorities(),
            proxied=self._proxied,
        )
        self._contexts.append(context)
        self._line_contexts.append(context)
        return context

    def _device_authorities(self) -> list[x509.Certificate]:
        return [*self.roots, *self.authority.every(Issuer.DEVICE)]

    def web_context(self) -> ssl.SSLContext:
        """For the portal's port. Renewed certificates go into it by themselves (`run`)."""
        context = tls.web_server_context(self.folder / "server.pem", self.folder / "server.key")
        self._contexts.append(context)
        return context

    async def run(self) -> None:
        """Take up what changes, and look hourly after what needs renewing. Ends only by cancellation."""
        looked = self._clock.monotonic()
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            due = self._clock.monotonic() - looked >= CHECK_SECONDS
            if due or self._look() != self._stamps:
                try:
                    await asyncio.to_thread(self.maintain)
                except (UsageError, DataError) as error:  # half-copied or unfit files: the old ones go on
                    log.warning("keys or certificates were not taken up", why=str(error))
                self._stamps, looked = self._look(), self._clock.monotonic()

    def maintain(self) -> None:
        """Take up new authorities and keys, renew what has passed two thirds of its life, show it in use.

        Connections that are open already go on; the next ones see the new certificates.
        """
        if self.authority.reload():
            log.info("the authority has changed", roots=len(self.roots))
            for context in self._line_contexts:
                context.load_verify_locations(cadata=pem(self._device_authorities()).decode())
        self.trust.roots = self.roots
        self._revoked = self._read_revoked()
        self._renew_kem()
        self.kem_keys.add(KemKeys.load(self.folder))
        if self._certify_hub():
            self.receipt_signer.chain = read_certificates(self.folder / "receipt.pem")
        self._certify(
            "server",
            self._key("server", keyfile.new, ec.EllipticCurvePrivateKey),
            lambda key: self.authority.issue_server(key, self._hosts),
            _names_hosts(self._hosts),
        )
        self._certify_timestamp()
        for context in self._contexts:
            tls.load_certificate(context, self.folder / "server.pem", self.folder / "server.key")
        self._facts = self._gather_facts()

    def on_list(self, certificate: x509.Certificate) -> bool:
        """Whether a device's certificate is on its authority's revocation list.

        The second layer behind the table of devices: a list is signed, and a row that is edited or lost
        does not change it.
        """
        return (certificate.issuer.public_bytes(), certificate.serial_number) in self._revoked

    def facts(self) -> dict[str, dict[str, Any]]:
        """What keys and authorities are in use, as digests (`hub.foundations`)."""
        return self._facts

    def _gather_facts(self) -> dict[str, dict[str, Any]]:
        pki = self.authority.folder
        revoked = sorted(str(one.relative_to(pki)) for one in pki.glob("revoked/*/*.json"))
        issuers = [one for name in Issuer if name is not Issuer.ROOT for one in self.authority.every(name)]
        return {
            "authority-changed": {
                "roots": [fingerprint(one) for one in self.authority.every(Issuer.ROOT)],
                "issuers": [fingerprint(one) for one in issuers],
                "revoked": hashlib.sha256("\n".join(revoked).encode()).hexdigest(),
            },
            "kem-changed": {
                "public": [hashlib.sha256(one.public).hexdigest() for one in self.kem_keys.publics()]
            },
        }

    def _read_revoked(self) -> frozenset[tuple[bytes, int]]:
        lists = [x509.load_der_x509_crl(der) for der in self.authority.crls(Issuer.DEVICE)]
        return frozenset((one.issuer.public_bytes(), entry.serial_number) for one in lists for entry in one)

    def _look(self) -> tuple[tuple[str, int, int], ...]:
        """What the files are by now."""
        pki = self.authority.folder
        files = [*self.folder.glob("*.pem"), *pki.glob("*.pem"), *pki.glob("*.crl"), *pki.glob("revoked/*")]
        stamps = []
        for file in sorted(files):
            try:
                found = file.stat()
            except FileNotFoundError:
                continue  # just being replaced
            stamps.append((str(file), found.st_mtime_ns, found.st_ino))
        return tuple(stamps)

    def _find_receipt_key(self, uri: str | None) -> ec.EllipticCurvePrivateKey:
        if uri is not None:
            return token.TokenKey(token.TokenUri.parse(uri))
        if not (self.folder / "receipt.key").exists():
            keyfile.store(self.folder / "receipt.key", keyfile.new())
        return keyfile.load_p256(self.folder / "receipt.key")

    def _certify(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        issue: Callable[[ec.EllipticCurvePublicKey], Issued],
        fits: Callable[[x509.Certificate], bool],
    ) -> bool:
        file = self.folder / f"{name}.pem"
        if file.exists():
            current = read_certificates(file)
            if current[0].public_key() == key.public_key() and self._good(current) and fits(current[0]):
                return False
        durable.replace(file, pem(issue(key.public_key()).chain), mode=0o644)
        log.info("certificate issued", certificate=name)
        return True

    def _certify_hub(self) -> bool:
        name, second = self._name, None if self._second_key is None else self._second_key.public_key()
        named = _names_hub(name)
        return self._certify(
            "receipt",
            self._receipt_key,
            lambda key: self.authority.issue_hub(key, name, second_key=second),
            lambda certificate: named(certificate) and second_key(certificate) == second,
        )

    def _certify_timestamp(self) -> None:
        file = self.folder / "timestamp.pem"
        if not file.exists() or not self._good(read_certificates(file)):
            issued = self.authority.issue_timestamp(self.timestamp_key.public_key())
            durable.replace(file, pem(issued.chain), mode=0o644)

    def _good(self, chain: Sequence[x509.Certificate]) -> bool:
        """Of this authority, and in the first two thirds of its life."""
        start, end = chain[0].not_valid_before_utc, chain[0].not_valid_after_utc
        known = {self.authority.certificate(name) for name in Issuer}  # the newest: a new one issues anew
        return chain[-1] in known and self._clock.now() < start + (end - start) * 2 / 3

    def _renew_kem(self) -> None:
        now = self._clock.now()
        for suite in self._suites:
            times = kids(self.folder, suite)
            if not times or times[-1] < (now - KEM_LIFE).strftime(_KID):
                new_kem(self.folder, suite, self._clock)

    def _key(self, name: str, make: Callable[[], K], kind: Any) -> K:
        file = self.folder / f"{name}.key"
        if not file.exists():
            keyfile.store(file, make())
        key = keyfile.load(file)
        if not isinstance(key, kind):
            raise Malformed(f"{file} holds a key of another kind than {kind.__name__}")
        return cast("K", key)


def load_receipt_signer(config: HubConfig) -> FileSigner:
    """The signer of a hub that has run, for a command beside it.

    Raises:
        UsageError: a key cannot be read, or the token not be used.
        Malformed: keys and certificate do not belong together.
    """
    folder = config.data / "keys"
    uri, second = config.receipt_key, folder / "receipt.second.key"
    key = (
        keyfile.load_p256(folder / "receipt.key")
        if uri is None
        else token.TokenKey(token.TokenUri.parse(uri))
    )
    beside = keyfile.load_second(second) if second.exists() else None
    return FileSigner(key, read_certificates(folder / "receipt.pem"), beside)


def kids(folder: Path, suite: str) -> list[str]:
    """The names of the KEM keys of a suite, oldest first."""
    names = sorted(file.name.removesuffix(FILE_SUFFIX) for file in folder.glob(f"*{FILE_SUFFIX}"))
    return [kid for kid in names if kid.endswith(_HYBRID_MARK) == (suite != P256)]


def new_kem(folder: Path, suite: str, clock: Clock) -> str:
    """Make a KEM key, whose name is later than any other's of its suite. Returns its name."""
    at, mark = clock.now(), "" if suite == P256 else _HYBRID_MARK
    while (kid := at.strftime(_KID) + mark) <= max(kids(folder, suite), default=""):
        at += timedelta(seconds=1)
    KemKeys.generate(kid, suite).save(folder)
    log.info("new KEM key", kid=kid)
    return kid


def server_names(config: HubConfig) -> tuple[str, ...]:
    """The names and addresses under which this hub is reached. Raises UsageError for a URL without one."""
    names: dict[str, None] = {}
    for key, url in (("web.url", config.web.url), ("line.url", config.line.url)):
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise UsageError(f"{key} must be an address such as https://hub.example.org:8443, not {url!r}")
        names[parts.hostname] = None
    return tuple(names)


def _names_hub(name: str) -> Callable[[x509.Certificate], bool]:
    return lambda certificate: hub_uri(name) in _alternative(certificate, x509.UniformResourceIdentifier)


def _names_hosts(hosts: Sequence[str]) -> Callable[[x509.Certificate], bool]:
    def fits(certificate: x509.Certificate) -> bool:
        found = {
            *_alternative(certificate, x509.DNSName),
            *map(str, _alternative(certificate, x509.IPAddress)),
        }
        return set(hosts) <= found

    return fits


def _alternative(certificate: x509.Certificate, kind: Any) -> list[Any]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return list(names.get_values_for_type(kind))
