"""``telerad verify report.pdf``: the judgement of `gateway.report.pdf_signature`, in sentences."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.clock import rfc3339
from gateway.errors import DataError
from gateway.report.pdf_signature import SignedReport, read
from gateway.trust import Trust, fingerprint
from gateway.verdict import Verdict


def verify_pdf(pdf: bytes, trust: Trust, at: datetime) -> Verdict:
    """Judge a signed report. Blocking; needs a thread without an event loop.

    Args:
        pdf: the file.
        trust: roots got another way than with the file.
        at: now.
    """
    try:
        found = read(pdf, trust, at)
    except DataError as error:
        return Verdict(ok=False, lines=[f"REFUSED: {error}."], facts={"kind": "report", "error": str(error)})
    return Verdict(ok=True, lines=_sentences(found), facts=_facts(found))


def _sentences(found: SignedReport) -> list[str]:
    report, signer = found.report, found.signer
    return [
        f"Signed by {signer.name} <{signer.email}> at {_say(found.signed_at)} (trusted time-stamp).",
        "Nothing was changed after the signature.",
        f"The chain leads to {found.root.subject.rfc4514_string()} (SHA-256 {fingerprint(found.root)}).",
        f"Kept judgeable since {_say(found.preserved_at)} (document time-stamp, PAdES B-LTA).",
        f"{report.kind.value.capitalize()} {report.report_id}, version {report.version}, of {report.site}, "
        f"study {report.study.study_uid}"
        + (f", completing report {report.supersedes}." if report.supersedes else "."),
        f"SHA-256 of the signed record {report.digest}.",
    ]


def _facts(found: SignedReport) -> dict[str, object]:
    report, signer = found.report, found.signer
    return {
        "kind": "report",
        "report_id": report.report_id,
        "version": report.version,
        "report_kind": report.kind.value,
        "supersedes": report.supersedes,
        "site": report.site,
        "study_uid": report.study.study_uid,
        "signed_by": signer.name,
        "email": signer.email,
        "certificate_sha256": fingerprint(signer.certificate),
        "signed_at": rfc3339(found.signed_at),
        "preserved_at": rfc3339(found.preserved_at),
        "root_sha256": fingerprint(found.root),
        "canonical_sha256": report.digest,
        "changed_after": False,
    }


def _say(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
