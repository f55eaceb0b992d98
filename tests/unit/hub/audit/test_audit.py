"""The trail in the form it leaves in, to a repository that runs; searched; and as a table."""

from __future__ import annotations

import asyncio
import base64
import csv
import io
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from gateway.backoff import Backoff
from gateway.clock import rfc3339
from hub.audit import sheet
from hub.audit.events import KINDS
from hub.audit.exporter import Exporter, unacknowledged
from hub.audit.exporter import Repository as Where
from hub.audit.message import Source, audit_message
from hub.audit.search import PAGE, AuditSearch, Question
from hub.audit.syslog import framed, syslog_message
from hub.record import Deed
from hub.tables.audit import audit_events, audit_marks
from hub.trail import AuditTrail, row_of
from tests.doubles.audit_repository import Repository
from tests.doubles.audit_schema import faults
from tests.doubles.people import Hub, open_hub
from tests.doubles.tls_pair import tls_pair

SOURCE = Source("hub", "Hospital <1>", "https://hub.example:8443")
GOLDEN = Path(__file__).parents[3] / "vectors" / "audit"
HEADER = re.compile(rb"<(8[45])>1 (\S+) (\S+) telerad (\d+) IHE\+RFC-3881 - \xef\xbb\xbf(<.*)", re.DOTALL)


def row(event: str, **more: Any) -> dict[str, Any]:
    return row_of(Deed(event, **more), "2026-11-26T08:00:00.000000Z")


FULL = {
    "person": "chen",
    "role": "reader",
    "address": "192.0.2.7",
    "site": "H001",
    "study_uid": "1.2.3",
    "patient_id": "P<7>&\"'",
    "detail": {"reason": "=1+1 <b>&\u2028\x00", "number": 3},
}


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    opened = await open_hub(tmp_path)
    yield opened
    await opened.database.close()


@pytest.mark.parametrize("event", [*sorted(KINDS), "what-nobody-knows"])
@pytest.mark.parametrize("more", [FULL, {}, {"site": "H001"}, {"person": "chen", "refused": True}], ids=len)
def test_every_deed_is_a_message_of_the_schema(event: str, more: dict[str, Any]) -> None:
    assert faults(audit_message(row(event, **more), SOURCE)) == []


@settings(max_examples=60, deadline=None)
@given(st.text(), st.text(), st.dictionaries(st.text(), st.text()))
def test_whatever_people_type_stays_text(person: str, patient: str, detail: dict[str, str]) -> None:
    deed = row("study-opened", person=person, study_uid="1.2.3", patient_id=patient, detail=detail)
    message = audit_message(deed, SOURCE)
    assert [fault for fault in faults(message) if "ID=''" not in fault] == []
    assert len(ET.fromstring(message).findall("ActiveParticipant")) <= 2


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ("study-received", "110104"),
        ("study-opened", "110103"),
        ("login", "110114"),
        ("login-refused", "110114"),
        ("logout", "110114"),
        ("break-glass", "110113"),
        ("account-changed", "110113"),
        ("report-exported", "110106"),
        ("audit-used", "110101"),
        ("hub-started", "110100"),
        ("query", "110112"),
        ("report-signed", "110103"),
    ],
)
def test_each_deed_is_the_event_of_the_standard(event: str, code: str) -> None:
    root = ET.fromstring(audit_message(row(event, **FULL), SOURCE))
    told = root.find("EventIdentification/EventID")
    assert told is not None
    assert (told.get("csd-code"), told.get("codeSystemName")) == (code, "DCM")


def test_an_opened_study_says_who_where_and_which() -> None:
    root = ET.fromstring(audit_message(row("study-opened", **FULL), SOURCE))
    person, application = root.findall("ActiveParticipant")
    assert (person.get("UserID"), person.get("NetworkAccessPointID")) == ("chen", "192.0.2.7")
    assert (person.get("UserIsRequestor"), application.get("UserIsRequestor")) == ("true", "false")
    study, patient = root.findall("ParticipantObjectIdentification")
    assert (study.get("ParticipantObjectID"), study.find("*").get("csd-code")) == ("1.2.3", "110180")  # type: ignore[union-attr]
    assert (patient.get("ParticipantObjectID"), patient.get("ParticipantObjectTypeCode")) == ("P<7>&\"'", "1")
    reason = next(one for one in study.findall("ParticipantObjectDetail") if one.get("type") == "reason")
    assert base64.b64decode(reason.get("value", "")).decode() == FULL["detail"]["reason"]  # type: ignore[index]


def test_a_message_is_one_of_rfc_5424_framed_as_rfc_5425_wants() -> None:
    made = syslog_message(
        b"<x/>", at="2026-11-26T08:00:00.000000Z", host="hub 1\n", process="7", refused=True
    )
    assert made == (b"<84>1 2026-11-26T08:00:00.000000Z hub1 telerad 7 IHE+RFC-3881 - \xef\xbb\xbf<x/>")
    assert framed(made) == str(len(made)).encode() + b" " + made


@asynccontextmanager
async def exporting(hub: Hub, client: Any, port: int) -> AsyncIterator[None]:
    exporter = Exporter(
        hub.database, Where("localhost", port, client), SOURCE, look=0.02, backoff=Backoff(0.05, 0.1)
    )
    task = asyncio.create_task(exporter.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def marked(hub: Hub) -> int:
    async with hub.database.reading() as connection:
        return int((await connection.execute(select(func.max(audit_marks.c.position)))).scalar() or 0)


async def until_marked(hub: Hub, position: int) -> None:
    """Wait until the repository has taken everything up to `position`."""
    for _ in range(1_000):
        if await marked(hub) == position:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"the mark stays at {await marked(hub)}")


def people(repository: Repository) -> list[str]:
    found = []
    for message in repository.messages:
        header = HEADER.fullmatch(message)
        assert header, message[:200]
        assert faults(header[5]) == []
        root = ET.fromstring(header[5])
        found.append(root.find("ActiveParticipant").get("UserID", ""))  # type: ignore[union-attr]
    return found


async def test_the_repository_is_told_everything_in_order_though_it_was_away_first(
    hub: Hub, tmp_path: Path
) -> None:
    server, client, _ = tls_pair(tmp_path)
    trail, repository = AuditTrail(hub.database, hub.clock), Repository(server)
    async with exporting(hub, client, repository.port):
        for number in range(3):
            await trail.note(Deed("login", person=f"p{number}"))
        await asyncio.sleep(0.2)
        assert await marked(hub) == 0, "it is away: nothing counts as taken"
        await repository.start()
        await repository.until(3)
        await trail.note(Deed("logout", person="p3"))
        await repository.until(4)
        await repository.stop()
        await trail.note(Deed("login", person="p4"))
        await asyncio.sleep(0.1)
        await repository.start()
        await until_marked(hub, 5)
    told = people(repository)
    assert list(dict.fromkeys(told)) == [f"p{number}" for number in range(5)]
    assert repository.faults == []
    await repository.stop()


async def test_a_repository_that_hangs_up_loses_nothing(hub: Hub, tmp_path: Path) -> None:
    server, client, _ = tls_pair(tmp_path)
    trail, repository = AuditTrail(hub.database, hub.clock), Repository(server, hang_up_after=2)
    await repository.start()
    async with exporting(hub, client, repository.port):
        for number in range(6):
            await trail.note(Deed("login", person=f"p{number}"))
            await asyncio.sleep(0.1)
        await until_marked(hub, 6)
    await repository.stop()
    assert repository.connections > 1


async def test_what_waits_below_tls_is_not_acknowledged(tmp_path: Path) -> None:
    server, client, _ = tls_pair(tmp_path)
    size, done = 16 << 20, asyncio.Event()

    async def deaf(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.transport.abort()

    listening = await asyncio.start_server(deaf, "127.0.0.1", 0, ssl=server)
    _, writer = await asyncio.open_connection("127.0.0.1", listening.sockets[0].getsockname()[1])
    tcp = writer.transport
    await writer.start_tls(client, server_hostname="localhost")
    writer.write(bytes(size))
    await asyncio.sleep(0.2)
    assert unacknowledged(writer, tcp) > size // 2, "most of it is in this process still"
    done.set()
    writer.transport.abort()
    listening.close()


async def test_a_repository_of_another_authority_is_told_nothing(hub: Hub, tmp_path: Path) -> None:
    server, _, _ = tls_pair(tmp_path)
    (tmp_path / "other").mkdir()
    _, stranger, _ = tls_pair(tmp_path / "other")
    repository = Repository(server)
    await repository.start()
    await AuditTrail(hub.database, hub.clock).note(Deed("login", person="chen"))
    async with exporting(hub, stranger, repository.port):
        await asyncio.sleep(0.4)
    assert repository.messages == []
    assert await marked(hub) == 0
    await repository.stop()


async def test_the_auditor_finds_by_time_person_study_patient_and_event_page_by_page(hub: Hub) -> None:
    trail, search = AuditTrail(hub.database, hub.clock), AuditSearch(hub.database)
    await trail.note(Deed("study-opened", person="ann", study_uid="1.2.3", patient_id="P7"))
    hub.clock.advance(3600)
    middle = rfc3339(hub.clock.now())
    for _ in range(PAGE + 5):
        await trail.note(Deed("login", person="chen"))

    async def found(**asked: str) -> int:
        return len((await search.page(Question(**asked)))["events"])

    assert await found(person="ann") == await found(study="1.2.3") == await found(study="P7") == 1
    assert await found(event="study-opened", person="chen") == 0
    assert await found(until=middle) == 1
    first = await search.page(Question(since=middle))
    rest = await search.page(Question(since=middle, before=first["next"]))
    assert (len(first["events"]), len(rest["events"]), rest["next"]) == (PAGE, 5, None)
    ids = [one["id"] for one in first["events"] + rest["events"]]
    assert ids == sorted(set(ids), reverse=True)


HOSTILE = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", 'a,b"c', "张伟", "plain"]


def test_attack_21_csv_formula_injection() -> None:
    """Golden: whatever a person is called, a spreadsheet sees words."""
    lines = [sheet.head()]
    for number, name in enumerate(HOSTILE):
        event = dict.fromkeys(sheet.COLUMNS, "") | {
            "at": "2026-11-26T08:00:00.000000Z",
            "outcome": 0,
            "person": name,
            "patient_id": name,
            "detail": {"reason": name, "number": number},
        }
        lines.append(sheet.line(event))
    made = "".join(lines).encode()
    assert made == (GOLDEN / "formula.csv").read_bytes()
    for read in csv.reader(io.StringIO(made.decode("utf-8-sig"), newline="")):
        assert not any(field.lstrip(" ").startswith(sheet.FORMULA) for field in read)


@settings(max_examples=60, deadline=None)
@given(st.text())
def test_any_field_comes_back_as_it_was_and_never_as_a_formula(name: str) -> None:
    event = dict.fromkeys(sheet.COLUMNS, "") | {"person": name}
    (read,) = csv.reader(io.StringIO(sheet.line(event), newline=""))
    person = read[sheet.COLUMNS.index("person")]
    assert person in (name, "'" + name)
    assert not person.startswith(sheet.FORMULA)


def test_what_is_typed_is_cut_to_its_column_and_the_row_stays_small() -> None:
    made = row("login-refused", person="x" * 5000, address="y" * 500, detail={"z": "z" * 100_000})
    assert (len(made["person"]), len(made["address"])) == (64, 64)
    assert len(made["detail"]) < 100
    assert json.loads(made["detail"]) == {"cut": 100_009}


async def test_the_trail_only_grows(hub: Hub) -> None:
    trail = AuditTrail(hub.database, hub.clock)
    await trail.note(Deed("login", person="chen"))
    async with hub.database.reading() as connection:
        assert (await connection.execute(select(func.count()).select_from(audit_events))).scalar() == 1
