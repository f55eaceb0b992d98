"""What must not be in the repository, and what the command line must have."""

import re
import subprocess
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _tracked() -> list[Path]:
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.decode().split("\0") if name]


def _text(path: Path) -> str:
    return path.read_text(errors="ignore") if path.is_file() else ""


def test_no_registry_is_named() -> None:
    hosts = re.compile(
        "|".join(
            ["registry." + "npmjs", "pypi." + "org/simple", "files." + "pythonhosted", "deb." + "debian"]
        )
    )
    guilty = [str(path.relative_to(ROOT)) for path in _tracked() if hosts.search(_text(path))]
    assert guilty == []


def test_no_private_key_outside_the_test_vectors() -> None:
    marker = "-----BEGIN " + r"(EC |RSA |ENCRYPTED )?PRIVATE KEY"
    guilty = [
        str(path.relative_to(ROOT))
        for path in _tracked()
        if re.search(marker, _text(path)) and "tests/vectors" not in path.as_posix()
    ]
    assert guilty == []


def test_no_dicom_file_is_committed() -> None:
    guilty = [path.name for path in _tracked() if path.is_file() and path.read_bytes()[128:132] == b"DICM"]
    assert guilty == []


def test_every_command_loads_and_has_a_summary() -> None:
    points = entry_points(group="telerad.commands")
    assert {"hub", "edge", "certs", "rules", "verify", "doctor", "demo"} <= {point.name for point in points}
    for point in points:
        assert point.load().__doc__, point.name
