"""The DIMSE-N services of this edge, put together: storage commitment and MPPS."""

from __future__ import annotations

from pathlib import Path

from edge.config import Ingest
from edge.ingest.commitment import COMMITMENT
from edge.ingest.commitments import Commitments
from edge.ingest.ledger import Ledger
from edge.ingest.mpps import MPPS
from edge.ingest.procedures import ProcedureSteps
from edge.ingest.services import Services
from edge.ingest.vault import Vault
from edge.spool.custodian import Nobody
from edge.spool.spool import Spool
from gateway.clock import Clock


class Offered:
    """Listens to the spool from when it is made until `close`.

    Args:
        config: the listener's section of the configuration.
        data: the edge's data folder.
        spool: where instances are kept.
        clock: the time.

    Attributes:
        commitments: reports; its `run` is a service.
        vault: seals what outlives a restart.
        services: handlers by SOP class UID, for the listener.

    Raises:
        UsageError: the machine's key cannot be kept.
    """

    def __init__(self, config: Ingest, data: Path, spool: Spool, clock: Clock) -> None:
        vault = self.vault = Vault.open(data, config.secret)
        self._spool = spool
        self._ledger = Ledger(vault, spool.files.receipts)
        self.commitments = Commitments(config, vault, self._ledger, clock)
        self.services: Services = {
            COMMITMENT: self.commitments.handle,
            MPPS: ProcedureSteps(spool, vault).handle,
        }
        spool.custodian = self._ledger

    def close(self) -> None:
        """Write what is not written."""
        self._spool.custodian = Nobody()
        self._ledger.close()
