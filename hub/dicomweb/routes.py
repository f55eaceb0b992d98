"""All DICOMweb routes together."""

from __future__ import annotations

from aiohttp import web

from hub.archive.archive import Archive
from hub.dicomweb.answers import Address, Authorize
from hub.dicomweb.pixelstore import PixelStore
from hub.dicomweb.routes_query import Searches
from hub.dicomweb.routes_rendered import Rendering
from hub.dicomweb.routes_retrieve import Retrieval

PREFIX = "/dicomweb"


def routes(
    archive: Archive, authorize: Authorize, prefix: str = PREFIX, public: str | None = None
) -> list[web.RouteDef]:
    """The service's routes.

    Args:
        archive: what is searched and retrieved from.
        authorize: called for every request; says what the caller may see, or raises.
        prefix: the path of the service.
        public: how clients reach the hub, such as ``https://hub.example:8443`` (`hub.config.Web.url`).
    """
    address = Address(prefix, public)
    pixels = PixelStore(archive.store)
    return [
        *Searches(archive, authorize, address).routes(),
        *Retrieval(archive, authorize, address, pixels).routes(),
        *Rendering(archive, authorize, address, pixels).routes(),
    ]
