"""The routes for importing: files with their form, discs, and how each import goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from aiohttp import BodyPartReader, web

from edge.console.import_page import STUDIES, import_page, job_page
from edge.console.language import language_of
from edge.console.told import told
from edge.console.words import say
from edge.importing import Form, FormFault, Importer, Kind, KnownStudy, Upload
from gateway.clock import Clock
from gateway.errors import Malformed, Refused

FIELD_LIMIT = 1024
MAX_PARTS = 2000
REFRESH = {"Refresh": "3"}
SAME = STUDIES[0]


class Imports:
    """Handlers.

    Args:
        importer: does the work.
        clock: the time.
        nav: keys of the pages to link to.
        known: orders and studies to choose patient and order from.
        orders: whether orders are asked for.
    """

    def __init__(
        self,
        importer: Importer,
        clock: Clock,
        nav: Sequence[str] = ("import",),
        known: Callable[[], Sequence[KnownStudy]] = tuple,
        *,
        orders: bool = False,
    ) -> None:
        self._importer, self._clock, self._nav, self._known = importer, clock, nav, known
        self._orders = orders

    def routes(self) -> list[web.RouteDef]:
        """What to add to the application."""
        return [
            web.get("/import", self.page),
            web.post("/import/upload", self.upload),
            web.post("/import/medium", self.medium),
            web.get("/import/{job:[0-9a-f]{16}}", self.job),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """Choose files or a disc; ``?of=`` a study fills in patient and order."""
        chosen = self._chosen(request.query.get("of", ""))
        return self._page(request, values=filled(chosen) if chosen else None)

    def _chosen(self, key: str) -> KnownStudy | None:
        return next((one for one in self._known() if one.key == key), None)

    def _page(
        self, request: web.Request, fault: str = "", values: dict[str, str] | None = None, status: int = 200
    ) -> web.Response:
        text = import_page(
            language_of(request),
            limit=self._importer.upload_limit,
            media=self._importer.media(),
            jobs=self._importer.jobs(),
            known=self._known(),
            orders=self._orders,
            now=self._clock.now(),
            values=values,
            fault=fault,
            nav=self._nav,
        )
        return web.Response(text=text, content_type="text/html", status=status)

    async def upload(self, request: web.Request) -> web.Response:
        """Take the files; say at once what is wrong with the form."""
        values: dict[str, str] = {}
        try:
            files, values = await _read(request, self._importer.upload_limit)
            job = self._importer.start_upload(files, _form(values, self._chosen(values.get("of", ""))))
        except Malformed as error:
            return self._page(request, _words(error, language_of(request)), values, 400)
        except _TooLarge:
            limit = self._importer.upload_limit
            fault = say(language_of(request), "too_large", limit=limit // 1_000_000)
            return self._page(request, fault, values, 413)
        raise web.HTTPSeeOther(f"/import/{job.ident}")

    async def medium(self, request: web.Request) -> web.Response:
        """Start to read a disc."""
        wanted = (await request.post()).get("folder", "")
        try:
            job = self._importer.start_folder(Path(str(wanted)))
        except Refused as error:
            return self._page(request, told(str(error), language_of(request)), status=409)
        raise web.HTTPSeeOther(f"/import/{job.ident}")

    async def job(self, request: web.Request) -> web.Response:
        """How an import goes; looks again by itself while it runs."""
        ident = request.match_info["job"]
        job = next((one for one in self._importer.jobs() if one.ident == ident), None)
        if job is None:
            raise web.HTTPNotFound(text="that import is not known any more\n")
        headers = {} if job.ended_at else REFRESH
        text = job_page(language_of(request), job, self._nav)
        return web.Response(text=text, content_type="text/html", headers=headers)


def _words(error: Malformed, language: str) -> str:
    """What is wrong, in the words of the page if it is the form."""
    if not isinstance(error, FormFault):
        return told(str(error), language)
    named = {name: say(language, str(field)) for name, field in error.values.items() if name == "field"}
    return say(language, error.key, **(error.values | named))


class _TooLarge(Exception):
    pass


async def _read(request: web.Request, limit: int) -> tuple[list[Upload], dict[str, str]]:
    """Files and fields of ``multipart/form-data`` (RFC 7578), bounded."""
    if not request.content_type.startswith("multipart/form-data"):
        raise Malformed("send multipart/form-data")
    files: list[Upload] = []
    values: dict[str, str] = {}
    room = limit
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or len(files) + len(values) > MAX_PARTS:
                raise Malformed("send multipart/form-data")
            body = bytearray()
            most = room if part.filename is not None else FIELD_LIMIT
            while chunk := await part.read_chunk(1 << 16):
                body += chunk
                if len(body) > most:
                    raise _TooLarge
            if part.filename is None:
                values[part.name or ""] = body.decode("utf-8", "replace").strip()
            elif part.filename or body:
                room -= len(body)
                files.append(Upload(part.filename[-100:], bytes(body)))
    except (ValueError, web.RequestPayloadError) as error:
        raise Malformed("the upload broke off; send it again") from error
    return files, values


def filled(one: KnownStudy) -> dict[str, str]:
    """The fields of the form that a known study fills in."""
    born = one.birth_date
    return {
        "of": one.key,
        "study": SAME,
        "patient_name": one.patient_name,
        "patient_id": one.patient_id,
        "birth_date": f"{born[:4]}-{born[4:6]}-{born[6:]}" if born else "",
        "sex": one.sex,
        "accession": one.accession,
        "description": one.description,
        "modality": one.modality if one.order else "",
    }


def _of_study(values: dict[str, str], chosen: KnownStudy | None) -> dict[str, str]:
    """What the form has of the chosen study itself. Raises FormFault if the files cannot belong to it."""
    if not values.get("of") or values.get("study", SAME) != SAME:
        return {}
    if chosen is None:
        raise FormFault("the chosen study is not known any more", "fault_study")
    for field in ("patient_name", "patient_id"):
        if (known := getattr(chosen, field)) and values.get(field, "") != known:
            raise FormFault(f"{field} is not that of the chosen study", "fault_other", field=field)
    names = (
        "study_uid", "study_date", "study_time", "study_id", "referring",
        "requested_procedure", "scheduled_step",
    )  # fmt: skip
    return {name: getattr(chosen, name) for name in names}


def _form(values: dict[str, str], chosen: KnownStudy | None) -> Form | None:
    """The form, or None where neither name nor identifier is given: DICOM files need none."""
    if not values.get("patient_name") and not values.get("patient_id"):
        return None
    try:
        kind = Kind(values.get("kind") or Kind.FILM.value)
    except ValueError:
        raise FormFault("kind is none of them", "fault_value", field="kind") from None
    return Form(
        patient_name=values.get("patient_name", ""),
        patient_id=values.get("patient_id", ""),
        birth_date=values.get("birth_date", "").replace("-", ""),
        sex=values.get("sex", ""),
        accession=values.get("accession", ""),
        description=values.get("description", ""),
        modality=values.get("modality", ""),
        body_part=values.get("body_part", ""),
        laterality=values.get("laterality", ""),
        kind=kind,
        **_of_study(values, chosen),
    )
