"""WADO-RS: instances, metadata, frames and bulk data (PS3.18 §10.4)."""

from __future__ import annotations

import secrets
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from urllib.parse import quote

from aiohttp import web

from gateway import cpu
from gateway.dicom.part10 import wrap
from hub.archive import search
from hub.archive.archive import Archive
from hub.archive.facts import unpacked
from hub.archive.jsonmodel import BULK
from hub.archive.search import Found
from hub.archive.store import BlobStore
from hub.dicomweb import recode
from hub.dicomweb.accept import (
    ANY_SYNTAX,
    JSON,
    OCTETS,
    Form,
    MediaRange,
    frame_form,
    frame_media_type,
    instance_form,
)
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
from hub.dicomweb.multipart import Multipart
from hub.dicomweb.pixelstore import PixelStore
from hub.dicomweb.render import decodable, grey_octets
from hub.dicomweb.retrieved import Finder

PIECE = 1 << 20
"""Bytes of a blob in memory at a time."""

MAX_WHOLE = 256 << 20
"""Pixel data is given whole up to here; above, by frames."""

METADATA_ROWS = 250
"""Instances whose metadata is in memory at a time."""

_INSTANCE = "/studies/{study}/series/{series}/instances/{instance}"
_PIXEL_TAGS = frozenset({"7FE00010", "7FE00008", "7FE00009"})
_MARK = b'"BulkDataURI":"' + BULK.encode()

RESOURCES: Mapping[str, str] = {
    "/studies/{study}": "instances",
    "/studies/{study}/series/{series}": "instances",
    _INSTANCE: "instances",
    "/studies/{study}/metadata": "metadata",
    "/studies/{study}/series/{series}/metadata": "metadata",
    f"{_INSTANCE}/metadata": "metadata",
    f"{_INSTANCE}/frames/{{frames}}": "frames",
    f"{_INSTANCE}/bulkdata/{{path:.+}}": "bulk_data",
}
"""Path → method of the class below that answers its GET."""


class Retrieval:
    """The retrieve transactions.

    Args:
        archive: what is retrieved from.
        authorize: what a caller may see.
        address: of the service.
        pixels: shared with the other routes, for its memory of fragment places.
    """

    def __init__(self, archive: Archive, authorize: Authorize, address: Address, pixels: PixelStore) -> None:
        self._database, self._store = archive.database, archive.store
        self._finder, self._address, self._pixels = Finder(archive, authorize), address, pixels

    def routes(self) -> list[web.RouteDef]:
        """Every retrieve resource but the rendered ones."""
        return [
            web.get(self._address.prefix + path, plain_refusals(getattr(self, name)), allow_head=False)
            for path, name in RESOURCES.items()
        ]

    async def instances(self, request: web.Request) -> web.StreamResponse:
        """Part 10 files: the modality's own bytes behind a header, unless another encoding is asked for.

        Who asks for an instance "as it was sent" (``transfer-syntax=*``) gets every content that came under
        its UID, a part each, the current one first: nothing that was received is hidden.
        """
        ranges = accepted(request)
        as_sent = any(one.multipart and one.syntax == ANY_SYNTAX for one in ranges)
        found = await self._finder.find(request, every_version=as_sent)
        single = len(found.rows) == 1
        forms = [instance_form(ranges, row["transfer_syntax_uid"], single=single) for row in found.rows]
        chosen = [form for form in forms if form is not None]
        if len(chosen) < len(forms):
            kept = sorted({str(row["transfer_syntax_uid"]) for row in found.rows})
            raise not_acceptable(f"kept as {', '.join(kept)}; ask for transfer-syntax=* or one of these")
        etag = entity_tag([*found.digests, *(form.content_type for form in chosen)])
        if unchanged(request, etag):
            return not_modified(etag)
        parts = list(zip(found.rows, chosen, strict=True))
        if single and chosen[0].recoded:  # before the answer begins: it may turn out impossible
            await cpu.run(_recoded, self._store, found.rows[0])
        response = web.StreamResponse(headers=CACHE | {"ETag": etag})
        multipart = Multipart(chosen[0].media_type, secrets.token_hex(16)) if chosen[0].multipart else None
        response.headers["Content-Type"] = multipart.content_type if multipart else chosen[0].content_type
        if not any(form.recoded for form in chosen):
            response.content_length = _length(parts, multipart)
        await response.prepare(request)
        for row, form in parts:
            await _write_instance(response, self._store, row, form, multipart)
        if multipart:
            await response.write(multipart.end)
        await response.write_eof()
        return response

    async def metadata(self, request: web.Request) -> web.StreamResponse:
        """DICOM JSON without bulk data, as it was made when the instances were indexed."""
        found = await self._finder.find(request)
        if not any(one.takes(JSON) or one.takes("application/json") for one in accepted(request)):
            raise not_acceptable(f"metadata is given as {JSON}")
        etag = entity_tag([*found.digests, self._address.of(request)])
        if unchanged(request, etag):
            return not_modified(etag)
        response = web.StreamResponse(headers=CACHE | {"ETag": etag, "Content-Type": JSON})
        squeeze = None
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            response.headers["Content-Encoding"] = "gzip"
            response.headers["Vary"] += ", Accept-Encoding"
            squeeze = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS | 16)
        await response.prepare(request)
        base = f"{self._address.of(request)}/studies/{quote(str(found.study['study_uid']), safe='')}"
        async for text in self._metadata(found.rows, base):
            data = await cpu.run(squeeze.compress, text) if squeeze else text
            if data:
                await response.write(data)
        if squeeze:
            await response.write(squeeze.flush())
        await response.write_eof()
        return response

    async def frames(self, request: web.Request) -> web.StreamResponse:
        """Frames: native ones in little endian, compressed ones as they are kept."""
        row = await self._finder.one(request)
        numbers = frame_numbers(request.match_info["frames"], row["frames"])
        single = len(numbers) == 1
        syntax = str(row["transfer_syntax_uid"])
        form = frame_form(accepted(request), syntax, single=single, decodable=decodable(row))
        if form is None:
            raise not_acceptable(
                f"these frames are {frame_media_type(syntax)} in transfer syntax {syntax}; "
                "ask for transfer-syntax=* or that one"
            )
        etag = entity_tag([str(row["sha256"]), ",".join(map(str, numbers)), form.content_type])
        if unchanged(request, etag):
            return not_modified(etag)
        cut = self._decoded if form.recoded else self._pixels.frame
        first = await cpu.run(cut, row, numbers[0])
        if single and (not form.multipart or "Range" in request.headers):
            return _ranged(request, first, form, etag)
        multipart = Multipart(form.media_type, secrets.token_hex(16))
        response = web.StreamResponse(
            headers=CACHE | {"ETag": etag, "Content-Type": multipart.content_type, "Accept-Ranges": "bytes"}
        )
        head = multipart.head(form.content_type)
        if single:
            response.content_length = len(head) + len(first) + len(multipart.after) + len(multipart.end)
        await response.prepare(request)
        for place, number in enumerate(numbers):
            frame = first if place == 0 else await cpu.run(cut, row, number)
            await response.write(head + frame + multipart.after)
        await response.write(multipart.end)
        await response.write_eof()
        return response

    def _decoded(self, row: Found, number: int) -> bytes:
        """Blocking: one compressed frame, decompressed. Raises Malformed if it is not as its header says."""
        frame = self._pixels.frame(row, number)
        return grey_octets(frame, self._pixels.header(row), str(row["transfer_syntax_uid"]))

    async def bulk_data(self, request: web.Request) -> web.StreamResponse:
        """What a BulkDataURI of the metadata names."""
        row = await self._finder.one(request)
        path = request.match_info["path"].upper()
        if path in _PIXEL_TAGS:
            return await self._pixel_data(request, row)
        if path == "00420011":
            media_type, value = await cpu.run(self._pixels.document, row)
        else:
            media_type, (_, value) = OCTETS, await cpu.run(self._pixels.bulk, row, path)
        return _bulk(accepted(request), media_type, [value])

    async def _pixel_data(self, request: web.Request, row: Found) -> web.Response:
        """All frames; a part each if they are compressed (PS3.18 §8.7.3.5.2)."""
        media_type = frame_media_type(str(row["transfer_syntax_uid"]))
        if int(row["size"]) > MAX_WHOLE:
            raise not_acceptable(f"more than {MAX_WHOLE} bytes; ask for frames")
        frames = [
            await cpu.run(self._pixels.frame, row, number) for number in range(1, int(row["frames"]) + 1)
        ]
        if row["pixel_length"] is not None:
            frames = [b"".join(frames)]
        form = frame_form(accepted(request), str(row["transfer_syntax_uid"]), single=len(frames) == 1)
        if form is None:
            raise not_acceptable(f"this pixel data is {media_type}; ask for transfer-syntax=*")
        return _bulk(accepted(request), form.content_type, frames)

    async def _metadata(self, rows: Sequence[Found], base: str) -> AsyncIterator[bytes]:
        yield b"["
        for start in range(0, len(rows), METADATA_ROWS):
            some = rows[start : start + METADATA_ROWS]
            async with self._database.reading() as connection:
                kept = await search.metadata_of(connection, [int(row["id"]) for row in some])
            packed = [metadata for _, metadata in kept]
            yield (b"," if start else b"") + await cpu.run(_joined, some, packed, base)
        yield b"]"


def _joined(rows: Sequence[Found], packed: Sequence[bytes | None], base: str) -> bytes:
    """Metadata of some instances, with absolute addresses of their bulk data."""
    texts: list[bytes] = []
    for row, metadata in zip(rows, packed, strict=True):
        if metadata is not None:
            # quoted: a UID may hold anything, and must end neither the address nor the JSON text
            uids = (quote(str(row[name]), safe="") for name in ("series_uid", "sop_instance_uid"))
            place = "{}/series/{}/instances/{}/{}".format(base, *uids, BULK)
            texts.append(unpacked(metadata).replace(_MARK, b'"BulkDataURI":"' + place.encode()))
    return b",".join(texts)


def _part10(row: Found, syntax: str) -> bytes:
    return wrap(str(row["sop_class_uid"]), str(row["sop_instance_uid"]), syntax)


def _length(parts: Sequence[tuple[Found, Form]], multipart: Multipart | None) -> int:
    """Bytes of the whole body, so that a client can show how far it is."""
    total = 0
    for row, form in parts:
        total += len(_part10(row, form.syntax)) + int(row["size"])
        if multipart:
            total += len(multipart.head(form.content_type)) + len(multipart.after)
    return total + (len(multipart.end) if multipart else 0)


async def _write_instance(
    response: web.StreamResponse, store: BlobStore, row: Found, form: Form, multipart: Multipart | None
) -> None:
    head = _part10(row, form.syntax)
    if multipart:
        head = multipart.head(form.content_type) + head
    await response.write(head)
    size, digest = int(row["size"]), str(row["sha256"])
    if form.recoded:
        await response.write(await cpu.run(_recoded, store, row))
    else:
        for offset in range(0, size, PIECE):
            await response.write(await cpu.run(store.read, digest, offset, PIECE))
    if multipart:
        await response.write(multipart.after)


def _recoded(store: BlobStore, row: Found) -> bytes:
    data = store.read(str(row["sha256"]), 0, int(row["size"]))
    return recode.explicit_little(data, str(row["transfer_syntax_uid"]))


def _ranged(request: web.Request, data: bytes, form: Form, etag: str) -> web.Response:
    """One frame without multipart, or the asked-for part of it (RFC 9110 §14)."""
    headers = CACHE | {"ETag": etag, "Content-Type": form.content_type, "Accept-Ranges": "bytes"}
    try:
        asked = request.http_range
    except ValueError:  # several ranges, or none that can be read: the whole may be sent
        return web.Response(body=data, headers=headers)
    start, stop, _ = slice(asked.start, asked.stop).indices(len(data))
    if asked.start is None and asked.stop is None:
        return web.Response(body=data, headers=headers)
    if start >= stop:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{len(data)}"})
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
    return web.Response(body=data[start:stop], status=206, headers=headers)


def _bulk(ranges: Sequence[MediaRange], content_type: str, values: Sequence[bytes]) -> web.Response:
    """Bulk data in multipart, or alone where the client asks so."""
    media_type = content_type.partition(";")[0]
    for wanted in ranges:
        if not (wanted.takes(media_type) or wanted.takes(OCTETS)):
            continue
        if wanted.multipart is False and len(values) == 1:
            return web.Response(body=values[0], headers=CACHE | {"Content-Type": content_type})
        if wanted.multipart is not False:
            multipart = Multipart(media_type, secrets.token_hex(16))
            head = multipart.head(content_type)
            body = b"".join(head + value + multipart.after for value in values) + multipart.end
            return web.Response(body=body, headers=CACHE | {"Content-Type": multipart.content_type})
    raise not_acceptable(f"this bulk data is {media_type}")
