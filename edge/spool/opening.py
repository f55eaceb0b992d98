"""Opening a received item again, with the key it was sealed under."""

from __future__ import annotations

from edge.spool.files import UNNAMED, BodyFile
from gateway.envelope.own import OwnBody
from gateway.envelope.trailer import read_trailer
from gateway.errors import Malformed
from gateway.model import ParcelId


def own_body(file: BodyFile, parcel: ParcelId, key: bytes) -> OwnBody:
    """What lies in an open file.

    Args:
        file: of the item.
        parcel: which it is.
        key: of it.

    Raises:
        Malformed: it is damaged, or of another parcel.
        Unverified: likewise, or of another key.
    """
    draft = read_trailer(file.read, file.size)
    if draft.parcel_id != parcel:
        raise Malformed("the file holds another parcel than its name says")
    return OwnBody(draft, key, named=UNNAMED not in draft.chunks)
