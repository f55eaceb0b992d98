"""The files of the front end at ``/`` and of the viewer at ``/ohif/``.

The files are listed once at start; a request names one of them or gets the page of its
application, so no path can lead elsewhere. Files whose name carries a digest of their content are
kept by browsers for ever; the others are asked after every time. ``.br`` files beside them are
served to whom they suit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

STATIC = Path(__file__).parent / "static"
NOTICES = "THIRD-PARTY-NOTICES.txt"

FOREVER = "public, max-age=31536000, immutable"
ASK = "no-cache"

_DIGEST = re.compile(r"(^|[.-])[0-9a-f]{16}\.\w+$")
_RESERVED = ("api/", "dicomweb/", "enroll", "v1/")
_MISSING = "The front end is not built into this installation (see CONTRIBUTING.md).\n"


class Files:
    """One folder of built files.

    Args:
        folder: the files; it may be missing in a checkout where nothing was built.
        hashed: a folder in it whose names all carry a digest.
    """

    def __init__(self, folder: Path, hashed: str | None = None) -> None:
        self._hashed = hashed
        self._files: Mapping[str, Path] = {
            path.relative_to(folder).as_posix(): path
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.suffix != ".br"
        }

    def answer(self, name: str) -> web.StreamResponse:
        """The file of that name, or the application's page if the name is one of its own paths.

        Raises:
            web.HTTPNotFound: a file that is not there.
        """
        path = self._files.get(name)
        if path is None:
            if "." in name.rpartition("/")[2]:
                raise web.HTTPNotFound
            name, path = "index.html", self._files.get("index.html")
        if path is None:
            return web.Response(status=503, text=_MISSING)
        return web.FileResponse(path, headers={"Cache-Control": self._caching(name)})

    def _caching(self, name: str) -> str:
        hashed = self._hashed is not None and name.startswith(self._hashed)
        return FOREVER if hashed or _DIGEST.search(name) else ASK


class StaticRoutes:
    """Everything that is neither API nor DICOMweb."""

    def __init__(self, folder: Path = STATIC) -> None:
        self._folder = folder
        self._portal = Files(folder / "app", hashed="assets/")
        self._viewer = Files(folder / "ohif")

    async def portal(self, request: web.Request) -> web.StreamResponse:
        """A file or page of the portal."""
        name = request.match_info["path"]
        if name.startswith(_RESERVED):
            raise web.HTTPNotFound
        if name == NOTICES and (self._folder / NOTICES).is_file():
            return web.FileResponse(self._folder / NOTICES)
        return self._portal.answer(name)

    async def viewer(self, request: web.Request) -> web.StreamResponse:
        """A file or page of the viewer."""
        return self._viewer.answer(request.match_info["path"])

    async def viewer_folder(self, _: web.Request) -> web.StreamResponse:
        """``/ohif`` without its slash."""
        raise web.HTTPMovedPermanently("/ohif/")
