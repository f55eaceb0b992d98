"""DICOM TLS: of what modalities send to, and of the nodes that we call."""

from __future__ import annotations

import ssl

from edge.config import DicomTls, NodeTls
from gateway.errors import UsageError


def tls_profile() -> ssl.SSLContext:
    """TLS as PS3.15 B.12 and BCP 195 want it: TLS 1.2 with ECDHE and AES-GCM, or 1.3. Without keys."""
    return _profile(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


def _profile(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM")
    return context


def tls_context(config: DicomTls, where: str) -> ssl.SSLContext:
    """The same with keys.

    Args:
        config: their files.
        where: the configuration's key that names them.

    Raises:
        UsageError: the files cannot be used.
    """
    context = tls_profile()
    try:
        context.load_cert_chain(config.certificate, config.key)
        if config.client_ca is not None:
            context.load_verify_locations(config.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"{where}: {error}") from error
    return context


def client_profile() -> ssl.SSLContext:
    """The same profile for whoever calls. Without keys; the name in a certificate is not compared."""
    context = _profile(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    context.check_hostname = False
    return context


def node_context(config: NodeTls) -> ssl.SSLContext:
    """To call a node.

    Raises:
        OSError: a file cannot be used (`ssl.SSLError` is one).
    """
    context = client_profile()
    context.check_hostname = config.check_name
    context.load_verify_locations(config.ca)
    if config.certificate is not None:
        context.load_cert_chain(config.certificate, config.key)
    return context


def files_of(config: DicomTls | None) -> list[str | None] | None:
    """Certificate, key and client CA, for another process."""
    if config is None:
        return None
    files = (config.certificate, config.key, config.client_ca)
    return [None if one is None else str(one.resolve()) for one in files]
