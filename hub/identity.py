"""The hub's own keys: made on first start, kept in ``data/keys``, renewed while it runs.

====================  =====================================================================
``server.key .pem``   TLS server, P-256; a new certificate for the same key in good time
``receipt.key .pem``  signs receipts, deliveries and key sets (`Purpose.HUB`)
``*.kem.pem``         opens parcels; a new one at the first start in a year, old ones are kept
``timestamp.key``     RSA-3072 (what most PDF readers can check), with ``timestamp.pem``
``checkpoint.key``    Ed25519, signs checkpoints of the custody log (C2SP signed notes)
====================  =====================================================================
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from certs.authority import Authority, Issued, Issuer
from gateway import durable, keyfile, tls
from gateway.clock import Clock
from gateway.custody.checkpoint import NoteSigner
from gateway.envelope.kem import KemKeys
from gateway.errors import Malformed, UsageError
from gateway.keyset import sign_key_set
from gateway.log import logger
from gateway.trust import TRUST_DOMAIN, FileSigner, Trust, hub_uri, pem, read_certificates
from hub.config import HubConfig

KEM_LIFE = timedelta(days=365)
CHECK_SECONDS = 3600.0
_KID = "%Y%m%dT%H%M%SZ"
"""Kids are times, so the newest key is the last by name."""

K = TypeVar("K", bound=PrivateKeyTypes)
log = logger("hub.identity")


class HubKeys:
    """Every key the hub itself holds.

    Attributes:
        folder: where they lie.
        authority: who issues the hub's certificates.
        receipt_signer: signs as this hub (`Purpose.HUB`); renewal gives it a new chain for the same key.
        timestamp_key: of the time-stamping authority.
        kem_keys: open parcels: the newest and those before it. Loaded once: a new key is made only at
            start, so that whoever holds these can open whatever `signed_key_set` asks for.
        checkpoint_key: of the custody log.
        checkpoint_signer: signs the custody log's checkpoints, as ``telerad/NAME``.
    """

    def __init__(self, config: HubConfig, authority: Authority, clock: Clock) -> None:
        self.folder = config.data / "keys"
        self.authority = authority
        self._name = config.name
        self._hosts = server_names(config)
        self._clock = clock
        self._contexts: list[ssl.SSLContext] = []
        self.timestamp_key = self._key(
            "timestamp", lambda: rsa.generate_private_key(65537, 3072), rsa.RSAPrivateKey
        )
        self.checkpoint_key = self._key("checkpoint", Ed25519PrivateKey.generate, Ed25519PrivateKey)
        self.checkpoint_signer = NoteSigner(f"{TRUST_DOMAIN}/{config.name}", self.checkpoint_key)
        self._renew_kem()
        self.kem_keys = KemKeys.load(self.folder)
        self._certify_hub()
        self.receipt_signer = FileSigner.load(self.folder / "receipt.key", self.folder / "receipt.pem")
        self.maintain()

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
        """What the edges trust."""
        return self.authority.root

    @property
    def trust(self) -> Trust:
        """Trust in the root alone."""
        return self.authority.trust

    @property
    def timestamp_chain(self) -> tuple[x509.Certificate, ...]:
        """Of the time-stamping authority, leaf first, without the root."""
        return read_certificates(self.folder / "timestamp.pem")

    def signed_key_set(self) -> bytes:
        """The newest public key for edges to seal to, signed (`gateway.keyset`)."""
        newest = max(self.kem_keys.publics(), key=lambda key: key.kid)
        return sign_key_set(self._name, [newest], self.receipt_signer, self._clock.now())

    def line_context(self) -> ssl.SSLContext:
        """For the line port. Renewed certificates go into it by themselves (`run`)."""
        known = [self.root, self.authority.certificate(Issuer.DEVICE)]
        context = tls.line_server_context(self.folder / "server.pem", self.folder / "server.key", known)
        self._contexts.append(context)
        return context

    def web_context(self) -> ssl.SSLContext:
        """For the portal's port. Renewed certificates go into it by themselves (`run`)."""
        context = tls.web_server_context(self.folder / "server.pem", self.folder / "server.key")
        self._contexts.append(context)
        return context

    async def run(self) -> None:
        """Look hourly after what needs renewing. A service: ends only by cancellation."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            await asyncio.to_thread(self.maintain)

    def maintain(self) -> None:
        """Renew what has passed two thirds of its life, and show it on contexts in use."""
        if self._certify_hub():
            self.receipt_signer.chain = read_certificates(self.folder / "receipt.pem")
        renewed = self._certify(
            "server", lambda key: self.authority.issue_server(key, self._hosts), _names_hosts(self._hosts)
        )
        self._certify_timestamp()
        if renewed:
            for context in self._contexts:
                tls.load_certificate(context, self.folder / "server.pem", self.folder / "server.key")

    def _certify(
        self,
        name: str,
        issue: Callable[[ec.EllipticCurvePublicKey], Issued],
        fits: Callable[[x509.Certificate], bool],
    ) -> bool:
        key = self._key(name, keyfile.new, ec.EllipticCurvePrivateKey)
        file = self.folder / f"{name}.pem"
        if file.exists():
            current = read_certificates(file)
            if current[0].public_key() == key.public_key() and self._good(current) and fits(current[0]):
                return False
        durable.replace(file, pem(issue(key.public_key()).chain), mode=0o644)
        log.info("certificate issued", certificate=name)
        return True

    def _certify_hub(self) -> bool:
        name = self._name
        return self._certify("receipt", lambda key: self.authority.issue_hub(key, name), _names_hub(name))

    def _certify_timestamp(self) -> None:
        file = self.folder / "timestamp.pem"
        if not file.exists() or not self._good(read_certificates(file)):
            issued = self.authority.issue_timestamp(self.timestamp_key.public_key())
            durable.replace(file, pem(issued.chain), mode=0o644)

    def _good(self, chain: Sequence[x509.Certificate]) -> bool:
        """Of this authority, and in the first two thirds of its life."""
        start, end = chain[0].not_valid_before_utc, chain[0].not_valid_after_utc
        known = {self.authority.certificate(name) for name in Issuer}
        return chain[-1] in known and self._clock.now() < start + (end - start) * 2 / 3

    def _renew_kem(self) -> None:
        now = self._clock.now()
        times = sorted(file.name.removesuffix(".kem.pem") for file in self.folder.glob("*.kem.pem"))
        if not times or times[-1] < (now - KEM_LIFE).strftime(_KID):
            KemKeys.generate(now.strftime(_KID)).save(self.folder)

    def _key(self, name: str, make: Callable[[], K], kind: Any) -> K:
        file = self.folder / f"{name}.key"
        if not file.exists():
            keyfile.store(file, make())
        key = keyfile.load(file)
        if not isinstance(key, kind):
            raise Malformed(f"{file} holds a key of another kind than {kind.__name__}")
        return cast("K", key)


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
