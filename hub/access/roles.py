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
        fresh: whether the second factor must have been shown a short while ago.
    """

    name: str
    roles: frozenset[Role] | None
    any_factors: bool = False
    active: bool = True
    fresh: bool = False

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
COMPLETING = Policy("completing", frozenset({Role.LEAD, Role.ADMIN}))
SIGNING = Policy("signing", SIGNERS, fresh=True)
OWN_FACTORS = Policy("own factors", PEOPLE, any_factors=True, fresh=True)
EMERGENCY = Policy("emergency", frozenset({Role.READER, Role.LEAD}), fresh=True)
OVERSIGHT = Policy("oversight", frozenset({Role.LEAD, Role.AUDITOR}))
ADMINISTRATION = Policy("administration", frozenset({Role.ADMIN}))
FLEET = Policy("fleet", frozenset({Role.ADMIN}), fresh=True)
RECORDS = Policy("records", frozenset({Role.ADMIN, Role.AUDITOR}))
AUDITING = Policy("auditing", frozenset({Role.AUDITOR}))
IMAGES = Policy("images", PIXELS)

ALL = (
    PUBLIC,
    SESSION,
    WATCH,
    WORKLIST,
    REPORTS,
    READING,
    COMPLETING,
    SIGNING,
    OWN_FACTORS,
    EMERGENCY,
    OVERSIGHT,
    ADMINISTRATION,
    FLEET,
    RECORDS,
    AUDITING,
    IMAGES,
)
