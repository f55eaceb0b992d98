"""The portal's own front end: type-checked and bundled."""

from __future__ import annotations

import shutil
from pathlib import Path

from build_steps.faults import BuildFault
from build_steps.node import Node


def install(node: Node, web: Path) -> None:
    """Install what the lock file names into `node_modules`.

    Raises:
        BuildFault: npm failed, or the lock file does not fit `package.json`.
    """
    node.npm("ci", "--prefer-offline", folder=web)


def build(node: Node, web: Path, into: Path) -> None:
    """Check the types and bundle the front end; `into` is replaced as a whole.

    Raises:
        BuildFault: a type error, a bundling error, or no page came out.
    """
    node.script("build", web)
    made = web / "dist"
    if not (made / "index.html").is_file():
        raise BuildFault("the front end was built but has no index.html")
    node.run([str(web / "ohif" / "press.mjs"), "--compress-only", str(made)], folder=web)
    shutil.rmtree(into, ignore_errors=True)
    into.parent.mkdir(parents=True, exist_ok=True)
    made.rename(into)
