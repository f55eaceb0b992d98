import io
import shutil
import subprocess

import pydicom
import pytest

from gateway.dicom import transfer
from gateway.dicom.part10 import split, wrap
from tests.doubles.datasets import encode, sample

SYNTAXES = [
    transfer.IMPLICIT_LITTLE,
    transfer.EXPLICIT_LITTLE,
    transfer.EXPLICIT_BIG,
    transfer.DEFLATED_LITTLE,
]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_wrapped_bytes_are_a_file_for_pydicom_and_dcmdump(syntax, tmp_path):
    data = encode(sample(), syntax)
    file = wrap("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4", syntax) + data
    dataset = pydicom.dcmread(io.BytesIO(file))
    assert dataset.file_meta.TransferSyntaxUID == syntax
    assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID == "1.2.3.4"
    assert dataset.Rows == 32
    if shutil.which("dcmdump"):
        path = tmp_path / "wrapped.dcm"
        path.write_bytes(file)
        done = subprocess.run(["dcmdump", "-q", path], capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_split_gives_back_the_exact_dataset(syntax):
    data = encode(sample(), syntax)
    parts = split(wrap("1.2.3", "1.2.3.4", syntax) + data)
    assert bytes(parts.dataset) == data
    assert (parts.transfer_syntax_uid, parts.sop_class_uid, parts.sop_instance_uid) == (
        syntax,
        "1.2.3",
        "1.2.3.4",
    )
    assert parts.flaw == parts.preamble == ""


@pytest.mark.parametrize("syntax", SYNTAXES[:3])
def test_without_any_header_the_syntax_is_told_from_the_bytes(syntax):
    data = encode(sample(), syntax)
    parts = split(data)
    assert bytes(parts.dataset) == data
    assert parts.transfer_syntax_uid == syntax
    assert "no file meta information" in parts.flaw


def test_dicm_inside_a_value_is_not_a_prefix():
    data = encode(sample(), transfer.EXPLICIT_LITTLE)
    disguised = data[:128] + b"DICM" + data[132:]
    assert bytes(split(disguised).dataset) == disguised


@pytest.mark.parametrize("junk", [b"", b"DICM", bytes(128) + b"DICM", bytes(128) + b"DICM\2\0", b"\2\0" * 90])
def test_junk_is_a_flaw(junk):
    assert split(junk).flaw


@pytest.mark.parametrize(
    ("start", "word"),
    [(b"MZ", "Windows"), (b"\x7fELF", "Linux"), (b"<html>", "web page"), (b"?", "not empty")],
)
def test_polyglot_preambles_are_named(start, word):
    file = wrap("1.2.3", "1.2.3.4", transfer.EXPLICIT_LITTLE)
    assert word in split(start + file[len(start) :]).preamble
    assert split(b"II*\0" + file[4:]).preamble == ""
