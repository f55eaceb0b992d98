"""Write `hub/portal/web/ohif/NOTICES.txt` anew when OHIF's version changes.

OHIF publishes its bundle without the licences of what is inside. Install the packages that
`notices.packages_in` finds in the bundle (any folder, `npm install --ignore-scripts`), then run
`python -m build_steps.collect_notices FOLDER OUT`. Equal texts are written once, under all their packages.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

from build_steps.notices import LICENCE_FILES

LINE = "-" * 110


def collect(modules: Path) -> str:
    """Gather the licence texts of every package of a `node_modules` folder that is asked for by name."""
    asked = json.loads((modules.parent / "package.json").read_text("utf-8"))["dependencies"]
    owners: dict[str, list[str]] = defaultdict(list)
    for name in sorted(asked):
        facts = json.loads((modules / name / "package.json").read_text("utf-8"))
        owners[_text(modules / name, facts)].append(f"* {name} ({_licence(facts)}){_authors(facts)}")
    return (
        "\n\n".join(f"{LINE}\n\n" + "\n".join(names) + f"\n\n{text}" for text, names in owners.items()) + "\n"
    )


def _licence(facts: dict[str, object]) -> str:
    said = facts.get("license") or facts.get("licenses") or "see the text below"
    return said if isinstance(said, str) else json.dumps(said)


def _authors(facts: dict[str, object]) -> str:
    author = facts.get("author")
    name = author.get("name") if isinstance(author, dict) else author
    return f", {name}" if name else ""


def _text(folder: Path, facts: dict[str, object]) -> str:
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and LICENCE_FILES.match(path.name)]
    if files:
        return "\n\n".join("\n".join(file.read_text("utf-8").split("\r\n")).strip() for file in files)
    return f"(The package carries no licence text of its own; it is published under {_licence(facts)}.)"


if __name__ == "__main__":
    Path(sys.argv[2]).write_text("\n" + collect(Path(sys.argv[1]) / "node_modules"), encoding="utf-8")
