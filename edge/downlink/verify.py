"""A package judged before anything else sees it. Blocking, and for a thread without an event loop.

In this order: the hub's signature over the manifest and that it is for this site and delivery;
length and digest of every file; the PDF's own signature, by a person, unchanged since
(`gateway.report.pdf_signature`); that the PDF holds the very report the manifest names; that the
DICOM envelope holds the very same PDF, and both objects bear the UIDs that were announced.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from gateway.dicom.header import read_header
from gateway.envelope.signature import verify
from gateway.errors import Unverified
from gateway.model import Sha256, SiteId
from gateway.report.delivery import ENVELOPED, MANIFEST_KIND, PDF, STRUCTURED, Manifest, split, unpack
from gateway.report.model import Report
from gateway.report.pdf_signature import read
from gateway.trust import Purpose, Trust

TRANSFER_SYNTAX = "1.2.840.10008.1.2.1"
"""Explicit VR little endian: what the hub writes reports in."""


@dataclass(frozen=True, slots=True)
class DicomObject:
    """Dataset bytes and what they are."""

    sop_class_uid: str
    sop_instance_uid: str
    dataset: bytes


@dataclass(frozen=True, slots=True)
class Verified:
    """A delivery that holds.

    Attributes:
        manifest_sha256: of the manifest's payload, for the acknowledgement.
        signed_by: the person's name, as their certificate says.
        signed_at: by the time-stamp.
    """

    manifest: Manifest
    manifest_sha256: Sha256
    report: Report
    pdf: bytes
    structured: DicomObject
    enveloped: DicomObject
    signed_by: str
    signed_at: datetime


def open_package(package: bytes, delivery: str, site: SiteId, trust: Trust, at: datetime) -> Verified:
    """Judge `package`.

    Args:
        package: as the hub sent it.
        delivery: the delivery that was asked for.
        site: ours.
        trust: our roots.
        at: now.

    Raises:
        Malformed, Unverified: in plain words, the first thing that does not hold.
    """
    statement, body = unpack(package)
    payload, _ = verify(statement, MANIFEST_KIND, trust, Purpose.HUB, at)
    manifest = Manifest.from_bytes(payload)
    if manifest.delivery_id != delivery or manifest.site != site:
        raise Unverified(f"the hub sent delivery {manifest.delivery_id} of {manifest.site}, not {delivery}")
    files = split(manifest, body)
    signed = read(files[PDF], trust, at)
    report = signed.report
    if (report.report_id, report.digest) != (manifest.report_id, manifest.canonical_sha256):
        raise Unverified("the PDF holds another report than the manifest names")
    if report.site != site or report.study.study_uid != manifest.study_uid:
        raise Unverified(f"the PDF is about a study of {report.site}, not of {site}")
    if files[PDF] not in files[ENVELOPED]:
        raise Unverified("the DICOM envelope does not hold the signed PDF")
    return Verified(
        manifest=manifest,
        manifest_sha256=Sha256(hashlib.sha256(payload).hexdigest()),
        report=report,
        pdf=files[PDF],
        structured=_object(manifest, STRUCTURED, files[STRUCTURED]),
        enveloped=_object(manifest, ENVELOPED, files[ENVELOPED]),
        signed_by=signed.signer.name,
        signed_at=signed.signed_at,
    )


def _object(manifest: Manifest, name: str, dataset: bytes) -> DicomObject:
    file = next(file for file in manifest.files if file.name == name)
    header = read_header(dataset, TRANSFER_SYNTAX)
    found = (header.string("SOPClassUID"), header.string("SOPInstanceUID"), header.string("StudyInstanceUID"))
    if found != (file.sop_class_uid, file.sop_instance_uid, manifest.study_uid):
        raise Unverified(f"{name} is another object than the manifest names")
    return DicomObject(file.sop_class_uid, file.sop_instance_uid, dataset)
