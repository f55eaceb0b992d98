"""Gather the licences of everything in the wheel that others wrote."""

from __future__ import annotations

import json
import re
from pathlib import Path

from build_steps.faults import BuildFault

RULE = "=" * 110
LICENCE_FILES = re.compile(r"^(licen[cs]e|notice|copying|copyright)[\w.-]*$", re.IGNORECASE)
# How a module inside a published bundle names the package it came from.
MODULE = re.compile(r"node_modules/((?:@[\w.-]+/)?[\w.-]+)(?=/)")


def build(web: Path, fonts: Path, viewer_notices: Path, into: Path) -> None:
    """Write one text file of notices.

    Args:
        web: the front end; `package-lock.json` names what is bundled into it.
        fonts: the folder of report fonts, with their licences.
        viewer_notices: the licences of what OHIF's bundle contains.
        into: the file to write.

    Raises:
        BuildFault: a bundled package carries no licence.
    """
    parts = ["Third-party software and fonts in this package", *_front_end(web)]
    for licence in sorted(fonts.glob("OFL*.txt")):
        faces = "Noto Sans SC" if "SC" in licence.name else "Noto Sans"
        parts += [RULE, f"{faces} (fonts of reports), SIL Open Font License 1.1", licence.read_text("utf-8")]
    parts += [RULE, "OHIF Viewer and the packages inside its bundle", viewer_notices.read_text("utf-8")]
    into.parent.mkdir(parents=True, exist_ok=True)
    into.write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")


def packages_in(bundle: str) -> set[str]:
    """Name the npm packages whose modules a published bundle contains."""
    return set(MODULE.findall(bundle))


def check_complete(bundles: Path, viewer_notices: Path) -> None:
    """Hold that the committed notices name every package inside the viewer's bundles.

    Raises:
        BuildFault: packages are missing; names them.
    """
    text = viewer_notices.read_text("utf-8")
    found: set[str] = set()
    for bundle in bundles.glob("*.js"):  # before minifying, which takes the modules' names away
        found |= packages_in(bundle.read_text("utf-8"))
    missing = sorted(name for name in found if f"\n* {name} " not in text)
    if missing:
        raise BuildFault(f"{viewer_notices.name} does not name {', '.join(missing)}")


def _front_end(web: Path) -> list[str]:
    lock = json.loads((web / "package-lock.json").read_text("utf-8"))
    parts: list[str] = []
    for place, facts in sorted(lock["packages"].items()):
        if not place or facts.get("dev"):
            continue
        texts = [
            path.read_text("utf-8")
            for path in sorted((web / place).iterdir())
            if path.is_file() and LICENCE_FILES.match(path.name)
        ]
        if not texts and not facts.get("license"):
            raise BuildFault(f"{place} carries no licence")
        texts = texts or ["(The package carries no licence text of its own.)"]
        name = place.removeprefix("node_modules/")
        parts += [RULE, f"{name} {facts['version']} ({facts.get('license', 'text below')})", *texts]
    return parts
