"""Hatchling's hook: build what is not Python, for a wheel and for an editable install alike.

Nothing has to be installed before: Node.js comes as a wheel into the build environment, npm packages come
from the registry this machine is set up for, each checked against a digest in this repository.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class FrontEndHook(BuildHookInterface[BuilderConfig]):
    """Fills `hub/portal/static` and `hub/reports/fonts` before hatchling looks for files."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Run every step whose inputs have changed since the last build.

        Raises:
            BuildFault: a step failed; the message says which and why.
        """
        # The build front end loads this file by path: the folder it stands in is not on the path.
        sys.path.insert(0, self.root)
        try:
            from build_steps.run import SCRATCH, run
            from build_steps.sbom import NAME
        finally:
            sys.path.remove(self.root)
        run(Path(self.root), self.app.display_info)
        build_data["sbom_files"].append(f"{SCRATCH}/{NAME}")  # PEP 770
