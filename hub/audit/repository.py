"""The audit repository of the configuration, with the TLS it wants."""

from __future__ import annotations

import ssl

from gateway.errors import UsageError
from hub.audit.exporter import Repository
from hub.config import AuditRepository


def repository_of(told: AuditRepository) -> Repository:
    """Where to send. Raises UsageError if its authority or our certificate cannot be read."""
    try:
        context = ssl.create_default_context(cafile=told.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # IHE ATNA: BCP 195
        if told.certificate is not None:
            context.load_cert_chain(told.certificate, told.key)
    except (OSError, ValueError) as error:
        raise UsageError(f"audit.repository: {error}") from error
    return Repository(told.host, told.port, context)
