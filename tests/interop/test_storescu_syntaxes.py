"""dcmtk's storescu with every transfer syntax it can propose: what is kept is what the file holds."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from edge.config import Ingest
from gateway.dicom import transfer
from gateway.dicom.part10 import wrap
from tests.doubles.listeners import listening

pytestmark = pytest.mark.skipif(shutil.which("storescu") is None, reason="dcmtk is not installed")

JPEG = "1.2.840.10008.1.2.4."
SIDE = 32
CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

CODED = {
    "-xe": (transfer.EXPLICIT_LITTLE, ["dcmconv", "+te"]),
    "-x=": (transfer.EXPLICIT_LITTLE, ["dcmconv", "+te"]),
    "-xb": (transfer.EXPLICIT_BIG, ["dcmconv", "+tb"]),
    "-xi": (transfer.IMPLICIT_LITTLE, ["dcmconv", "+ti"]),
    "-xd": (transfer.DEFLATED_LITTLE, ["dcmconv", "+td"]),
    "-xs": (f"{JPEG}70", ["dcmcjpeg", "+e1"]),
    "-xy": (f"{JPEG}50", ["dcmcjpeg", "+eb"]),
    "-xx": (f"{JPEG}51", ["dcmcjpeg", "+ee"]),
    "-xt": (f"{JPEG}80", ["dcmcjpls", "+el"]),
    "-xu": (f"{JPEG}81", ["dcmcjpls", "+en"]),
    "-xr": ("1.2.840.10008.1.2.5", ["dcmcrle"]),
}
"""Option → transfer syntax, and what makes such a file."""

WRAPPED = {
    "-xv": f"{JPEG}90",
    "-xw": f"{JPEG}91",
    "-xm": f"{JPEG}100",
    "-xh": f"{JPEG}101",
    "-xn": f"{JPEG}102",
    "-xl": f"{JPEG}103",
    "-x2": f"{JPEG}104",
    "-x3": f"{JPEG}105",
    "-xo": f"{JPEG}106",
    "-x4": f"{JPEG}107",
    "-x5": f"{JPEG}108",
}
"""dcmtk makes none of these: JPEG 2000 is made with Pillow; a film's bytes are not looked at on the way."""


def picture(instance: str) -> Dataset:
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = CAPTURE, instance
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    made.PatientName, made.PatientID, made.Modality = "Sample^Picture", "SAMPLE-1", "OT"
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows = made.Columns = SIDE
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit, made.PixelRepresentation = 7, 0
    made.PixelData = bytes((x * y) & 0xFF for x in range(SIDE) for y in range(SIDE))
    made["PixelData"].VR = "OB"
    return made


def written(made: Dataset, path: Path, syntax: str) -> Path:
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.file_meta.TransferSyntaxUID = UID(syntax)
    dcmwrite(path, made, enforce_file_format=True)
    return path


def files(folder: Path) -> dict[str, tuple[str, Path]]:
    """Option → transfer syntax and file."""
    found = {}
    for number, (option, (syntax, tool)) in enumerate(CODED.items(), 1):
        plain = written(picture(f"1.2.7.{number}"), folder / f"{number}.plain", transfer.EXPLICIT_LITTLE)
        path = folder / f"{number}.dcm"
        # The syntaxes that lose something would give the file a new UID.
        keep = ["+un"] if tool[0] in ("dcmcjpeg", "dcmcjpls") and option in ("-xy", "-xx", "-xu") else []
        subprocess.run([*tool, *keep, str(plain), str(path)], check=True, timeout=30, capture_output=True)
        found[option] = (syntax, path)
    for number, (option, syntax) in enumerate(WRAPPED.items(), 100):
        made, codestream = picture(f"1.2.7.{number}"), io.BytesIO(os.urandom(2000))
        if option in ("-xv", "-xw"):
            image = Image.frombytes("L", (SIDE, SIDE), made.PixelData)
            codestream = io.BytesIO()
            image.save(codestream, "JPEG2000", no_jp2=True, irreversible=option == "-xw")
        made.PixelData = encapsulate([codestream.getvalue()])
        made["PixelData"].is_undefined_length = True
        found[option] = (syntax, written(made, folder / f"{number}.dcm", syntax))
    return found


def test_every_transfer_syntax_that_storescu_proposes(tmp_path: Path) -> None:
    made = files(tmp_path)
    with listening(tmp_path / "edge", Ingest(open=True, accept_deflated=True)) as world:
        for option, (_, path) in made.items():
            command = ["storescu", option, "127.0.0.1", str(world.listener.port), str(path)]
            done = subprocess.run(
                command,
                check=False,
                timeout=30,
                capture_output=True,
                text=True,
                env={**os.environ, "TCP_NODELAY": "1"},
            )
            assert done.returncode == 0, f"{option}: {done.stderr}"
        kept = {entry.sop_instance_uid: (entry, data) for entry, data in world.instances()}
    assert len(kept) == len(made)
    for option, (syntax, path) in made.items():
        source = dcmread(path)
        assert source.file_meta.TransferSyntaxUID == syntax, option
        entry, data = kept[str(source.SOPInstanceUID)]
        assert entry.transfer_syntax_uid == syntax, option
        assert "flaw" not in entry.parameters, option
        line = dcmread(io.BytesIO(wrap(CAPTURE, entry.sop_instance_uid, syntax) + data))
        assert line.PixelData == source.PixelData, option
        assert [element for element in line if element.tag.group > 2] == list(source), option


def test_deflated_is_refused_unless_asked_for(tmp_path: Path) -> None:
    plain = written(picture("1.2.7.1"), tmp_path / "plain", transfer.EXPLICIT_LITTLE)
    path = tmp_path / "deflated"
    subprocess.run(["dcmconv", "+td", str(plain), str(path)], check=True, timeout=30)
    with listening(tmp_path / "edge", Ingest(open=True)) as world:
        command = ["storescu", "-xd", "127.0.0.1", str(world.listener.port), str(path)]
        subprocess.run(command, check=False, timeout=30, capture_output=True)
        ((entry, _),) = world.instances()
    assert entry.transfer_syntax_uid != transfer.DEFLATED_LITTLE  # dcmtk inflates it itself


def test_no_option_of_storescu_is_left_out() -> None:
    told = subprocess.run(["storescu", "--help"], check=True, capture_output=True, text=True).stdout
    assert set(re.findall(r"^ +(-x\S) +--propose", told, re.MULTILINE)) == {*CODED, *WRAPPED}
