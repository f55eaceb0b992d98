"""PAdES B-LTA (ETSI EN 319 142-1): signature, time-stamp, revocation lists, document time-stamp.

Signing is in two phases and in no other way: `prepare` makes everything up to the signed
attributes, someone signs these few bytes (a key unwrapped for the moment, a card, a browser),
`finish` embeds the signature and all that a reader needs to judge it years later without a network.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from asn1crypto import cms
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.embed import EmbeddedFileObject, EmbeddedFileParams, FileSpec, embed_file
from pyhanko.pdf_utils.generic import NameObject
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import ExternalSigner, PdfSignatureMetadata, PdfSigner
from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter
from pyhanko.sign.general import SigningError
from pyhanko.sign.signers.pdf_signer import (
    DSSContentSettings,
    PdfTBSDocument,
    SigDSSPlacementPreference,
    TimestampDSSContentSettings,
)
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.errors import ValidationError
from pyhanko_certvalidator.registry import SimpleCertificateStore

from gateway.errors import Unverified
from gateway.report.model import ATTACHMENT, Report
from gateway.trust import Signer
from hub.reports.timestamp import LocalTimeStamper, TimestampAuthority

FIELD = "Report"
RESERVED = 32_768
"""Hexadecimal digits kept free for the CMS object; ours with chain and token takes about 8 000."""


@dataclass(frozen=True, slots=True)
class TrustMaterial:
    """What a signature must carry to be judged offline; asked for anew each time, since authorities change.

    Args:
        roots: gives the trusted roots.
        timestamps: gives the time-stamping authority.
        crls: gives every current revocation list (DER): of the root, the people CA, the TSA's CA.
    """

    roots: Callable[[], tuple[x509.Certificate, ...]]
    timestamps: Callable[[], TimestampAuthority]
    crls: Callable[[], Sequence[bytes]]

    def context(self, chain: Sequence[x509.Certificate]) -> ValidationContext:
        """PyHanko's view of it: these roots, these lists, no network."""
        return ValidationContext(
            trust_roots=[_asn1(root) for root in self.roots()],
            other_certs=[_asn1(c) for c in (*chain[1:], *self.timestamps().chain)],
            crls=list(self.crls()),
            allow_fetching=False,
            revocation_mode="require",
        )


@dataclass(frozen=True, slots=True)
class Prepared:
    """A PDF that lacks only the signature over `to_sign`."""

    to_sign: bytes
    output: io.BytesIO
    digest: Any
    after: Any
    attributes: cms.CMSAttributes
    signer: ExternalSigner
    context: ValidationContext


async def prepare(
    pdf: bytes, report: Report, chain: Sequence[x509.Certificate], trust: TrustMaterial
) -> Prepared:
    """First phase: attach the canonical record, make the signature field, give the bytes to sign.

    Args:
        pdf: as drawn, unsigned.
        report: what is signed.
        chain: of the person's certificate, leaf first.
        trust: what the signature will carry.

    Raises:
        Unverified: the certificate is revoked, expired, not for documents, or not of these roots.
    """
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    _attach(writer, report)
    store = SimpleCertificateStore.from_certs([_asn1(c) for c in (*chain, *trust.roots())])
    signer = ExternalSigner(_asn1(chain[0]), store, signature_value=72, embed_roots=False)
    context, stamper = trust.context(chain), LocalTimeStamper(trust.timestamps())
    whole = PdfSigner(_metadata(report, context), signer, timestamper=stamper)
    try:
        digest, document, output = await whole.async_digest_doc_for_signing(writer, bytes_reserved=RESERVED)
    except (SigningError, ValidationError) as error:
        raise Unverified(f"this certificate cannot sign a report: {error}") from error
    attributes = await signer.signed_attrs(digest.document_digest, "sha256", use_pades=True)
    return Prepared(
        to_sign=attributes.dump(),
        output=output,
        digest=digest,
        after=document.post_sign_instructions,
        attributes=attributes,
        signer=signer,
        context=context,
    )


async def finish(prepared: Prepared, signature: bytes, trust: TrustMaterial) -> bytes:
    """Second phase: embed `signature` (ECDSA, DER) with time-stamps and revocation lists.

    Returns:
        The signed PDF. It is not yet checked: `gateway.report.pdf_signature.read` does that.
    """
    first = prepared.signer
    with_value = ExternalSigner(
        first.signing_cert, first.cert_registry, signature_value=signature, embed_roots=False
    )
    signed = await with_value.async_sign_prescribed_attributes(
        "sha256", signed_attrs=prepared.attributes, timestamper=LocalTimeStamper(trust.timestamps())
    )
    await PdfTBSDocument.async_finish_signing(
        prepared.output,
        prepared.digest,
        signed,
        post_sign_instr=prepared.after,
        validation_context=prepared.context,
    )
    return prepared.output.getvalue()


async def sign(pdf: bytes, report: Report, signer: Signer, trust: TrustMaterial) -> bytes:
    """Both phases with a key at hand."""
    prepared = await prepare(pdf, report, signer.chain, trust)
    return await finish(prepared, signer.sign(prepared.to_sign), trust)


def _metadata(report: Report, context: ValidationContext) -> PdfSignatureMetadata:
    return PdfSignatureMetadata(
        field_name=FIELD,
        md_algorithm="sha256",
        name=report.author.display_name,
        reason=f"Radiology report {report.report_id}",
        location=report.site,
        subfilter=SigSeedSubFilter.PADES,
        certify=True,  # NO_CHANGES: readers warn of any later change but time-stamps (ISO 32000-2 §12.8.2.2)
        docmdp_permissions=MDPPerm.NO_CHANGES,
        embed_validation_info=True,
        use_pades_lta=True,
        validation_context=context,
        signer_key_usage={"non_repudiation"},
        dss_settings=DSSContentSettings(
            include_vri=False,  # not in the PAdES baseline
            placement=SigDSSPlacementPreference.TOGETHER_WITH_NEXT_TS,
            next_ts_settings=TimestampDSSContentSettings(include_vri=False, update_before_ts=True),
        ),
    )


def _attach(writer: IncrementalPdfFileWriter, report: Report) -> None:
    data = EmbeddedFileObject.from_file_data(
        writer,
        report.to_bytes(),
        mime_type="application/json",
        params=EmbeddedFileParams(embed_size=True, embed_checksum=False),
    )
    embed_file(
        writer,
        FileSpec(
            file_spec_string=ATTACHMENT,
            file_name=ATTACHMENT,
            embedded_data=data,
            description="What was signed: gateway/report/CANONICAL.md",
            af_relationship=NameObject("/Source"),
        ),
    )


def _asn1(certificate: x509.Certificate) -> asn1.Certificate:
    return asn1.Certificate.load(certificate.public_bytes(Encoding.DER))
