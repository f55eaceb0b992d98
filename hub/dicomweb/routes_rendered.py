"""Rendered pictures, thumbnails and encapsulated documents (PS3.18 §10.4.1.1.3 and §10.4.1.1.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiohttp import web

from gateway import cpu
from gateway.errors import NotFound
from hub.archive.archive import Archive
from hub.archive.search import Found
from hub.dicomweb.accept import PLAIN
from hub.dicomweb.answers import (
    CACHE,
    Address,
    Authorize,
    accepted,
    entity_tag,
    not_acceptable,
    not_modified,
    plain_refusals,
    unchanged,
)
from hub.dicomweb.frames import frame_numbers
from hub.dicomweb.pixelstore import PixelStore
from hub.dicomweb.render import Unrenderable, View, picture, view_of
from hub.dicomweb.retrieved import Finder

_STUDY = "/studies/{study}"
_SERIES = _STUDY + "/series/{series}"
_INSTANCE = _SERIES + "/instances/{instance}"
_FRAME = _INSTANCE + "/frames/{frames}"

RESOURCES: Mapping[str, str] = {
    **{f"{path}/rendered": "rendered" for path in (_INSTANCE, _FRAME)},
    **{f"{path}/thumbnail": "thumbnail" for path in (_STUDY, _SERIES, _INSTANCE, _FRAME)},
}
"""Path → method of the class below that answers its GET."""


class Rendering:
    """The rendered resources.

    Args:
        archive: what is drawn.
        authorize: what a caller may see.
        address: of the service.
        pixels: cuts the frames.
    """

    def __init__(self, archive: Archive, authorize: Authorize, address: Address, pixels: PixelStore) -> None:
        self._finder, self._address, self._pixels = Finder(archive, authorize), address, pixels

    def routes(self) -> list[web.RouteDef]:
        """Rendered instances and frames; thumbnails of everything."""
        return [
            web.get(self._address.prefix + path, plain_refusals(getattr(self, name)), allow_head=False)
            for path, name in RESOURCES.items()
        ]

    async def rendered(self, request: web.Request) -> web.Response:
        """A frame as a picture; an encapsulated document as it is."""
        row = await self._finder.one(request)
        if row["pixel_offset"] is None and "frames" not in request.match_info:
            media_type, document = await cpu.run(self._pixels.document, row)
            headers = CACHE | {"ETag": entity_tag([str(row["sha256"]), media_type])}
            return web.Response(body=document, headers=headers | {"Content-Type": media_type})
        return await self._drawn(request, row, thumbnail=False)

    async def thumbnail(self, request: web.Request) -> web.Response:
        """A small picture of the instance in the middle."""
        found = await self._finder.find(request)
        return await self._drawn(request, middle(found.rows), thumbnail=True)

    async def _drawn(self, request: web.Request, row: Found, *, thumbnail: bool) -> web.Response:
        ranges = accepted(request)
        media_type = next(
            (kind for one in ranges for kind in ("image/jpeg", "image/png") if one.takes(kind)), None
        )
        if media_type is None:
            raise not_acceptable("pictures are image/jpeg or image/png")
        view = view_of(dict(request.query), png=media_type == "image/png", thumbnail=thumbnail)
        frames = int(row["frames"])
        number = (
            frame_numbers(request.match_info["frames"], frames)[0]
            if "frames" in request.match_info
            else (frames + 1) // 2
        )
        etag = entity_tag([str(row["sha256"]), str(number), repr(view)])
        if unchanged(request, etag):
            return not_modified(etag)
        try:
            body = await cpu.run(self._draw, row, number, view)
        except Unrenderable as error:
            raise not_acceptable(str(error)) from error
        return web.Response(body=body, content_type=media_type, headers=CACHE | {"ETag": etag})

    def _draw(self, row: Found, number: int, view: View) -> bytes:
        frame = self._pixels.frame(row, number)
        syntax = str(row["transfer_syntax_uid"])
        return picture(frame, self._pixels.header(row), syntax, view, compressed=syntax not in PLAIN)


def middle(rows: Sequence[Found]) -> Found:
    """The instance in the middle of the longest series that has pixels. Raises NotFound if none has."""
    by_series: dict[str, list[Found]] = {}
    for row in rows:
        if row["pixel_offset"] is not None:
            by_series.setdefault(str(row["series_uid"]), []).append(row)
    if not by_series:
        raise NotFound("there is nothing to draw")
    longest = max(by_series.values(), key=len)
    return longest[len(longest) // 2]
