"""How every instance is answered and what becomes of it, whichever way it came in. Pure.

Statuses of C-STORE, PS3.4 Table B.2-1:

=======  =========================================  ==================================================
status   meaning                                    when
=======  =========================================  ==================================================
0x0000   success                                    durable, and nothing is wrong with it but single values
0xB007   warning: data set does not match SOP       durable, flawed: cut off or damaged structure, or no
         class                                      Study or Series Instance UID; both SOP UIDs agree
0xA700   refused: out of resources                  the disk is below its reserve or fails; nothing is kept
0xA900   error: data set does not match SOP class   class or instance UID of command and dataset differ;
                                                    nothing is kept, the sender still has it
0x0117   invalid object instance                    a UID of the command is missing, longer than 64, or no
                                                    visible ASCII; nothing is kept (PS3.7 C.5.11)
0x0111   duplicate SOP instance                     another instance of the UID in one visit; nothing is kept
0xC000   error: cannot understand                   no SOP Instance UID can be read; the bytes are kept
                                                    aside and reach the hub with their flaw
0xC001   error: cannot understand                   anything else went wrong here; nothing is kept
=======  =========================================  ==================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from gateway.dicom import tags
from gateway.errors import DataError, GatewayError, ResourceError
from gateway.model import Priority

READ = (
    "SOPClassUID",
    "SOPInstanceUID",
    "SpecificCharacterSet",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "InstanceNumber",
    "Modality",
    "PatientName",
    "PatientID",
    "AccessionNumber",
    "StudyDescription",
    "RequestedProcedurePriority",
)
"""Attributes that are read of each instance as it comes."""

WANTED = frozenset(tags.BY_KEYWORD[word].tag for word in READ)


class Status(IntEnum):
    """What a C-STORE is answered with."""

    SUCCESS = 0x0000
    FLAWED = 0xB007
    OUT_OF_RESOURCES = 0xA700
    MISMATCH = 0xA900
    NOT_UNDERSTOOD = 0xC000
    UNABLE = 0xC001  # anything else went wrong here
    DUPLICATE = 0x0111  # another instance of the same UID, PS3.7 C.5.10


def status_of(error: GatewayError) -> Status:
    """How a C-STORE that failed with `error` is answered."""
    if isinstance(error, ResourceError):
        return Status.OUT_OF_RESOURCES
    return Status.NOT_UNDERSTOOD if isinstance(error, DataError) else Status.UNABLE


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one dataset.

    Attributes:
        status: the answer, if it can be kept.
        keep: whether its bytes are kept.
        flaw: for the hub and the log; empty: none.
    """

    status: Status
    keep: bool
    flaw: str


def judge(command: tuple[str, str], dataset: tuple[str, str], study: str, series: str, flaw: str) -> Verdict:
    """Judge a dataset by its essential UIDs and by what the header reader says.

    Args:
        command: SOP class and instance UID of the C-STORE request.
        dataset: the same as the dataset says; empty where it cannot be read.
        study: Study Instance UID of the dataset, empty if there is none.
        series: likewise.
        flaw: of the header reader.
    """
    (told_class, told_instance), (own_class, own_instance) = command, dataset
    if not own_instance:
        return Verdict(Status.NOT_UNDERSTOOD, True, flaw or "no SOP Instance UID")
    if own_instance != told_instance or (own_class and own_class != told_class):
        return Verdict(Status.MISMATCH, False, "the dataset is of another SOP class or instance")
    missing = [
        name for name, value in (("SOP class", own_class), ("Study", study), ("Series", series)) if not value
    ]
    if missing:
        text = f"no {', '.join(missing)} UID"
        return Verdict(Status.FLAWED, True, f"{flaw}; {text}" if flaw else text)
    return Verdict(Status.FLAWED if flaw else Status.SUCCESS, True, flaw)


_URGENCY = {"STAT": Priority.STAT, "HIGH": Priority.URGENT}


def urgency(sender: Priority, requested: str) -> Priority:
    """The sooner of the sender's priority and the order's (0040,1003), PS3.3 C.4.11."""
    return min(sender, _URGENCY.get(requested.strip().upper(), sender))
