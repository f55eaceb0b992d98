"""All steps in order, each only when it has to be done. `python -m build_steps.run` runs them by hand."""

from __future__ import annotations

import fcntl
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from build_steps import fonts, notices, portal, sbom, viewer
from build_steps.node import Node
from build_steps.stamp import digest_of, is_fresh, press

SCRATCH = "build"  # git-ignored; holds stamps, the lock and half-made folders


class Build:
    """One run of the build over a source tree."""

    def __init__(self, root: Path, tell: Callable[[str], None]) -> None:
        self.root = root
        self.tell = tell
        self.web = root / "hub" / "portal" / "web"
        self.static = root / "hub" / "portal" / "static"
        self.fonts = root / "hub" / "reports" / "fonts"
        self.node = Node.from_wheel()

    def all(self) -> None:
        """Build everything that is not fresh.

        Raises:
            BuildFault: a step failed.
        """
        lock = [self.web / "package.json", self.web / "package-lock.json"]
        steps = self.root / "build_steps"
        self.step(
            "npm packages", lock, [self.web / "node_modules"], lambda _: portal.install(self.node, self.web)
        )
        self.step("report fonts", [steps / "fonts.py"], [self.fonts], self._fonts)
        self.step(
            "OHIF viewer",
            [steps / "viewer.py", self.web / "ohif", *lock],
            [self.static / "ohif" / "index.html"],
            self._viewer,
        )
        sources = [
            self.web / name for name in ("src", "public", "index.html", "tsconfig.json", "vite.config.ts")
        ]
        self.step("portal", [*sources, *lock], [self.static / "app" / "index.html"], self._portal)
        notes = self.static / "THIRD-PARTY-NOTICES.txt"
        given = [steps / "notices.py", self.web / "ohif" / "NOTICES.txt", *lock]
        self.step("third-party notices", given, [notes], lambda _: self._notices(notes))
        bill = self.root / SCRATCH / sbom.NAME
        pins = [self.root / "requirements.lock", self.root / "pyproject.toml", *lock, steps / "sbom.py"]
        self.step("bill of materials", pins, [bill], lambda _: self._bill(bill))

    def step(
        self, name: str, inputs: Iterable[Path], outputs: list[Path], work: Callable[[Path], None]
    ) -> None:
        """Do one step, unless its inputs are the same as last time and its outputs stand."""
        stamp = self.root / SCRATCH / "stamps" / name.replace(" ", "-")
        digest = digest_of(self.root, inputs)
        if is_fresh(stamp, digest, outputs):
            self.tell(f"front end: {name}: unchanged")
            return
        self.tell(f"front end: {name} …")
        began = time.monotonic()
        # On the same file system as the outputs, so that a finished folder is moved in whole.
        with tempfile.TemporaryDirectory(dir=self.root / SCRATCH) as scratch:
            work(Path(scratch))
        press(stamp, digest)
        self.tell(f"front end: {name}: built in {time.monotonic() - began:.1f} s")

    def _fonts(self, scratch: Path) -> None:
        fonts.build(self.node, scratch, self.fonts)

    def _viewer(self, scratch: Path) -> None:
        self.static.mkdir(parents=True, exist_ok=True)
        viewer.build(self.node, scratch, self.web / "ohif", self.web, self.static / "ohif")

    def _portal(self, scratch: Path) -> None:
        portal.build(self.node, self.web, self.static / "app")

    def _bill(self, into: Path) -> None:
        project = tomllib.loads((self.root / "pyproject.toml").read_text("utf-8"))["project"]
        shipped = [viewer.PACKAGE, *fonts.PACKAGES]
        npm_lock = self.web / "package-lock.json"
        sbom.build(self.root / "requirements.lock", npm_lock, shipped, project["version"], into)

    def _notices(self, into: Path) -> None:
        notices.build(self.web, self.fonts, self.web / "ohif" / "NOTICES.txt", into)


@contextmanager
def one_at_a_time(root: Path) -> Iterator[None]:
    """Hold the lock of this source tree: two installs at once must not build into the same folders."""
    folder = root / SCRATCH
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(root: Path, tell: Callable[[str], None]) -> None:
    """Build what is not Python into a source tree, telling each step.

    Raises:
        BuildFault: a step failed; the message says which and why.
    """
    with one_at_a_time(root):
        Build(root, tell).all()


if __name__ == "__main__":
    run(Path(__file__).resolve().parent.parent, print)
