import asyncio
import json
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from edge.acquire.desk import ASKED, NO_FORM, ImportDesk
from edge.config import Acquire
from edge.importing import Form, Upload
from gateway.errors import Malformed, Refused
from tests.doubles.acquired import kept, notices, part10

FORM = Form(patient_name="王^小东", patient_id="P-1")


@pytest.fixture
def media(tmp_path):
    folder = tmp_path / "media"
    (folder / "user" / "STICK").mkdir(parents=True)
    (folder / "plain").mkdir()
    (folder / "user" / "STICK" / "DICOMDIR").write_bytes(b"")
    (folder / "user" / "STICK" / "IM1").write_bytes(part10())
    return folder


@pytest.fixture
def desk(world, media):
    return ImportDesk(world.spool, world.clock, Acquire(media=(media, Path("/nowhere"))), world.data)


def picture():
    buffer = BytesIO()
    Image.linear_gradient("L").save(buffer, "PNG")
    return buffer.getvalue()


def ignore(done, total):
    pass


def test_media_are_what_is_mounted_or_has_a_directory(desk, media):
    assert desk.media() == (media / "user" / "STICK",)


def test_only_media_are_read_from_the_page(desk, media, tmp_path):
    for folder in (tmp_path, Path("/etc"), media / "plain", media / "user" / "STICK" / ".." / ".." / "plain"):
        with pytest.raises(Refused):
            desk.start_folder(folder)
    job = desk.start_folder(media / "user" / "STICK")
    desk.run_waiting(ignore)
    assert (job.kept, job.fault) == (1, "")
    assert job.ended_at


def test_pictures_need_a_form_and_dicom_does_not(world, desk):
    files = [Upload("a.dcm", part10()), Upload("b.png", picture()), Upload("c.png", b"x")]
    without = desk.start_upload(files, None)
    desk.run_waiting(ignore)
    assert (without.kept, without.refused) == (1, 2)
    assert without.problems[0] == f"b.png: {NO_FORM}"
    full = desk.start_upload(files, FORM)
    desk.run_waiting(ignore)
    assert (full.kept, full.refused, len(full.studies)) == (2, 1, 2)
    (made,) = [notice.body for notice in notices(world) if "made_of" in notice.body]
    ((uid, digest),) = made["made_of"].items()
    entry = next(entry for entry, _ in kept(world) if entry.sop_instance_uid == uid)
    assert (entry.calling_ae, len(digest)) == ("UPLOAD", 64)


def test_a_bad_form_or_nothing_is_told_at_once(desk):
    with pytest.raises(Malformed, match="no file"):
        desk.start_upload([], FORM)
    with pytest.raises(Malformed, match="sex"):
        desk.start_upload([Upload("a", b"")], Form(patient_name="A", patient_id="1", sex="?"))
    assert desk.jobs() == ()


def test_a_full_disk_ends_the_import_with_its_reason(world, desk):
    world.spool._budget = type(world.spool._budget)(10**18)
    job = desk.start_upload([Upload("a.dcm", part10())], None)
    desk.run_waiting(ignore)
    assert "disk" in job.fault or "reserve" in job.fault


async def test_a_running_edge_does_what_the_command_asks_for(world, desk, media):
    asked = world.data / ASKED
    (asked / "ab.ask").write_text(json.dumps({"folder": str(media / "user")}))
    task = asyncio.create_task(desk.run())
    for _ in range(100):
        await asyncio.sleep(0.05)
        with suppress(OSError, ValueError):
            if json.loads((asked / "ab.told").read_text())["ended_at"]:
                break
    told = json.loads((asked / "ab.told").read_text())
    assert (told["kept"], told["total"]) == (1, 1)
    assert not (asked / "ab.ask").exists()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def test_jobs_are_remembered_newest_first(desk):
    for number in range(25):
        desk.start_upload([Upload(str(number), b"")] * (number + 1), None)
    assert [job.place for job in desk.jobs()][:2] == ["25", "24"]
    assert len(desk.jobs()) == 20
