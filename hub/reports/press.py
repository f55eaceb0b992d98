"""Makes the three forms of one signed version, and checks them before anybody else sees them. Blocking."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.errors import Broken
from gateway.model import Sha256
from gateway.report.model import Report
from gateway.report.pdf_signature import read
from gateway.trust import Signer, Trust
from hub.reports.dicom import Evidence, Object, encapsulated_pdf, structured_report
from hub.reports.document import Letterhead, draw
from hub.reports.signature import TrustMaterial, sign


@dataclass(frozen=True, slots=True)
class Printed:
    """One signed version in its three forms."""

    report: Report
    pdf: bytes
    pdf_sha256: Sha256
    structured: Object
    enveloped: Object


class Press:
    """Draws, signs, wraps and checks.

    Args:
        material: what a signature must carry to be judged offline.
        service: who sends the reports, as printed.
        clock: for the check's own time.
    """

    def __init__(self, material: TrustMaterial, service: str, clock: Clock) -> None:
        self._material, self._service, self._clock = material, service, clock

    def make(
        self,
        report: Report,
        signer: Signer,
        evidence: Sequence[Evidence],
        log: tuple[int, str] | None = None,
    ) -> Printed:
        """Make all of `report`. For a thread of its own: it runs an event loop inside.

        Args:
            report: what was written.
            signer: by whom.
            evidence: the images it is about.
            log: entries and root of the custody log now, printed: paper contradicts a log that was rewritten.

        Raises:
            Unverified: the signer's certificate is revoked, expired or not of our roots.
            Broken: what was made does not hold, or holds something else.
        """
        drawn = draw(report, Letterhead(self._service, report.site, log))
        pdf = asyncio.run(sign(drawn, report, signer, self._material))
        found = read(pdf, Trust(self._material.roots()), self._clock.now())
        if found.report != report or found.signer.certificate != signer.chain[0]:
            raise Broken("the signed PDF does not hold the report it was made from")
        return Printed(
            report=report,
            pdf=pdf,
            pdf_sha256=Sha256(hashlib.sha256(pdf).hexdigest()),
            structured=structured_report(report, evidence, self._service),
            enveloped=encapsulated_pdf(report, pdf),
        )
