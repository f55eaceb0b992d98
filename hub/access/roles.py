"""The declared policy: which role may do what. Routes name one of these; a test finds those that do not.

Pure. Which *rows* somebody may see is another question: `hub/reach.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from hub.people import Role

PIXELS = frozenset({Role.READER, Role.LEAD, Role.SITE, Role.SERVICE})
"""Roles that may be given images at all (each within its reach)."""

SECOND_FACTOR = frozenset({Role.READER, Role.LEAD, Role.ADMIN})
"""Roles that need a second factor where the hub asks for one."""

SIGNERS = frozenset({Role.READER, Role.LEAD})
"""Roles that have a signing key."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may use a route.

    Args:
        name: as told in the log when refused.
        roles: who; None: anybody, logged in or not.
        any_factors: whether a session that still owes its second factor will do.
        active: whether the request is a sign of life that keeps the session from going idle.
    """

    name: str
    roles: frozenset[Role] | None
    any_factors: bool = False
    active: bool = True

    def allows(self, role: Role) -> bool:
        """Whether `role` may."""
        return self.roles is None or role in self.roles


EVERY_ROLE = frozenset(Role)
PEOPLE = EVERY_ROLE - {Role.SERVICE}

PUBLIC = Policy("public", None)
SESSION = Policy("session", PEOPLE, any_factors=True)
WATCH = Policy("watch", PEOPLE, active=False)
WORKLIST = Policy("worklist", PEOPLE)
REPORTS = Policy("reports", PEOPLE - {Role.ADMIN})
READING = Policy("reading", frozenset({Role.READER, Role.LEAD}))
SIGNING = Policy("signing", SIGNERS)
ADMINISTRATION = Policy("administration", frozenset({Role.ADMIN}))
RECORDS = Policy("records", frozenset({Role.ADMIN, Role.AUDITOR}))

ALL = (PUBLIC, SESSION, WATCH, WORKLIST, REPORTS, READING, SIGNING, ADMINISTRATION, RECORDS)
