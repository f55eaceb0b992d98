"""``python -m edge.filling DATA COUNT``: as if this edge had sent COUNT instances in the last weeks.

For ``telerad bench ingest --indexed``: the index of the spool and the ledger of storage commitment get their
rows by their own code, many in a transaction. There are no files: the hub has signed, the bodies are gone.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from edge.ingest.ledger import Ledger
from edge.ingest.vault import Vault
from edge.spool.files import SpoolFiles
from edge.spool.item import SpoolItem
from edge.spool.journal import Journal
from edge.spool.spool import KEEP_PURGED
from edge.spool.states import State
from gateway.clock import SystemClock, rfc3339
from gateway.model import ParcelId, Priority, Sha256

TOGETHER = 20_000
"""Rows of a transaction."""
CT = "1.2.840.10008.5.1.4.1.1.2"


def fill(data: Path, count: int) -> None:
    """Fill a spool that nobody has open.

    Args:
        data: the edge's data folder; it may be empty.
        count: rows of each.
    """
    files = SpoolFiles(data)
    files.prepare()
    journal, ledger = Journal(files.index), Ledger(Vault.open(data))
    for first in range(0, count, TOGETHER):
        numbers = range(first, min(first + TOGETHER, count))
        journal.put_all(_items(numbers, count))
        ledger.came((CT, f"2.25.{secrets.randbits(120)}", secrets.token_hex(32)) for _ in numbers)
        print(len(numbers), flush=True)
    ledger.close()
    journal.close()


def _items(numbers: range, count: int) -> Iterator[SpoolItem]:
    """Rows of single instances, in the order in which they were sent, over as long as such are kept."""
    now, whole = SystemClock().now(), KEEP_PURGED - timedelta(days=1)
    for number in numbers:
        yield SpoolItem(
            parcel_id=ParcelId(secrets.token_hex(16)),
            state=State.PURGED,
            sealed_size=525_000,
            chunk_count=3,
            instances=1,
            priority=Priority.ROUTINE,
            modality="CT",
            received_at=rfc3339(now - whole + whole * number / count),
            sequence=number + 1,
            digest=Sha256(secrets.token_hex(32)),
        )


if __name__ == "__main__":
    fill(Path(sys.argv[1]), int(sys.argv[2]))
