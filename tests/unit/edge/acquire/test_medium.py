import hashlib
import os
import shutil
import subprocess
import warnings

import pytest
from pydicom import dcmread

from edge.acquire.medium import contents, take_all
from edge.acquire.visit import Source, Visit
from edge.importing import Job
from gateway.errors import StorageFull
from tests.doubles.acquired import dataset, kept, part10
from tests.doubles.datasets import shared_data


@pytest.fixture
def disc(tmp_path):
    if shutil.which("dcmmkdir") is None:
        pytest.skip("dcmtk is not installed")
    root = tmp_path / "disc"
    (root / "DICOM").mkdir(parents=True)
    for number in range(3):
        (root / "DICOM" / f"IM{number}").write_bytes(part10(f"1.2.3.{number + 4}"))
    names = [f"DICOM/IM{number}" for number in range(3)]
    subprocess.run(["dcmmkdir", "+id", ".", "-Nxc", "+I", *names], cwd=root, check=True, capture_output=True)
    (root / "viewer.exe").write_bytes(b"MZ" + b"\0" * 500)
    return root


def taken(world, root):
    job = Job("0" * 16, str(root), "now")
    visit = Visit(world.spool, world.clock, Source("MEDIUM", "medium"))
    take_all(root, visit, job)
    visit.close()
    return job


def fingerprint(root):
    return {
        str(file): (
            file.lstat().st_mtime_ns,
            file.lstat().st_atime_ns,
            hashlib.sha256(file.read_bytes()).hexdigest(),
        )
        for file in sorted(root.rglob("*"))
        if file.is_file()
    }


def test_a_disc_written_by_dcmtk_is_followed_and_not_changed(world, disc):
    before = fingerprint(disc)
    times = {file: os.lstat(file).st_atime_ns for file in disc.rglob("*") if file.is_file()}
    assert contents(disc).listed
    job = taken(world, disc)
    assert (job.total, job.done, job.kept, job.refused) == (3, 3, 3, 0)
    assert [data for _, data in kept(world)] == [dataset(f"1.2.3.{number}") for number in (4, 5, 6)]
    assert {file: os.lstat(file).st_atime_ns for file in times} == times
    assert {name: facts[::2] for name, facts in fingerprint(disc).items()} == {
        name: facts[::2] for name, facts in before.items()
    }


def test_an_iso_9660_disc_may_show_lower_case_and_versions(world, disc):
    (disc / "DICOM").rename(disc / "dicom")
    for file in (disc / "dicom").iterdir():
        file.rename(file.with_name(file.name.lower() + ";1"))
    assert contents(disc).listed
    assert taken(world, disc).kept == 3


def test_a_disc_without_its_directory_is_searched(world, disc):
    (disc / "DICOMDIR").unlink()
    found = contents(disc)
    assert (found.listed, len(found.files), found.skipped) == (False, 3, 1)
    assert taken(world, disc).kept == 3


def test_a_listed_file_that_is_missing_is_told_and_the_rest_searched(world, disc):
    (disc / "DICOM" / "IM1").unlink()
    (disc / "DICOM" / "EXTRA").write_bytes(part10("1.2.3.77"))
    job = taken(world, disc)
    assert (job.kept, job.refused) == (3, 1)
    assert job.problems == ["DICOM/IM1: listed in the DICOMDIR and not there"]


@pytest.mark.parametrize("path", [["..", "SECRET"], ["DICOM", "..", "..", "SECRET"], ["/etc/passwd"], ["LINK", "SECRET"],
                                  ["../SECRET"], ["DICOM"], [""] , ["A"] * 40])  # fmt: skip
def test_no_file_id_leads_out_of_the_medium(world, disc, tmp_path, path):
    (tmp_path / "SECRET").write_bytes(part10("9.9.9"))
    (disc / "LINK").symlink_to(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        directory = dcmread(disc / "DICOMDIR")
        for record in directory.DirectoryRecordSequence:
            if "ReferencedFileID" in record:
                record.ReferencedFileID = path
        directory.save_as(disc / "DICOMDIR")
    job = taken(world, disc)
    assert job.kept == 3  # by searching
    assert "9.9.9" not in {entry.sop_instance_uid for entry, _ in kept(world)}


def test_importing_again_is_harmless(world, disc):
    taken(world, disc)
    taken(world, disc)
    assert len({entry.sha256 for entry, _ in kept(world)}) == 3


def test_one_unreadable_file_costs_itself_alone(world, disc):
    (disc / "DICOM" / "IM1").write_bytes(part10()[:200])
    job = taken(world, disc)
    assert (job.kept, job.done) == (2, 3)
    assert job.problems


def test_a_full_disk_stops_the_import(world, disc):
    world.spool._budget = type(world.spool._budget)(10**18)
    with pytest.raises(StorageFull):
        taken(world, disc)


def test_the_real_dicomdirs_are_followed(world):
    folder = shared_data()
    if folder is None:
        pytest.skip("no ../shared/data here")
    root = folder / "dicomdir"
    found = contents(root)
    assert found.files
    job = taken(world, root)
    assert job.kept == len(kept(world)) > 0
