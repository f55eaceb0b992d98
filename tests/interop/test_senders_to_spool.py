"""Real senders and real files: what is sealed in the spool is what was on the line, byte for byte."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from pydicom import dcmread

from edge.config import Ingest, Sender
from gateway.dicom import transfer
from gateway.dicom.part10 import wrap
from tests.doubles.datasets import encode, sample, shared_data, shared_files
from tests.doubles.listeners import listening
from tests.interop.table import (
    REAL,
    by_outcome,
    config,
    made_table,
    page,
    real_files,
    send,
    table,
    with_empty,
)

DCMTK = pytest.mark.skipif(shutil.which("storescu") is None, reason="dcmtk is not installed")
SHARED = pytest.mark.skipif(
    shared_data() is None, reason="the folder of real files is not beside the checkout"
)
CT = "1.2.840.10008.5.1.4.1.1.2"
ROOT = Path(__file__).parents[2]

ODD = {
    "3gb-bulk-data-truncated": 0xB007,  # pixel data claims 3 GB, 98 kB are there
    "MR_truncated.dcm": 0xB007,  # the end of the pixel data is missing
    "rtplan_truncated.dcm": 0xB007,  # ends within a sequence
    "GDCMJ2K_TextGBR.dcm": 0x0000,
    "ExplVR_BigEndNoMeta.dcm": 0x0000,
    "ExplVR_LitEndNoMeta.dcm": 0x0000,
    "MR_small_padded.dcm": 0x0000,
    "badVR.dcm": 0x0000,  # a single bad value is for the hub's index to tell
    "SC_rgb_small_odd_big_endian.dcm": 0x0000,
    "reportsi_with_empty_number_tags.dcm": 0x0000,
    "UN_sequence.dcm": 0xC000,  # no SOP Instance UID can be read in any of these
    "empty_charset_LEI.dcm": 0xC000,
    "meta_missing_tsyntax.dcm": 0xC000,
    "nested_priv_SQ.dcm": 0xC000,
    "no_meta.dcm": 0xC000,
    "no_meta_group_length.dcm": 0xC000,
    "no_preamble_dicm_in_data": 0xC000,
    "not-dicom.dcm": 0xC000,
    "priv_SQ.dcm": 0xC000,
}
"""How each file that is broken on purpose is answered. Two hold no dataset at all and cannot be sent."""


def _environment() -> dict[str, str]:
    return {**os.environ, "TCP_NODELAY": "1"}  # without it dcmtk waits for delayed acknowledgements


@DCMTK
def test_storescu_and_echoscu(tmp_path):
    files = []
    for number, syntax in enumerate([transfer.EXPLICIT_LITTLE, transfer.IMPLICIT_LITTLE] * 3):
        path = tmp_path / f"{number}.dcm"
        data = encode(sample(os.urandom(1024), instance=f"1.2.3.{number}"), syntax)
        path.write_bytes(wrap(CT, f"1.2.3.{number}", syntax) + data)
        files.append(path)
    config = Ingest(senders=(Sender("SCANNER", "127.0.0.1"),))
    with listening(tmp_path / "edge", config) as world:
        port = str(world.listener.port)
        known = ["-aet", "SCANNER", "-aec", "TELERAD", "127.0.0.1", port]
        for command in (["echoscu", *known], ["storescu", "-R", *known, *map(str, files)]):
            subprocess.run(command, check=True, env=_environment(), timeout=30)
        stranger = subprocess.run(
            ["storescu", "-aet", "OTHER", "-aec", "TELERAD", "127.0.0.1", port, str(files[0])],
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert stranger.returncode != 0
        assert "Calling AE Title Not Recognized" in stranger.stderr
        kept = world.instances()
    assert len(kept) == len(files)
    for entry, data in kept:
        source = dcmread(tmp_path / f"{entry.sop_instance_uid.rpartition('.')[2]}.dcm")
        line = dcmread(io.BytesIO(wrap(CT, entry.sop_instance_uid, entry.transfer_syntax_uid) + data))
        assert line.PixelData == source.PixelData
        assert line == source
        assert hashlib.sha256(data).hexdigest() == entry.sha256


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Every real file sent: what became of each, and all that is on the disk then."""
    with listening(tmp_path_factory.mktemp("real"), config()) as world:
        return send(world, real_files()), world.everything_on_disk()


@SHARED
def test_every_real_file_is_kept_byte_for_byte(real):
    answers, disk = real
    for one in answers:
        assert one.status is not None, one.sent.name
        assert one.happened.startswith("kept byte for byte"), one.sent.name
        assert (one.status != 0) >= ("flaw" in one.happened), one.sent.name
        folder, _, name = one.sent.name.rpartition("/")
        if "odd" in folder.split("/"):
            assert one.status == ODD[name], name
    assert {Path(one.sent.name).name for one in answers if "odd" in one.sent.name.split("/")} == set(ODD)
    names = {text for one in answers if len(text := one.sent.instance.encode()) > 8}
    assert not [name for name in names if name in disk]


@SHARED
def test_the_table_of_real_files_in_the_documentation_is_what_happens(real):
    """``python -m tests.interop.table --real > docs/answers-real.md`` renews it."""
    answers, _ = real
    rows = by_outcome(with_empty(table(answers, "Real files")))
    assert (ROOT / "docs" / "answers-real.md").read_text() == page([rows], REAL)
    named = [f"{folder}/{name}" for folder, *_, names in rows.rows for name in names.split(", ")]
    folder = shared_data()
    assert sorted(named) == sorted(str(path.relative_to(folder)) for path in shared_files())


def test_the_table_in_the_documentation_is_what_happens():
    """``python -m tests.interop.table --made > docs/answers.md`` renews it."""
    found = made_table()
    assert (ROOT / "docs" / "answers.md").read_text() == page([found])
    assert {row[1] for row in found.rows} == {"0x0000", "0xB007", "0xA900", "0xC000"}
