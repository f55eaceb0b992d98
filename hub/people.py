"""Who is asking: the account every station is handed, and the six roles.

Pure. `hub/access` proves who somebody is; the other stations only need the answer, and stations
never import one another, so the answer lives here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What an account is for. What each may do is declared in `hub/access/roles.py`."""

    READER = "reader"
    """Reads the cases assigned to them or to their groups."""
    LEAD = "lead"
    """A reader who also sees, returns and hands over every case of their groups."""
    SITE = "site"
    """Staff of one hospital: sees that hospital's studies and reports."""
    ADMIN = "admin"
    """Runs the hub: fleet, accounts, quarantine, rules. Sees no pixels."""
    AUDITOR = "auditor"
    """Reads records. Sees no pixels and changes nothing."""
    SERVICE = "service"
    """A program with a bearer token for DICOMweb."""


@dataclass(frozen=True, slots=True)
class Account:
    """A person (or program) who has proved who they are.

    Args:
        name: the login.
        display_name: as shown to others and printed on reports.
        role: what it is for.
        language: ``en``, ``zh`` …, of the portal.
        site: the hospital, for role site.
        factors: how many factors this session proved, 1 or 2.
    """

    name: str
    display_name: str
    role: Role
    language: str = "en"
    site: str | None = None
    factors: int = 1
