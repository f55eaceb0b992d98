"""Which rows may an account see? The one answer, for the worklist and for DICOMweb alike.

- reader: the cases assigned to them and those of their groups, at sites they are licensed for;
- lead: the cases of their groups, and their own, at every site;
- site: everything of their own hospital;
- reader and lead: what they opened in an emergency, with a reason and for a time;
- admin, auditor, service: every row. Whether that includes pixels is `hub/access/roles.py`.

A reader with no row in `reader_sites` may read every site; with rows, the sites whose licence has
not ended. A licence holds through its last day.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, and_, false, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.people import Account, Role
from hub.tables.account import break_glass
from hub.tables.case import cases, reader_groups, reader_sites
from hub.tables.study import studies

_EVERYTHING = frozenset({Role.ADMIN, Role.AUDITOR, Role.SERVICE})


@dataclass(frozen=True, slots=True)
class Reach:
    """What an account may see, by rows.

    Args:
        everything: no limit at all.
        sites: only of these; None: of any.
        user: the reader, whose own cases count; None: the sites alone decide.
        groups: the reader's groups.
        granted: studies opened in an emergency; nothing else limits these.
    """

    everything: bool = False
    sites: frozenset[str] | None = None
    user: str | None = None
    groups: frozenset[str] = frozenset()
    granted: frozenset[int] = frozenset()

    def clause(self) -> ColumnElement[bool]:
        """A condition on `cases` joined with `studies`."""
        if self.everything:
            return true()
        at_site = studies.c.site.in_(sorted(self.sites)) if self.sites is not None else true()
        if self.user is None:
            return at_site if self.sites is not None else false()
        own = and_(at_site, or_(cases.c.assignee == self.user, cases.c.group.in_(sorted(self.groups))))
        return or_(own, cases.c.study.in_(sorted(self.granted))) if self.granted else own

    def standing(self) -> Reach:
        """The same without what was opened in an emergency."""
        return replace(self, granted=frozenset())


async def licensed_sites(connection: AsyncConnection, user: str, today: str) -> frozenset[str] | None:
    """The sites a reader may read on the ISO date `today`; None: every site."""
    query = select(reader_sites.c.site, reader_sites.c.licensed_until).where(reader_sites.c.user == user)
    rows = (await connection.execute(query)).all()
    if not rows:
        return None
    return frozenset(site for site, until in rows if until is None or until >= today)


async def groups_of(connection: AsyncConnection, user: str) -> frozenset[str]:
    """The groups of a reader."""
    query = select(reader_groups.c.group).where(reader_groups.c.user == user)
    return frozenset((await connection.execute(query)).scalars())


async def granted_to(connection: AsyncConnection, user: str, now: str) -> frozenset[int]:
    """The studies a reader opened in an emergency that has not ended at `now`, RFC 3339."""
    mine = (break_glass.c.user == user) & (break_glass.c.until > now)
    return frozenset((await connection.execute(select(break_glass.c.study).where(mine))).scalars())


async def reach_of(connection: AsyncConnection, account: Account, now: str) -> Reach:
    """What `account` may see at `now`, RFC 3339."""
    if account.role in _EVERYTHING:
        return Reach(everything=True)
    if account.role is Role.SITE:
        return Reach(sites=frozenset({account.site} if account.site else ()))
    groups = await groups_of(connection, account.name)
    granted = await granted_to(connection, account.name, now)
    if account.role is Role.LEAD:
        return Reach(user=account.name, groups=groups, granted=granted)
    sites = await licensed_sites(connection, account.name, now[:10])
    return Reach(sites=sites, user=account.name, groups=groups, granted=granted)
