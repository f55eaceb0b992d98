"""A disc put into a running hospital's edge: by the command, by the page, and up to the hub."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from io import BytesIO
from pathlib import Path

from pydicom import dcmread

from gateway.dicom.part10 import split
from tests.doubles.acquired import part10
from tests.journeys.conftest import Stack, environment

STUDY = "2.25.4711000"
"""Of this journey alone: the page names a study by its first image, and all journeys share one edge."""


def imported(config: str, folder: Path) -> tuple[int, dict]:
    command = [sys.executable, "-m", "gateway.cli", "edge", "import", "-c", config, str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, env=environment(), check=False, timeout=60)
    assert done.returncode in (0, 1), done.stderr.decode()
    return done.returncode, json.loads(done.stdout)


def status(stack: Stack) -> dict:
    with urllib.request.urlopen(f"{stack.edge['console']}/status.json", timeout=5) as answer:
        return json.load(answer)


def test_the_running_edge_imports_a_disc_and_sends_it(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "IM1").write_bytes(part10("2.25.4711", name="Disc^王", study=STUDY))
    (tmp_path / "readme.txt").write_text("hello")
    code, told = imported(stack.edge["config"], tmp_path)
    assert (code, told["kept"], told["skipped"], told["problems"]) == (0, 1, 1, [])
    assert imported(stack.edge["config"], tmp_path)[1]["kept"] == 1
    until = time.monotonic() + 30
    while not (
        found := [one for one in status(stack)["studies"] if one["study_uid"] == STUDY and one["sent"] >= 2]
    ):
        assert time.monotonic() < until, stack.logs()
        time.sleep(0.2)
    assert found[0]["patient"]["name"] == "Disc^王"
    (tmp_path / "IM1").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    code, told = imported(stack.edge["config"], tmp_path)
    assert (code, told["kept"], told["refused"]) == (1, 0, 1)
    with urllib.request.urlopen(f"{stack.edge['console']}/import", timeout=5) as page:
        assert str(tmp_path) in page.read().decode()


def test_attack_19_a_program_before_an_image_goes_to_the_hub_and_is_served_to_nobody(
    stack: Stack, tmp_path: Path
) -> None:
    study, image = "2.25.4711100", part10("2.25.4711101", study="2.25.4711100")
    program = b"MZ\x90\0" + b"\xcc" * 124
    (tmp_path / "IM1").write_bytes(program + image[128:])
    code, told = imported(stack.edge["config"], tmp_path)
    assert (code, told["kept"]) == (0, 1)
    series = str(dcmread(BytesIO(image)).SeriesInstanceUID)
    address = f"{stack.hub['dicomweb']}/studies/{study}/series/{series}/instances/2.25.4711101"
    asked = urllib.request.Request(
        address,
        headers={"Accept": "application/dicom", "Authorization": f"Bearer {stack.hub['token']}"},
    )
    trusted = ssl.create_default_context(cafile=stack.hub["ca"])
    until = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(asked, timeout=5, context=trusted) as answer:
                served, headers = answer.read(), answer.headers
            break
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            assert time.monotonic() < until, stack.logs()
            time.sleep(0.2)
    assert served[:132] == bytes(128) + b"DICM"
    assert bytes(split(served).dataset) == bytes(split(image).dataset)
    assert headers["X-Content-Type-Options"] == "nosniff"
