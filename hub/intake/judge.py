"""What the hub thinks of a header and of a chunk, before anything is written. Pure, but for being slow."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from gateway.clock import parse_rfc3339
from gateway.envelope.kem import SUITES, known_suite
from gateway.envelope.layout import Header
from gateway.envelope.signature import Statement
from gateway.envelope.unseal import OpenedHeader, open_header
from gateway.errors import DataError, Malformed, Unverified
from gateway.model import Sha256
from gateway.trust import Trust
from gateway.wire.messages import Announce, Ask, Chunk, Code, Later, Refused, shorten
from gateway.wire.receiver import Asked, ChunkCame
from hub.intake.journal import Announcement

EARLY_SECONDS = 60
"""After which a parcel is offered again that is dated later than our clock."""
EARLY_WORDS = "it is signed later than the hub's clock says; look at both clocks"


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges what an edge sends.

    Attributes:
        trust: the roots.
        site: of the certificate the edge showed; nothing else says which site speaks.
        now: the time of judging.
    """

    trust: Trust
    site: str
    now: datetime

    def judge(self, message: Announce | Chunk | Ask) -> Announcement | Refused | Later | ChunkCame | Asked:
        """What to make of one message. Hashes and verifies: run it off the event loop."""
        match message:
            case Announce():
                return self._announced(message)
            case Chunk(_, index, digest, data):
                return ChunkCame(index, digest, Sha256(hashlib.sha256(data).hexdigest()), len(data))
            case Ask():
                return Asked()

    def _announced(self, message: Announce) -> Announcement | Refused | Later:
        try:
            claimed = Header.from_bytes(Statement.from_bytes(message.header).payload)
        except Malformed as error:
            return Refused(message.parcel, Code.MALFORMED, shorten(str(error)))
        if claimed.site != self.site:
            words = f"the header is of site {claimed.site}, the certificate of site {self.site}"
            return Refused(message.parcel, Code.NOT_ALLOWED, words)
        try:
            known_suite(claimed.suite, SUITES if self.trust.suites is None else self.trust.suites)
        except Unverified as error:
            return Refused(message.parcel, Code.UNSUPPORTED, shorten(str(error)))
        try:
            opened = self._open(message.header, claimed)
        except DataError as error:
            if self._too_early(message.header, claimed):
                return Later(message.parcel, EARLY_SECONDS, shorten(f"{EARLY_WORDS}: {error}"))
            return Refused(message.parcel, Code.UNVERIFIED, shorten(str(error)))
        if opened.header.parcel_id != message.parcel:
            return Refused(message.parcel, Code.MALFORMED, "the header is of another parcel than announced")
        return Announcement(message.header, opened.header, opened.digest, opened.identity.edge or "")

    def _too_early(self, signed: bytes, claimed: Header) -> bool:
        """Whether it is good at the time it bears, which by our clock is to come: a clock is off."""
        signed_at = parse_rfc3339(claimed.created_at)
        if signed_at < self.now:
            return False
        try:
            open_header(signed, self.trust, signed_at)
        except DataError:
            return False
        return True

    def _open(self, signed: bytes, claimed: Header) -> OpenedHeader:
        """Verify a header now or, failing that, as of when it was signed.

        An edge that was cut off for longer than its certificate lived still has parcels signed with
        the old one. The edge itself has just proved with a valid certificate that it is of this site.
        """
        try:
            return open_header(signed, self.trust, self.now)
        except Unverified:
            signed_at = parse_rfc3339(claimed.created_at)
            if signed_at >= self.now:
                raise
            return open_header(signed, self.trust, signed_at)
