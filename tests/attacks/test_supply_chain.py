"""Row 28 of the threat model: what is installed is what was reviewed."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path

import pynetdicom
import pytest

ROOT = Path(__file__).parents[2]
REVIEWED = "3.0.4"
"""The pynetdicom whose PDU and DIMSE-N codecs `edge/ingest/acse.py` and `services.py` were fuzzed with."""


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_attack_28_every_requirement_is_pinned_by_digest(name: str) -> None:
    blocks = re.split(r"\n(?=[A-Za-z])", (ROOT / name).read_text())
    assert len(blocks) > 30
    for block in blocks:
        assert re.match(r"[A-Za-z0-9._-]+==[^\s;]+", block), block[:80]
        assert "--hash=sha256:" in block, block[:80]


def test_attack_28_nothing_is_installed_without_its_digest() -> None:
    makefile = (ROOT / "Makefile").read_text()
    installs = [line for line in makefile.splitlines() if " install " in line and " -r " in line]
    assert installs
    assert all("--require-hashes" in line and "--no-deps" in line for line in installs)


def test_attack_28_npm_packages_carry_digests() -> None:
    lock = json.loads((ROOT / "hub" / "portal" / "web" / "package-lock.json").read_text())
    packages = {name: facts for name, facts in lock["packages"].items() if name}
    assert packages
    assert all(facts["integrity"].startswith("sha512-") for facts in packages.values() if "link" not in facts)


def test_attack_28_the_guards_fit_this_pynetdicom() -> None:
    assert version("pynetdicom") == pynetdicom.__version__ == REVIEWED
