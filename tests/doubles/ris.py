"""A RIS with a modality worklist, by pynetdicom's own server: PS3.4 Annex K over a true association."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt

from edge.acquire.worklist import WORKLIST

PENDING, SUCCESS = 0xFF00, 0x0000


def order(number: int, **values: Any) -> Dataset:
    """One order of today; `values` by keyword, those of its step among them."""
    step = Dataset()
    step.Modality, step.ScheduledStationAETitle = "DX", "EDGE"
    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = (
        "20250303",
        f"{8 + number:02}0000",
    )
    step.ScheduledProcedureStepDescription, step.ScheduledProcedureStepID = "Step", f"SPS{number}"
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.AccessionNumber, made.ReferringPhysicianName = f"A{number}", "Ref^Er"
    made.PatientName, made.PatientID = f"王^小东{number}", f"P-{number}"
    made.PatientBirthDate, made.PatientSex = "19700102", "F"
    made.StudyInstanceUID = f"2.25.700{number}"
    made.RequestedProcedureDescription, made.RequestedProcedureID = "手正位", f"RP{number}"
    made.ScheduledProcedureStepSequence = [step]
    for keyword, value in values.items():
        setattr(step if keyword in step else made, keyword, value)
    return made


@contextmanager
def ris(
    orders: Sequence[Dataset],
    status: int = SUCCESS,
    seen: Callable[[Any], object] = lambda _: None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[int]:
    """Answers every question with all `orders`; the port it listens on.

    Args:
        orders: what it has.
        status: with which it ends.
        seen: told of every request.
        tls: with which it serves.
    """

    def find(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        seen(event)
        for one in orders:
            if event.is_cancelled:
                return
            yield PENDING, one
        if status != SUCCESS:
            yield status, None

    entity = AE(ae_title="RIS")
    entity.add_supported_context(WORKLIST)
    handlers: list[Any] = [(evt.EVT_C_FIND, find)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers, ssl_context=tls)
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
