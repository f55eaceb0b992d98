"""Which stored instances a retrieve request means, within the caller's scope."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from gateway.errors import NotFound
from hub.archive import search
from hub.archive.archive import Archive
from hub.archive.search import Found
from hub.dicomweb.answers import Authorize


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The study and its instances that the path names; at least one."""

    study: Found
    rows: list[Found]

    @property
    def digests(self) -> list[str]:
        """What an ETag is made of."""
        return [str(row["sha256"]) for row in self.rows]


class Finder:
    """Reads the path of a retrieve request.

    The query parameter ``site`` chooses among sites that sent one Study Instance UID, ``version`` (a SHA-256)
    among contents that came under one SOP Instance UID.

    Args:
        archive: to look in.
        authorize: what a caller may see.
    """

    def __init__(self, archive: Archive, authorize: Authorize) -> None:
        self._archive, self._authorize = archive, authorize

    async def find(self, request: web.Request, *, every_version: bool = False) -> Retrieved:
        """What the path names.

        Args:
            request: whose path it is.
            every_version: for one instance, all contents that came under its UID, the current one first.

        Raises:
            NotFound: there is nothing the caller may see.
        """
        scope = await self._authorize(request)
        path = request.match_info
        async with self._archive.database.reading() as connection:
            study = await search.study_by_uid(connection, path["study"], scope, request.query.get("site"))
            if study is None:
                raise NotFound("there is no such study that you may see")
            rows = await search.stored_instances(
                connection,
                int(study["id"]),
                series_uid=path.get("series"),
                sop_instance_uid=path.get("instance"),
                sha256=request.query.get("version") if "instance" in path else None,
                every_version=every_version and "instance" in path,
            )
        if not rows:
            raise NotFound("the study has no such instance")
        return Retrieved(study, rows)

    async def one(self, request: web.Request) -> Found:
        """The one instance the path names."""
        return (await self.find(request)).rows[0]
