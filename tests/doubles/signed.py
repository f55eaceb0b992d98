"""One signed report a language, made once a test run."""

from __future__ import annotations

import asyncio
from functools import cache

from gateway.report.model import Author, Body, Report
from gateway.trust import FileSigner, fingerprint
from hub.reports.document import Letterhead, draw
from hub.reports.signature import sign
from tests.doubles.report import CHINESE, report
from tests.doubles.small_authority import SmallAuthority

LETTERHEAD = Letterhead("Telerad Reading Network", "H001")


@cache
def authority() -> SmallAuthority:
    return SmallAuthority()


@cache
def reader() -> FileSigner:
    return authority().person()


def authored(body: Body = CHINESE, signer: FileSigner | None = None, **changes: object) -> Report:
    certificate = (signer or reader()).chain[0]
    author = Author("wei", "Dr. Wei Lin 林伟", fingerprint(certificate))
    return report(body, author=author, **changes)


@cache
def signed(body: Body = CHINESE) -> bytes:
    whole = authored(body)
    return asyncio.run(sign(draw(whole, LETTERHEAD), whole, reader(), authority().material()))
