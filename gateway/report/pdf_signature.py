"""A signed report judged offline: who signed, when, and whether anything was changed afterwards.

Used by the hub after signing, by the edge before it delivers, and by ``telerad verify``. Rules:

1. exactly one signature, of a person, PAdES, over the whole file as it was then;
2. what came later are time-stamps and validation data alone. Any other incremental update is
   refused, although such a file still "has a valid signature" for readers that only look at it
   (poppler's pdfsig says so);
3. the signature bears a time-stamp, and the file a later document time-stamp, of a trusted TSA;
4. the person's chain leads to a root given here, was not revoked (lists embedded in the file), and
   is one `gateway.trust` accepts for a person, at the time of the time-stamp;
5. the attached record (CANONICAL.md) names exactly the certificate that signed.
"""

from __future__ import annotations

import asyncio
import io
import logging
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESPassed
from pyhanko.sign.diff_analysis import ModificationLevel
from pyhanko.sign.validation.ades import AdESLTAValidationResult, ades_lta_validation
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.policy_decl import (
    PdfSignatureValidationSpec,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko.sign.validation.status import PdfSignatureStatus, SignatureCoverageLevel
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.errors import ValidationError
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo
from pyhanko_certvalidator.policy_decl import (
    REQUIRE_REVINFO,
    CertRevTrustPolicy,
    FreshnessReqType,
)
from pyhanko_certvalidator.registry import SimpleTrustManager

from gateway.errors import Malformed, Unverified
from gateway.report.model import ATTACHMENT, Report
from gateway.trust import Identity, Purpose, Trust, fingerprint

MAX_PDF = 64 << 20
"""Bytes; a report has some 100 KB."""

PRESERVED = timedelta(days=20 * 365)
"""How long the embedded revocation lists stand in for newer ones. The hospital has no network when it
asks; the document time-stamp proves that the lists are those of the day it was signed. The longest
life of a TSA's certificate bounds it: before that one expires, the hub adds a newer time-stamp."""

# What a PDF that is no PDF makes a parser raise. They all mean the same: these bytes are not a signed
# report. (A broken object graph shows as a wrong type or a missing key deep inside pyHanko.)
_UNREADABLE = (
    PdfError,
    SignatureValidationError,
    ValidationError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    NotImplementedError,
    AssertionError,
    RecursionError,
    ArithmeticError,
    zlib.error,
    OSError,
)

for _name in ("pyhanko", "pyhanko_certvalidator"):  # they log what they return, with names from the file
    logging.getLogger(_name).setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class SignedReport:
    """A signed PDF that holds.

    Attributes:
        report: the record that was signed.
        signer: who signed it.
        signed_at: by the signature's time-stamp.
        preserved_at: by the oldest document time-stamp: everything needed to judge it existed then.
        root: the trusted root the signer's chain leads to.
    """

    report: Report
    signer: Identity
    signed_at: datetime
    preserved_at: datetime
    root: x509.Certificate


def read(pdf: bytes, trust: Trust, at: datetime) -> SignedReport:
    """Judge `pdf`. Blocking (about 0.1 s), and must not be called on an event loop's thread.

    Args:
        pdf: the file.
        trust: the roots, which must have been got another way.
        at: now.

    Raises:
        Malformed: not a PDF, or one without a report in it.
        Unverified: the first rule above that does not hold, in plain words.
    """
    if not pdf.startswith(b"%PDF-") or len(pdf) > MAX_PDF:
        raise Malformed(
            "this is not a PDF file" if len(pdf) <= MAX_PDF else "the PDF is too large for a report"
        )
    try:
        reader = PdfFileReader(io.BytesIO(pdf))
        embedded = _only_signature(reader)
        result = asyncio.run(
            ades_lta_validation(
                embedded, _policy(trust), ValidationTimingInfo(at, at, point_in_time_validation=False)
            )
        )
    except _UNREADABLE as error:
        raise Unverified(f"the PDF cannot be read as a signed report: {_first_line(error)}") from error
    return _signed(reader, result, trust)


def _only_signature(reader: PdfFileReader) -> EmbeddedPdfSignature:
    signatures: Sequence[EmbeddedPdfSignature] = reader.embedded_regular_signatures
    if not signatures:
        raise Unverified("the PDF is not signed")
    if len(signatures) > 1:
        raise Unverified(f"the PDF bears {len(signatures)} signatures; a report bears one")
    return signatures[0]


def _policy(trust: Trust) -> PdfSignatureValidationSpec:
    """These roots, lists from the file itself, never the network."""
    return PdfSignatureValidationSpec(
        SignatureValidationSpec(
            cert_validation_policy=CertValidationPolicySpec(
                trust_manager=SimpleTrustManager.build(trust_roots=[_asn1(root) for root in trust.roots]),
                revinfo_policy=CertRevTrustPolicy(
                    REQUIRE_REVINFO,
                    freshness=PRESERVED,
                    freshness_req_type=FreshnessReqType.MAX_DIFF_REVOCATION_VALIDATION,
                ),
            ),
            revinfo_gathering_policy=RevocationInfoGatheringSpec(RevinfoOnlineFetchingRule.LOCAL_ONLY),
            key_usage_settings=KeyUsageConstraints(key_usage={"non_repudiation"}),
        )
    )


def _check_changes(status: PdfSignatureStatus) -> None:
    """Rules 1 and 2."""
    if not status.intact:
        raise Unverified("the PDF was changed: its bytes are not the ones that were signed")
    if status.coverage not in (SignatureCoverageLevel.ENTIRE_FILE, SignatureCoverageLevel.ENTIRE_REVISION):
        raise Unverified("the signature does not cover the whole file as it was signed")
    level = status.modification_level
    if level is None or level > ModificationLevel.LTA_UPDATES or not status.docmdp_ok:
        raise Unverified("the PDF was changed after it was signed")


def _signed(reader: PdfFileReader, result: AdESLTAValidationResult, trust: Trust) -> SignedReport:
    status = result.api_status
    if status is None:
        raise Unverified(f"the signature cannot be judged: {_first_line(result.failure_msg)}")
    _check_changes(status)
    if result.ades_subindic != AdESPassed.OK or not status.valid or not status.trusted:
        reason = result.failure_msg or str(result.ades_subindic)
        raise Unverified(f"the signature does not hold: {_first_line(reason)}")
    stamp, preserved = status.timestamp_validity, result.oldest_evidence_record_timestamp
    if stamp is None or not (stamp.intact and stamp.valid and stamp.trusted):
        raise Unverified("the signature bears no time-stamp of a trusted authority")
    if preserved is None:
        raise Unverified("the PDF bears no document time-stamp of a trusted authority (PAdES B-LTA)")
    path = [_pyca(c) for c in status.validation_path.iter_certs(include_root=True)]
    signer = trust.identify(path[:0:-1], Purpose.PERSON, stamp.timestamp)
    report = _attached(reader)
    if report.author.certificate_sha256 != fingerprint(signer.certificate):
        raise Unverified(
            f"the report names another certificate as its author's than that of {signer.name}, who signed"
        )
    return SignedReport(report, signer, stamp.timestamp, preserved, path[0])


def _attached(reader: PdfFileReader) -> Report:
    """The canonical record among the attachments: exactly one, by its name (ISO 32000-2 §7.11.4)."""
    try:
        names = reader.root["/Names"]["/EmbeddedFiles"]["/Names"]
        pairs = [(str(names[place]), names[place + 1]) for place in range(0, len(names), 2)]
        found = [file["/EF"]["/F"].data for name, file in pairs if name == ATTACHMENT]
    except _UNREADABLE as error:
        raise Malformed("the PDF has no report attached") from error
    if len(found) != 1:
        raise Malformed(f"the PDF has {len(found)} attachments named {ATTACHMENT}; it must have one")
    return Report.from_bytes(found[0])


def _first_line(reason: Any) -> str:
    return (str(reason).strip() or type(reason).__name__).splitlines()[0][:300]


def _asn1(certificate: x509.Certificate) -> asn1.Certificate:
    return asn1.Certificate.load(certificate.public_bytes(Encoding.DER))


def _pyca(certificate: asn1.Certificate) -> x509.Certificate:
    return x509.load_der_x509_certificate(certificate.dump())
