from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import Destination, DestinationKind
from edge.downlink.deliver import deliveries_of
from gateway.clock import SystemClock
from gateway.errors import UsageError

PACS = Destination("pacs", DestinationKind.DICOM, host="localhost", port=104, ae_title="PACS")
RIS = Destination("folder", DestinationKind.HL7, host="localhost", port=2575)


def test_there_is_always_a_folder(tmp_path: Path) -> None:
    made = deliveries_of([PACS, RIS], tmp_path, "TELERAD", SystemClock())
    assert [(one.name, one.kind) for one in made] == [
        ("default folder", "folder"),
        ("pacs", "dicom"),
        ("folder", "hl7"),
    ]
    own = Destination("mine", DestinationKind.FOLDER, path=tmp_path)
    assert [one.name for one in deliveries_of([own], tmp_path, "TELERAD", SystemClock())] == ["mine"]


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="same name"):
        deliveries_of([PACS, PACS], tmp_path, "TELERAD", SystemClock())
