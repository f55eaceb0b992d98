"""What a check found out, for a person to read and for a script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of checking one thing.

    Attributes:
        ok: whether everything that was checked holds.
        lines: what was found, in plain sentences, most important first.
        facts: the same for a script; values must have a JSON form.
    """

    ok: bool
    lines: list[str]
    facts: Mapping[str, Any] = field(default_factory=dict)
