"""Ask pip-audit whether a pinned dependency has a known vulnerability: `python -m build_steps.audit LOCK …`.

Exit code 1 if one has. Where the registry this machine uses tells nothing of vulnerabilities, that is said
in plain words and is no failure: the audit then has to run elsewhere.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def audit(locks: Sequence[str]) -> Mapping[str, Any]:
    """What pip-audit says of the pins, as JSON; empty if it could not ask at all."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "-f", "json"]
    for lock in locks:
        command += ["-r", lock]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found: Mapping[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError:
        return {}
    return found


def judge(found: Mapping[str, Any]) -> tuple[int, list[str]]:
    """Exit code and words.

    Args:
        found: as `audit` gives it.
    """
    dependencies = found.get("dependencies", [])
    asked = [one for one in dependencies if "skip_reason" not in one]
    if not asked:
        return 0, ["audit: NOT DONE: the registry used here tells nothing of vulnerabilities"]
    lines = [f"audit: {len(asked)} of {len(dependencies)} pinned packages could be looked up"]
    bad = 0
    for one in asked:
        for fault in one.get("vulns", []):
            bad += 1
            fixed = ", ".join(fault.get("fix_versions", [])) or "no version yet"
            lines.append(f"audit: {one['name']} {one['version']}: {fault['id']}, mended in {fixed}")
    return min(bad, 1), lines


if __name__ == "__main__":
    code, words = judge(audit(sys.argv[1:]))
    print("\n".join(words))
    sys.exit(code)
