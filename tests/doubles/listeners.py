"""A running DICOM listener on a port of the operating system's choice, and a sender of exact bytes."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import build_context

from edge.config import Ingest
from edge.ingest.acceptor.house import QUIET_SECONDS
from edge.ingest.acceptor.processes import TOGETHER_SECONDS
from edge.ingest.listener import DicomListener
from gateway.model import ParcelId
from tests.doubles.spools import SpoolWorld

PROCESSES = 0
"""Acceptor processes where a test does not say; changed by tests that hold for both ways."""


def until(condition: Callable[[], object], seconds: float = 5) -> None:
    """Wait for it; fail if it does not come in time."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


class ListeningWorld(SpoolWorld):
    """A spool with a listener in front."""

    def listen(self, config: Ingest | None = None) -> DicomListener:
        self.closed: list[dict[str, Any]] = []
        config = replace(config or Ingest(open=True), host="127.0.0.1", port=0)
        config = replace(config, processes=config.processes if config.processes is not None else PROCESSES)
        self.listener = DicomListener(config, self.spool, self.clock, self.closed.append)
        self.listener.start()
        return self.listener

    def seal_all(self) -> list[ParcelId]:
        """Sign everything, in order; the parcels."""
        sealed = []
        while waiting := self.spool._journal.to_pack(1):
            sealed.append(self.packer.seal(waiting[0]).parcel_id)
        return sealed

    def instances(self) -> list[tuple[Any, bytes]]:
        """Entry and dataset bytes of every instance in the spool."""
        if self.listener.pids:  # they have told of it, but are not heard yet
            time.sleep(TOGETHER_SECONDS + 3 * QUIET_SECONDS)
        found = []
        for parcel in self.seal_all():
            manifest, datasets = self.content(parcel)
            found += list(zip(manifest.instances, datasets, strict=True))
        return found


@contextmanager
def listening(folder: Path, config: Ingest | None = None) -> Iterator[ListeningWorld]:
    world = ListeningWorld(folder / "data")
    world.listen(config)
    try:
        yield world
    finally:
        world.listener.stop(5)
        world.spool.close()


class ExactSender:
    """Sends dataset bytes as they are: no parsing, no re-encoding."""

    def __init__(
        self,
        port: int,
        contexts: Sequence[tuple[str, str]],
        *,
        calling: str = "CT1",
        called: str = "TELERAD",
        **options: Any,
    ) -> None:
        pairs = [build_context(UID(sop), UID(syntax)) for sop, syntax in dict.fromkeys(contexts)]
        self.entity = AE(ae_title=calling)

        def without_delay(event: Any) -> None:
            self.raw = event.assoc.dul.socket.socket
            self.raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        options.setdefault("evt_handlers", [(evt.EVT_CONN_OPEN, without_delay)])
        self.association = self.entity.associate(
            "127.0.0.1", port, contexts=pairs, ae_title=called, **options
        )

    def send(self, sop_class: str, instance: str, syntax: str, data: bytes) -> int | None:
        """The status; None if the context was not accepted."""
        context = next(
            (
                one
                for one in self.association.accepted_contexts
                if (one.abstract_syntax, one.transfer_syntax[0]) == (sop_class, syntax)
            ),
            None,
        )
        if context is None:
            return None
        request = C_STORE()
        request.MessageID = 1
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = sop_class, instance
        request.Priority = 2
        request.DataSet = BytesIO(data)
        checkpoint = self.association._reactor_checkpoint
        checkpoint.clear()
        # Or its own loop takes the answer. `_is_paused`, which pynetdicom itself asks, is set a moment too early.
        while not checkpoint._cond._waiters:
            time.sleep(0.001)
        self.association.dimse.send_msg(request, context.context_id)
        _, answer = self.association.dimse.get_msg(block=True)
        checkpoint.set()
        return None if answer is None else int(answer.Status)

    def release(self) -> None:
        self.association.release()
        self.close()

    def close(self) -> None:
        """Whatever became of it, pynetdicom does not always close its socket."""
        if self.association.is_established:
            self.association.abort()
        self.raw.close()
