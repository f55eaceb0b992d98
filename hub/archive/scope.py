"""What a caller of the archive may see. Pure; applied inside the queries."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """A limit on studies; every limit that is given must hold.

    Args:
        all: no limit.
        sites: only studies of these sites; None: of any.
        studies: only these rows of `studies`; None: any.
    """

    all: bool = False
    sites: frozenset[str] | None = None
    studies: frozenset[int] | None = None


NOTHING = Scope(studies=frozenset())
"""May see no study at all."""
