"""Whether a receipt is the hub's, and for exactly what was sent. Pure."""

from __future__ import annotations

from datetime import datetime

from edge.uplink.parcel import Parcel
from gateway.clock import parse_rfc3339
from gateway.envelope.receipt import OpenedReceipt, Receipt, open_receipt
from gateway.envelope.signature import Statement
from gateway.errors import Unverified
from gateway.trust import Trust


def check_receipt(signed: bytes, parcel: Parcel, trust: Trust, now: datetime) -> None:
    """Verify a receipt: the hub's signature and chain, then parcel, header digest, site and sequence.

    The header's digest binds the inner manifest, and so every instance; the edge cannot open its own
    parcels to compare them one by one. A parcel with instances must come back with instances.

    Raises:
        Malformed: it cannot be read.
        Unverified: it does not hold, or is for something else.
    """
    receipt = _open(signed, trust, now).receipt
    receipt.check(
        parcel_id=parcel.id,
        header_digest=parcel.digest,
        site=parcel.header.site,
        sequence=parcel.header.sequence,
    )
    if len(receipt.instances) < parcel.item.instances:
        raise Unverified(
            f"the receipt lists {len(receipt.instances)} instances, {parcel.item.instances} were sent"
        )


def _open(signed: bytes, trust: Trust, now: datetime) -> OpenedReceipt:
    """Now or, failing that, as of when it was signed: a stored receipt outlives the key that signed it.

    It comes over a connection on which the hub has just proved itself.
    """
    try:
        return open_receipt(signed, trust, now)
    except Unverified:
        claimed = Receipt.from_bytes(Statement.from_bytes(signed).payload)
        signed_at = parse_rfc3339(claimed.received_at)
        if signed_at >= now:
            raise
        return open_receipt(signed, trust, signed_at)
