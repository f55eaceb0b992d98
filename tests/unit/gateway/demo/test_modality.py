"""The demo's scanner sends again what was not answered, as scanners do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pynetdicom import AE, evt

from gateway.demo import modality
from gateway.errors import Unavailable
from tests.doubles.acquired import part10


class Receiver:
    """A Storage SCP that breaks the association instead of answering, as often as it is told."""

    def __init__(self, breaks: int) -> None:
        self.breaks, self.kept, self.lock = breaks, [], threading.Lock()

    def store(self, event: evt.Event) -> int:
        with self.lock:
            if len(self.kept) == 2 and self.breaks:
                self.breaks -= 1
                event.assoc.abort()
                return 0xC000
            self.kept.append(event.request.AffectedSOPInstanceUID)
            return 0

    @contextmanager
    def listening(self, samples: list[modality.Sample]) -> Iterator[int]:
        entity = AE(ae_title="EDGE")
        for sample in samples:
            entity.add_supported_context(sample.sop_class_uid, sample.transfer_syntax_uid)
        server = entity.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self.store)]
        )
        try:
            yield server.socket.getsockname()[1]
        finally:
            server.shutdown()


@pytest.fixture
def samples(tmp_path: Path) -> list[modality.Sample]:
    for number in range(4):
        (tmp_path / f"{number}.dcm").write_bytes(part10(f"1.2.3.{number + 1}"))
    found, _ = modality.read_samples(sorted(tmp_path.iterdir()))
    return found


def test_what_was_not_answered_is_sent_again(samples: list[modality.Sample]) -> None:
    receiver, told = Receiver(1), []
    with receiver.listening(samples) as port:
        answers = modality.send(samples, "127.0.0.1", port, "EDGE", told.append)
    assert [one.sample for one in answers] == samples
    assert told == answers
    assert [one.status for one in answers] == [0] * 4
    assert receiver.kept == [one.sop_instance_uid for one in samples]


def test_where_nothing_is_answered_it_gives_up(samples: list[modality.Sample]) -> None:
    receiver = Receiver(10)
    with receiver.listening(samples) as port, pytest.raises(Unavailable, match="middle of a C-STORE"):
        modality.send(samples, "127.0.0.1", port, "EDGE", lambda _: None)
    assert len(receiver.kept) == 2
