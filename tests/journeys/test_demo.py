"""The newcomer's command, to the end: the whole loop proven by the program itself."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509

from tests.interop import evidence_reader
from tests.journeys.conftest import environment


@pytest.mark.slow
def test_demo_check_proves_the_whole_loop(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "gateway.cli",
        "demo",
        "--check",
        "--headless",
        "--dir",
        str(tmp_path / "d"),
    ]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env=environment(), timeout=280
    )
    logs = "".join(log.read_text()[-3000:] for log in (tmp_path / "d" / "logs").iterdir())
    assert done.returncode == 0, done.stdout + done.stderr + logs
    assert "What was proven" in done.stdout
    assert "✗" not in done.stdout
    claims = ("took every instance", "holds what the scanner sent", "disk shows no patient", "every image is")
    for claim in claims:
        assert claim in done.stdout
    root = x509.load_pem_x509_certificate((tmp_path / "d" / "pki" / "root.pem").read_bytes())
    evidence = (tmp_path / "d" / "H001-custody.json").read_bytes()
    images, events, witnesses, complete = evidence_reader.open_evidence(evidence, root)  # not our reader
    assert images
    assert complete
    assert {"parcel-stored", "case-open", "report-signed", "report-acknowledged"} <= set(events)
    assert witnesses == ["spiffe://telerad/site/H001/edge/1"]
    assert not any("patient" in log.read_text().lower() for log in (tmp_path / "d" / "logs").iterdir())


def test_prepare_writes_everything_and_starts_nothing(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "gateway.cli",
        "demo",
        "--prepare",
        "--sites",
        "2",
        "--dir",
        str(tmp_path),
    ]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env=environment(), timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    described = json.loads((tmp_path / "demo.json").read_text())
    assert described["hub"]["pid"] is None
    assert [edge["site"] for edge in described["edges"]] == ["H001", "H002"]
    for edge in described["edges"]:
        assert edge["pid"] is None
        assert Path(edge["config"]).exists()
        assert (Path(edge["config"]).parent / "data" / "identity").is_dir()
    assert {user["role"] for user in described["users"]} == {"reader", "lead", "admin", "auditor"}


def test_contradicting_options_are_told(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gateway.cli", "demo", "--check", "--prepare", "--dir", str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment(), timeout=60)
    assert done.returncode == 2
    assert "--check needs" in done.stderr
