"""Hands one N-EVENT-REPORT to a sender over an association of our own (PS3.4 J.3.3)."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from io import BytesIO

from pydicom.dataset import Dataset
from pynetdicom import AE, build_role
from pynetdicom.dsutils import encode

from edge.config import DicomTls, Ingest
from edge.ingest.acse import SERVICE_SYNTAXES
from edge.ingest.commitment import COMMITMENT, WELL_KNOWN
from edge.tls import client_profile
from gateway.dicom import transfer
from gateway.errors import Unavailable, UsageError

SECONDS = 15.0
"""For the connection, and for each answer."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a sender listens."""

    ae_title: str
    host: str
    port: int


def encoded(information: Dataset, syntax: str) -> BytesIO:
    """A dataset in a transfer syntax."""
    form = transfer.encoding(syntax)
    return BytesIO(encode(information, form.implicit, form.little) or b"")


def deliver(config: Ingest, address: Address, event: int, information: Dataset) -> None:
    """Report. Blocks.

    Args:
        config: our AE title; with ``ingest.tls`` we speak TLS to senders, too.
        address: of the sender.
        event: Event Type ID.
        information: Event Information.

    Raises:
        Unavailable: nobody is there, or does not want it.
    """
    entity = AE(ae_title=config.ae_title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = SECONDS
    entity.connection_timeout = SECONDS
    entity.add_requested_context(COMMITMENT, list(SERVICE_SYNTAXES))
    association = entity.associate(
        address.host,
        address.port,
        ae_title=address.ae_title,
        ext_neg=[build_role(COMMITMENT, scp_role=True)],
        tls_args=None if config.tls is None else (_client_tls(config.tls), None),
    )
    place = f"{address.ae_title} at {address.host}:{address.port}"
    if not association.is_established:
        why = "rejects us" if association.is_rejected else "does not answer"
        raise Unavailable(f"{place} {why}")
    try:
        answer, _ = association.send_n_event_report(information, event, COMMITMENT, WELL_KNOWN)
    except ValueError as error:
        raise Unavailable(f"{place} does not take storage commitment reports") from error
    finally:
        association.release()
    if "Status" not in answer:
        raise Unavailable(f"{place} did not answer the report")
    if answer.Status != 0:
        raise Unavailable(f"{place} answered the report with 0x{answer.Status:04X}")


def _client_tls(config: DicomTls) -> ssl.SSLContext:
    """PS3.15 B.12, as the one who calls; the modality's certificate must be by ``client_ca``, if there is."""
    context = client_profile()  # modalities are known by address; their certificates rarely name it
    try:
        context.load_cert_chain(config.certificate, config.key)
        if config.client_ca is None:
            context.verify_mode = ssl.CERT_NONE
        else:
            context.load_verify_locations(config.client_ca)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"ingest.tls: {error}") from error
    return context
