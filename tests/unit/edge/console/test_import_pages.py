from dataclasses import replace
from datetime import timedelta
from io import BytesIO

import pytest
from aiohttp import FormData
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image
from pydicom import dcmread

from edge.acquire.desk import ImportDesk
from edge.config import Acquire
from edge.console.app import console_app
from edge.console.guard import passcode_of
from edge.console.sources import Sources
from edge.importing import KnownStudy
from edge.known import known
from edge.quality.inspector import Inspector
from edge.shown import ReportShown
from edge.spool.view import StudyFacts
from gateway.clock import rfc3339
from gateway.config import Bytes
from gateway.dicom import transfer
from gateway.dicom.part10 import wrap
from gateway.errors import UsageError
from tests.doubles.acquired import kept
from tests.doubles.datasets import encode
from tests.doubles.instances import ct
from tests.doubles.spools import SpoolWorld


@pytest.fixture
async def world(tmp_path):
    world = SpoolWorld(tmp_path / "data")
    yield world
    world.spool.close()


@pytest.fixture
async def desk(world):
    return ImportDesk(world.spool, world.clock, Acquire(media=(), upload=Bytes(50_000)), world.data)


def serving(world, **options):
    return TestClient(TestServer(console_app(world.spool, lambda: None, world.clock, **options)))


@pytest.fixture
async def client(world, desk):
    async with serving(world, sources=Sources(importer=desk)) as client:
        yield client


def form(*files, **fields):
    data = FormData(quote_fields=False, default_to_multipart=True)
    for name, value in fields.items():
        data.add_field(name, value)
    for number, file in enumerate(files):
        data.add_field("files", file, filename=f"<b>{number}.png")
    return data


def png():
    buffer = BytesIO()
    Image.linear_gradient("L").save(buffer, "PNG")
    return buffer.getvalue()


async def test_a_picture_with_its_form_is_imported(world, desk, client):
    fields = {"patient_name": "王^小东", "patient_id": "P1", "birth_date": "1970-01-02", "laterality": "L"}
    response = await client.post("/import/upload", data=form(png(), **fields), allow_redirects=False)
    assert response.status == 303
    running = await client.get(response.headers["Location"])
    assert running.headers["Refresh"]
    desk.run_waiting(lambda _done, _total: None)
    ended = await client.get(response.headers["Location"])
    assert "Refresh" not in ended.headers
    assert "done: 1 kept" in await ended.text()
    assert b"19700102" in kept(world)[0][1]
    listed = await (await client.get("/import?lang=zh")).text()
    assert "完成：保存 1 幅影像" in listed


STUDY, OTHER = "2.25.801", "2.25.802"


@pytest.fixture
async def choosing(world, desk):
    """A client of a page that knows a study with all there is to know, and one without a patient."""
    inspector = Inspector(world.clock, lambda _: None)
    one = ct(1, StudyInstanceUID=STUDY, PatientSex="F", PatientBirthDate="19700102", StudyID="S7")
    one.StudyDate, one.StudyTime, one.ReferringPhysicianName = "20250203", "040506.789", "Ref^Er"
    inspector.seen(STUDY, encode(one), transfer.EXPLICIT_LITTLE)
    world.receive(study=StudyFacts(STUDY, "<b>Li^Na</b>", "P-1", "ACC1", "Hand", "DX"))
    world.clock.advance(60)
    world.receive(number=2, study=StudyFacts(OTHER))
    sources = Sources(importer=desk, known=lambda: known(world.spool.view.studies(), inspector.said))
    async with serving(world, sources=sources) as client:
        yield client


CHOSEN = {
    "of": STUDY,
    "study": "same",
    "patient_name": "<b>Li^Na</b>",
    "patient_id": "P-1",
    "accession": "ACC1",
}


async def imported(client, desk, world, **fields):
    """The dataset made of one picture."""
    answer = await client.post("/import/upload", data=form(png(), **fields), allow_redirects=False)
    assert answer.status == 303, await answer.text()
    desk.run_waiting(lambda _done, _total: None)
    entry, data = next(pair for pair in kept(world) if pair[0].calling_ae == "UPLOAD")
    head = wrap(entry.sop_class_uid, entry.sop_instance_uid, entry.transfer_syntax_uid)
    return dcmread(BytesIO(head + data))


async def test_a_study_that_came_here_fills_in_patient_and_order(choosing):
    page = await (await choosing.get("/import")).text()
    assert page.index(OTHER) < page.index(STUDY), "the newest first"
    assert "&lt;b&gt;Li, Na&lt;/b&gt; · P-1 · DX · Hand · ACC1" in page
    assert 'name="study"' not in page
    page = await (await choosing.get(f"/import?of={STUDY}")).text()
    for field, value in (
        ("patient_name", "&lt;b&gt;Li^Na&lt;/b&gt;"),
        ("patient_id", "P-1"),
        ("birth_date", "1970-01-02"),
        ("accession", "ACC1"),
        ("description", "Hand"),
    ):
        assert f'name="{field}" value="{value}"' in page
    assert '<option value="F" selected>' in page
    assert '<option value="same" selected>' in page
    chinese = await (await choosing.get("/import?of=9.9&lang=zh")).text()
    assert "未设置检查申请列表" in chinese
    assert "selected" not in chinese.partition('id="of"')[2].partition("</select>")[0]


async def test_a_picture_joins_the_chosen_study(choosing, desk, world):
    made = await imported(choosing, desk, world, **CHOSEN)
    assert (made.StudyInstanceUID, made.StudyDate, made.StudyTime) == (STUDY, "20250203", "040506")
    assert (made.StudyID, made.ReferringPhysicianName) == ("S7", "Ref^Er")


async def test_a_picture_may_be_a_new_study_of_the_chosen_patient(choosing, desk, world):
    made = await imported(choosing, desk, world, **(CHOSEN | {"study": "new"}))
    assert made.StudyInstanceUID != STUDY
    assert (made.PatientID, made.StudyDate, made.StudyID) == ("P-1", "20261122", "")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"patient_id": "P-2"}, "Patient ID: not that of the chosen study"),
        ({"patient_name": "Li^Nan"}, "Name (family^given): not that"),
        ({"of": "2.25.999"}, "not known here now"),
    ],
)
async def test_another_patient_never_joins_a_study(choosing, changes, words):
    answer = await choosing.post("/import/upload", data=form(png(), **(CHOSEN | changes)))
    assert answer.status == 400
    assert words in await answer.text()


async def test_what_is_wrong_is_told_in_chinese_too(choosing):
    answer = await choosing.post(
        "/import/upload?lang=zh", data=form(png(), **(CHOSEN | {"patient_id": "P-2"}))
    )
    assert "患者编号与所选检查不一致" in await answer.text()


async def test_what_the_chosen_study_lacks_is_filled_in_by_hand(choosing, desk, world):
    fields = {"of": OTHER, "study": "same", "patient_name": "A^B", "patient_id": "7"}
    made = await imported(choosing, desk, world, **fields)
    assert (made.StudyInstanceUID, made.PatientID, made.StudyDate) == (OTHER, "7", "20261122")


async def test_names_of_files_are_shown_as_text(desk, client):
    response = await client.post("/import/upload", data=form(b"x"), allow_redirects=False)
    desk.run_waiting(lambda _done, _total: None)
    text = await (await client.get(response.headers["Location"])).text()
    assert "&lt;b&gt;0.png" in text
    assert "<b>0" not in text


@pytest.mark.parametrize(
    ("fields", "files", "status", "words"),
    [
        ({"patient_name": "A"}, [b"x"], 400, "Name and patient ID are needed"),
        ({"patient_name": "<i>A", "patient_id": "1", "sex": "<"}, [b"x"], 400, "Sex: not a value"),
        ({"patient_name": "A", "patient_id": "1" * 65}, [b"x"], 400, "Patient ID: at most 64 characters"),
        ({"patient_name": "A", "patient_id": "1", "kind": "x"}, [b"x"], 400, "What it shows: not a value"),
        ({}, [], 400, "No file"),
        ({}, [b"x" * 60_000], 413, "0 MB"),
        ({"patient_name": "x" * 2000}, [b"x"], 413, "MB"),
    ],
)
async def test_what_is_wrong_with_a_form_is_told(client, fields, files, status, words):
    response = await client.post("/import/upload", data=form(*files, more="", **fields))
    text = await response.text()
    assert response.status == status
    assert words in text
    assert 'role="alert"' in text
    assert "<i>" not in text


async def test_a_broken_upload_is_told(client):
    for kind, body in (("application/json", b"{}"), ("multipart/form-data; boundary=x", b"--y"),
                       ("multipart/form-data", b"--y")):  # fmt: skip
        response = await client.post("/import/upload", data=body, headers={"Content-Type": kind})
        assert response.status == 400


async def test_a_disc_that_is_not_offered_is_not_read(client):
    response = await client.post("/import/medium", data={"folder": "/etc"})
    assert response.status == 409
    assert (await client.get("/import/0123456789abcdef")).status == 404


async def test_other_pages_and_names_may_not_use_it(client):
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert (await client.post("/import/medium", data={}, headers=headers)).status == 403
    for host in ("evil.example", "rebound.example:8081", "a.b.c"):
        assert (await client.get("/status.json", headers={"Host": host})).status == 421
    assert (await client.get("/metrics", headers={"Host": "evil.example"})).status == 200
    for host in ("edge", "localhost:1", "192.0.2.7:8081", "[::1]:8081", "edge.local"):
        assert (await client.get("/", headers={"Host": host})).status == 200


async def test_a_configured_name_is_known(world):
    async with serving(world, names=("edge.hospital.example",)) as client:
        assert (await client.get("/", headers={"Host": "EDGE.hospital.example:8081"})).status == 200


async def test_without_an_importer_there_is_no_import(world):
    async with serving(world) as client:
        assert (await client.get("/import")).status == 404
        assert "/import" not in await (await client.get("/")).text()


async def test_the_pass_code_is_asked_for_once(world):
    async with serving(world, passcode="blue horse") as client:
        for path in ("/", "/status.json"):
            response = await client.get(path, allow_redirects=False)
            assert (response.status, response.headers["Location"]) == (303, "/login")
        assert (await client.get("/healthz")).status == 200
        assert (await client.post("/login", data={"passcode": "wrong"})).status == 403
        right = await client.post("/login", data={"passcode": "blue horse"}, allow_redirects=False)
        assert right.status == 303
        assert "HttpOnly" in right.headers["Set-Cookie"]
        assert (await client.get("/status.json")).status == 200
        for _ in range(4):
            assert (await client.post("/login", data={"passcode": "wrong"})).status == 403
        assert (await client.post("/login", data={"passcode": "blue horse"})).status == 429
        world.clock.advance(61)
        assert (await client.post("/login", data={"passcode": "blue horse"})).status == 200


async def test_an_empty_pass_code_lets_nobody_in(world, tmp_path):
    async with serving(world) as client:
        assert (await client.post("/login", data={"passcode": ""})).status == 403
    (tmp_path / "code").write_text("\n")
    for file in (tmp_path / "code", tmp_path / "none"):
        with pytest.raises(UsageError):
            passcode_of(file)
    (tmp_path / "code").write_text("abc\n")
    assert (passcode_of(tmp_path / "code"), passcode_of(None)) == ("abc", "")


async def test_what_else_is_known_is_shown(world):
    world.receive()
    now = world.clock.now()
    reports = [
        ReportShown("r1", "2.25.888", "acknowledged", rfc3339(now), ("PACS",)),
        ReportShown("r2-long-name", "", "refused", rfc3339(now), (), (("RIS", "no"),), "signature"),
    ]
    sources = Sources(
        reports=lambda: reports,
        certificate_until=lambda: now + timedelta(days=3),
        troubles=lambda: ["/srv/in: <gone>"],
    )
    async with serving(world, sources=sources) as client:
        text = await (await client.get("/?still=1")).text()
        facts = await (await client.get("/status.json")).json()
    assert "delivered 09:00" in text or "delivered " in text
    assert "signature; RIS: no" in text
    assert "3 days left" in text
    assert "/srv/in: &lt;gone&gt;" in text
    assert [one["state"] for one in facts["reports"]] == ["acknowledged", "refused"]
    assert facts["certificate_until"] == rfc3339(now + timedelta(days=3))


async def test_it_looks_again_by_itself_unless_told_not_to(world):
    async with serving(world) as client:
        assert (await client.get("/")).headers["Refresh"] == "10"
        assert "Refresh" not in (await client.get("/?still=1")).headers


ORDER = KnownStudy(
    study_uid="2.25.900",
    at="2026-11-22T08:30:00.000Z",
    patient_name="李^娜",
    patient_id="P-9",
    birth_date="19700102",
    sex="F",
    accession="A9",
    description="Hand",
    modality="DX",
    referring="Ref^Er",
    order=True,
    requested_procedure="RP9",
    scheduled_step="SPS9",
)


@pytest.fixture
async def ordering(world, desk):
    """A client of a page that knows two orders, of which one names no study, and a study that came."""
    world.receive(study=StudyFacts(STUDY, "Li^Na", "P-1", "ACC1", "Hand", "DX"))
    orders = [ORDER, replace(ORDER, study_uid="", patient_id="P-8", accession="A8")]
    sources = Sources(
        importer=desk, known=lambda: known(world.spool.view.studies(), lambda _: {}, orders), orders=True
    )
    async with serving(world, sources=sources) as client:
        yield client


def of_order(order, **more):
    return {
        "of": order.key,
        "study": "same",
        "patient_name": order.patient_name,
        "patient_id": order.patient_id,
        "accession": order.accession,
        **more,
    }


async def test_orders_are_offered_before_what_came(ordering):
    page = await (await ordering.get("/import")).text()
    assert page.index('label="Orders"') < page.index("P-9") < page.index('label="Studies that came here"')
    assert "Orders of the worklist" in page
    chinese = await (await ordering.get("/import?lang=zh")).text()
    assert 'label="检查申请"' in chinese
    chosen = await (await ordering.get("/import", params={"of": ORDER.key, "lang": "en"})).text()
    for field, value in (("patient_name", "李^娜"), ("birth_date", "1970-01-02"), ("accession", "A9")):
        assert f'name="{field}" value="{value}"' in chosen
    assert '<option value="DX" selected>' in chosen
    assert "the order 李娜" in chosen


async def test_a_picture_fulfils_the_chosen_order(ordering, desk, world):
    made = await imported(ordering, desk, world, **of_order(ORDER))
    assert (made.StudyInstanceUID, made.AccessionNumber, made.ReferringPhysicianName) == (
        "2.25.900",
        "A9",
        "Ref^Er",
    )
    (requested,) = made.RequestAttributesSequence
    assert (requested.RequestedProcedureID, requested.ScheduledProcedureStepID) == ("RP9", "SPS9")
    assert made.StudyDate == "20261122"
    page = await (await ordering.get("/import")).text()
    assert page.count("P-9") == 1, "it is a study that came, and no order any more"
    assert page.index("came here") < page.index("P-9")


async def test_an_order_without_a_study_makes_one(ordering, desk, world):
    order = replace(ORDER, study_uid="", patient_id="P-8", accession="A8")
    made = await imported(ordering, desk, world, **of_order(order))
    assert made.StudyInstanceUID.startswith("2.25.")
    assert made.RequestAttributesSequence[0].RequestedProcedureID == "RP9"


async def test_another_patient_never_gets_the_order(ordering):
    answer = await ordering.post("/import/upload", data=form(png(), **of_order(ORDER, patient_name="Wu^Li")))
    assert answer.status == 400


async def test_a_new_study_of_the_patient_names_no_order(ordering, desk, world):
    made = await imported(ordering, desk, world, **of_order(ORDER, study="new"))
    assert "RequestAttributesSequence" not in made
    assert made.StudyInstanceUID != "2.25.900"
