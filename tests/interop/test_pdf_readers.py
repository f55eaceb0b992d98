"""The signed PDF as others see it: poppler's pdfsig, pyHanko's own command line, openssl."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.trust import pem
from tests.doubles.signed import authority, signed


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "report.pdf").write_bytes(signed())
    (tmp_path / "root.pem").write_bytes(pem([authority().root.certificate]))
    return tmp_path


def pyhanko(files: Path, command: str, name: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "pyhanko"
    if not program.exists():
        pytest.skip("pyhanko-cli is not installed")
    line = [program, "sign", command, "--trust", "root.pem", "--trust-replace", name]
    return subprocess.run(line, cwd=files, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", ["validate", "adesverify"])
def test_pyhanko_s_command_line_trusts_it_and_refuses_one_flipped_byte(files: Path, command: str) -> None:
    good = pyhanko(files, command, "report.pdf")
    assert good.returncode == 0, good.stdout + good.stderr
    assert "INTACT:TRUSTED" in good.stdout
    data = bytearray(signed())
    data[5_000] ^= 1
    (files / "flipped.pdf").write_bytes(data)
    bad = pyhanko(files, command, "flipped.pdf")
    assert bad.returncode != 0
    assert "INTACT:TRUSTED" not in bad.stdout


def test_pdfsig_finds_the_signature_valid(files: Path) -> None:
    if shutil.which("pdfsig") is None:
        pytest.skip("poppler-utils is not installed")
    done = subprocess.run(
        ["pdfsig", "-nocert", "report.pdf"], cwd=files, capture_output=True, text=True, check=False
    )
    assert "Signature is Valid" in done.stdout, done.stdout + done.stderr
    assert "ETSI.CAdES.detached" in done.stdout
    assert "Dr. Wei Lin" in done.stdout
