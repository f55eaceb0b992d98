"""Asks the hospital's RIS for its orders (Modality Worklist SCU, PS3.4 Annex K), for pictures and documents.

What was heard last stays when the RIS is away, and over a restart as the page's studies do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pynetdicom import AE, _config

from edge.config import OrderList
from edge.dicom_node import Node, associate
from edge.importing import KnownStudy
from gateway.clock import Clock, rfc3339
from gateway.dicom import tags, text, transfer
from gateway.errors import Malformed, Unavailable
from gateway.log import logger
from gateway.model import uid

# Names belong into no log; and to be logged, values are decoded before we can see their bytes.
_config.LOG_RESPONSE_IDENTIFIERS = False

WORKLIST = "1.2.840.10008.5.1.4.31"
"""Modality Worklist Information Model – FIND."""

SYNTAXES = (transfer.EXPLICIT_LITTLE, transfer.IMPLICIT_LITTLE)
MOST = 500
"""Orders that are kept; of more, the RIS is told to stop."""

CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 15.0
MATCHED = "ScheduledProcedureStepStartDate"
STEP = (
    "Modality",
    "ScheduledStationAETitle",
    MATCHED,
    "ScheduledProcedureStepStartTime",
    "ScheduledProcedureStepDescription",
    "ScheduledProcedureStepID",
)
"""Return keys of a scheduled procedure step (PS3.4 Table K.6-1)."""

ORDER = (
    "AccessionNumber",
    "ReferringPhysicianName",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "RequestedProcedureDescription",
    "RequestedProcedureID",
)
"""Return keys beside it."""

NAMES = ("PatientName", "ReferringPhysicianName")
SEXES = ("M", "F", "O")
PENDING, SUCCESS = (0xFF00, 0xFF01), 0x0000

log = logger("edge.acquire")


class Worklist:
    """Keeps the orders of some days around today.

    Args:
        config: of the RIS.
        calling: our AE title.
        clock: the time.

    Attributes:
        fault: why they could not be asked for last, for the page; empty if they could.
    """

    def __init__(self, config: OrderList, calling: str, clock: Clock) -> None:
        self._config, self._calling, self._clock = config, calling, clock
        self._orders: tuple[KnownStudy, ...] = ()
        self.fault = ""

    def orders(self) -> Sequence[KnownStudy]:
        """What was heard last, the earliest first."""
        return self._orders

    def remember(self, orders: Sequence[KnownStudy]) -> None:
        """What was heard before a restart, until something is heard."""
        self._orders = self._orders or tuple(orders)

    async def run(self) -> None:
        """Ask for ever. A service: ends only by cancellation."""
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(self._config.poll)

    def look(self) -> None:
        """Ask once. Blocks. If nobody answers, what is known stays."""
        try:
            found = list(self._asked())
        except Unavailable as error:
            if not self.fault:
                log.warning("no orders", reason=str(error))
            self.fault = f"the worklist of orders cannot be asked: {error}"
            return
        self.fault = ""
        self._orders = tuple(sorted(found, key=lambda one: (one.at, one.patient_id)))

    def _asked(self) -> Iterator[KnownStudy]:
        config = self._config
        entity = AE(self._calling)
        entity.connection_timeout = entity.acse_timeout = CONNECT_SECONDS
        entity.dimse_timeout = entity.network_timeout = ANSWER_SECONDS
        entity.add_requested_context(WORKLIST, list(SYNTAXES))
        node = Node(config.host, config.port, config.ae_title, config.tls)
        association = associate(entity, node)
        try:
            yield from self._answers(association, node.place)
        finally:
            if association.is_established:
                association.release()

    def _answers(self, association: Any, place: str) -> Iterator[KnownStudy]:
        count = 0
        try:
            for status, found in association.send_c_find(self._question(), WORKLIST):
                code = status.get("Status")
                if code is None:
                    raise Unavailable(f"{place} gave no whole answer")
                if code == SUCCESS:
                    return
                if code not in PENDING:
                    raise Unavailable(f"{place} answered the question for orders with 0x{code:04X}")
                if found is not None and (order := _order(found, self._config.charset)) is not None:
                    yield order
                    count += 1
                if count >= MOST:
                    log.warning("more orders than are kept", most=MOST)
                    association.abort()
                    return
        except ValueError as error:
            raise Unavailable(f"{place} has no worklist of orders") from error

    def _question(self) -> Dataset:
        today, around = self._clock.now().astimezone(), timedelta(days=self._config.days)
        step = Dataset()
        for keyword in STEP:
            setattr(step, keyword, "")
        setattr(step, MATCHED, f"{today - around:%Y%m%d}-{today + around:%Y%m%d}")
        asked = Dataset()
        asked.SpecificCharacterSet = "ISO_IR 192"
        for keyword in ORDER:
            setattr(asked, keyword, "")
        asked.ScheduledProcedureStepSequence = [step]
        return asked


def _order(found: Dataset, charset: str | None) -> KnownStudy | None:
    """An answer, for the form; None: it names no patient."""
    declared = text.terms(_bytes(found, "SpecificCharacterSet"))
    steps = found.get("ScheduledProcedureStepSequence") or [Dataset()]

    def said(keyword: str, of: Dataset = found) -> str:
        plain = text.decode(_bytes(of, keyword), declared, charset, name=keyword in NAMES).text
        return "".join(letter for letter in plain if letter.isprintable()).strip()

    name, patient = said("PatientName"), said("PatientID")
    if not name and not patient:
        return None
    sex = said("PatientSex").upper()
    return KnownStudy(
        study_uid=_uid(said("StudyInstanceUID")),
        at=_moment(said(MATCHED, steps[0]), said("ScheduledProcedureStepStartTime", steps[0])),
        patient_name=name,
        patient_id=patient,
        birth_date=said("PatientBirthDate")[:8],
        sex=sex if sex in SEXES else "",
        accession=said("AccessionNumber"),
        description=said("RequestedProcedureDescription")
        or said("ScheduledProcedureStepDescription", steps[0]),
        modality=said("Modality", steps[0]).upper(),
        referring=said("ReferringPhysicianName"),
        order=True,
        requested_procedure=said("RequestedProcedureID"),
        scheduled_step=said("ScheduledProcedureStepID", steps[0]),
    )


def _bytes(dataset: Dataset, keyword: str) -> bytes:
    """The bytes of a value as they came: their character sets are ours to read (`gateway.dicom.text`)."""
    tag = Tag(tags.CHARACTER_SET if keyword == "SpecificCharacterSet" else keyword)
    if tag not in dataset:
        return b""
    value = dataset.get_item(tag).value
    return value if isinstance(value, bytes) else str(value or "").encode()


def _uid(value: str) -> str:
    try:
        return uid(value)
    except Malformed:
        return ""


def _moment(date: str, time: str) -> str:
    """When it is scheduled; a time that is none is midnight, a day that is none was long ago."""
    for words, form in ((f"{date} {time[:4]}", "%Y%m%d %H%M"), (date, "%Y%m%d")):
        try:
            return rfc3339(datetime.strptime(words, form).astimezone())
        except ValueError:
            continue
    return rfc3339(datetime(1970, 1, 2).astimezone())
