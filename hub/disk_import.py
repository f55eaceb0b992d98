"""From a disk that somebody carried into the intake, through the local door; receipts back onto the disk.

Each parcel is judged by its own signature; the listing tells whether all are there. What does not
hold is copied aside at the hub and never taken. Everything may be repeated: the hub answers with
the receipt of what it has already, whichever way that came.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import aiohttp

from gateway import cpu
from gateway.disk import EdgeFolder, Listing, read_bounded
from gateway.envelope.layout import Header
from gateway.envelope.signature import STATEMENT_LIMIT, Statement
from gateway.envelope.unseal import check_chunk
from gateway.errors import DataError, Malformed, ResourceError, Unavailable, Unverified
from gateway.model import ParcelId
from gateway.wire.frames import MEDIA_TYPE, Decoder, encode
from gateway.wire.messages import (
    Announce,
    Ask,
    Chunk,
    Done,
    End,
    Have,
    Later,
    Message,
    Receipt,
    Refused,
    Unknown,
    heals,
)

GROUP_PARCELS = 200
GROUP_BYTES = 64 << 20
"""Carried in one exchange, so that receipts reach the disk while the rest is still read."""
LINGER_MS = 20_000
PATIENCE = 30
"""Exchanges without any news after which a hub that does not get on is given up: ten minutes."""
PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class _OnDisk:
    signed: bytes
    header: Header
    body: Path

    def chunk(self, index: int) -> Chunk:
        """Read and compare one chunk. Raises Unverified, OSError."""
        offset, length = self.header.chunk_span(index)
        with self.body.open("rb") as file:
            file.seek(offset)
            data = file.read(length)
        check_chunk(self.header, index, data)
        return Chunk(self.header.parcel_id, index, self.header.chunks[index], data)


@dataclass(slots=True)
class Imported:
    """What an import came to.

    Attributes:
        receipts: parcels the hub has signed for, now or before.
        refused: parcels that were not taken, and why.
        missing: parcels the listing names that are not on the disk and not at the hub.
        listing: why the listing is no help; empty: it holds.
    """

    receipts: set[ParcelId] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    missing: set[ParcelId] = field(default_factory=set)
    listing: str = ""

    @property
    def good(self) -> bool:
        """Whether all of the disk is at the hub."""
        return not (self.refused or self.missing or self.listing)


class DiskImport:
    """Imports one edge's folder.

    Args:
        folder: on the disk.
        door: a session to the local door.
    """

    def __init__(self, folder: EdgeFolder, door: aiohttp.ClientSession) -> None:
        self._folder, self._door = folder, door
        self._site = folder.folder.name.rpartition("-")[0]
        self._gone: OSError | None = None  # what happened to the disk
        self.found = Imported()

    async def run(self, *, without_listing: bool = False) -> Imported:
        """Import what is there.

        Args:
            without_listing: take what holds by itself although the listing does not.

        Raises:
            Unverified: the listing does not hold; it was copied aside, and nothing was taken.
            ResourceError: the hub has no room, or the disk is gone; run it again.
        """
        listing = await self._listing(without_listing=without_listing)
        self._folder.prepare()
        good: list[_OnDisk] = []
        for parcel in self._folder.parcels():
            one = await self._judged(parcel)
            if one is not None:
                good.append(one)
        good.sort(key=lambda one: (one.header.site, one.header.priority, one.header.sequence))
        for site, of_site in groupby(good, key=lambda one: one.header.site):
            for group in _groups(of_site):
                await self._bring(site, group)
        if listing is not None:
            await self._look_for(listing)
        return self.found

    # -- judging --------------------------------------------------------------------------------------

    async def _listing(self, *, without_listing: bool) -> Listing | None:
        file = self._folder.listing
        try:
            signed = read_bounded(file, STATEMENT_LIMIT)
        except FileNotFoundError:
            self.found.listing = "there is none: the export was not finished, and more may wait at the edge"
            return None
        except Malformed as error:
            words: str | None = str(error)
        else:
            words = await self._ask("/v1/listing", signed)
        if words is None:
            return Listing.from_bytes(Statement.from_bytes(signed).payload)
        self.found.listing = words
        await self._put_aside([(file, "listing")], None, f"the listing of a disk: {words}")
        if not without_listing:
            raise Unverified(
                f"the listing in {self._folder.folder} does not hold: {words}. Nothing was taken; if you"
                " trust the disk, --without-listing takes the parcels that hold by their own signatures"
            )
        return None

    async def _judged(self, parcel: ParcelId) -> _OnDisk | None:
        head, body = self._folder.head(parcel), self._folder.body(parcel)
        try:
            signed = read_bounded(head, STATEMENT_LIMIT)
            words = await self._ask("/v1/header", signed)
            if words is not None:
                raise Unverified(words)
            header = Header.from_bytes(Statement.from_bytes(signed).payload)
            if header.parcel_id != parcel:
                raise Unverified("the header is of another parcel than its file's name says")
            if body.is_symlink() or not body.is_file():
                raise Unverified("its body is missing")
            if body.stat().st_size != header.sealed_size:
                raise Unverified(f"{body.stat().st_size} bytes, the header says {header.sealed_size}")
        except DataError as error:
            await self._refuse(parcel, str(error))
            return None
        return _OnDisk(signed, header, body)

    async def _ask(self, path: str, signed: bytes) -> str | None:
        """Whether the hub finds that a statement holds: None, or why not."""
        async with self._door.post(path, data=signed) as response:
            return None if response.status == 200 else await _words(response)

    async def _refuse(self, parcel: ParcelId, reason: str) -> None:
        self.found.refused[parcel] = reason
        head, body = self._folder.head(parcel), self._folder.body(parcel)
        await self._put_aside([(head, "head"), (body, "tge")], parcel, reason)

    async def _put_aside(self, files: list[tuple[Path, str]], parcel: ParcelId | None, reason: str) -> None:
        """Copy files to the hub's quarantine, named by their content, and note why."""
        there = [(file, kind) for file, kind in files if file.is_file() and not file.is_symlink()]
        digest = await cpu.run(_digest, [file for file, _ in there])
        for file, kind in there:
            async with self._door.put(f"/v1/aside/disk-{digest}.{kind}", data=_pieces(file)) as response:
                if response.status != 204:
                    raise ResourceError(f"cannot be put aside at the hub: {await _words(response)}")
        told = {
            "name": f"disk-{digest}.{there[-1][1]}",
            "site": self._site,
            "parcel": parcel,
            "reason": reason,
        }
        async with self._door.post("/v1/aside", json=told) as response:
            if response.status != 204:
                raise ResourceError(f"cannot be put aside at the hub: {await _words(response)}")

    # -- bringing -------------------------------------------------------------------------------------

    async def _bring(self, site: str, group: list[_OnDisk]) -> None:
        """Bring parcels in, until each has its receipt or its refusal."""
        open_ones = {one.header.parcel_id: one for one in group}
        have: dict[ParcelId, Have] = {}
        await self._exchange(site, open_ones, have, _asking(open_ones, 0))
        idle = 0
        while open_ones:
            before = (len(open_ones), _gaps(have))
            whole = all(parcel in have and not have[parcel].missing for parcel in open_ones)
            body = _asking(open_ones, LINGER_MS) if whole else self._sending(open_ones, dict(have))
            await self._exchange(site, open_ones, have, body)
            idle = idle + 1 if before == (len(open_ones), _gaps(have)) else 0
            if idle >= PATIENCE:
                raise Unavailable("the hub has the parcels and does not get on with them; run this again")

    async def _sending(
        self, open_ones: dict[ParcelId, _OnDisk], have: dict[ParcelId, Have]
    ) -> AsyncIterator[bytes]:
        for parcel, one in list(open_ones.items()):
            known = have.get(parcel)
            if known is None:
                yield encode(Announce(parcel, one.signed))
                indexes = list(range(len(one.header.chunks)))
            else:
                yield encode(Ask(parcel))
                indexes = [index for gap in known.missing for index in range(gap.first, gap.end)]
            for index in indexes:
                try:
                    chunk = await cpu.run(one.chunk, index)
                except DataError as error:
                    open_ones.pop(parcel, None)
                    await self._refuse(parcel, str(error))
                    break
                except OSError as error:
                    self._gone = error
                    yield encode(End(0))
                    return
                yield encode(chunk)
        yield encode(End(LINGER_MS))

    async def _exchange(
        self,
        site: str,
        open_ones: dict[ParcelId, _OnDisk],
        have: dict[ParcelId, Have],
        body: AsyncIterator[bytes],
    ) -> None:
        decoder = Decoder()
        headers = {"Content-Type": MEDIA_TYPE}
        async with self._door.post(f"/v1/sites/{site}/uplink", data=body, headers=headers) as response:
            if response.status != 200:
                raise Unavailable(f"the hub says: {await _words(response)}")
            async for data in response.content.iter_any():
                decoder.feed(data)
                while (message := decoder.next()) is not None:
                    if isinstance(message, Done):
                        continue
                    await self._hear(open_ones, have, message)
        decoder.finish()
        if self._gone is not None:
            raise self._gone
        await cpu.run(self._folder.settle)

    async def _hear(
        self, open_ones: dict[ParcelId, _OnDisk], have: dict[ParcelId, Have], message: Message
    ) -> None:
        match message:
            case Have(parcel):
                have[parcel] = message
            case Unknown(parcel):
                have.pop(parcel, None)
            case Receipt(parcel, receipt):
                await cpu.run(self._folder.write, self._folder.receipt(parcel), [receipt])
                self.found.receipts.add(parcel)
                open_ones.pop(parcel, None)
            case Refused(parcel, code, words) if not heals(code) and parcel in open_ones:
                open_ones.pop(parcel)
                await self._refuse(parcel, words)
            case Refused(_, code, words) if heals(code):
                raise Unavailable(f"the hub says: {words}")
            case Later(_, _, words):
                raise ResourceError(f"{words}; run this again when there is room")

    async def _look_for(self, listing: Listing) -> None:
        """Parcels that should be here and are not: perhaps the hub has them from the line."""
        gone = {one.parcel for one in listing.parcels}
        gone -= self.found.receipts | self.found.refused.keys()
        if gone:
            asked: dict[ParcelId, Have] = {}
            parcels = sorted(gone)
            for at in range(0, len(parcels), GROUP_PARCELS):
                body = _asking(parcels[at : at + GROUP_PARCELS], 0)
                await self._exchange(listing.site, {}, asked, body)
        self.found.missing = gone - self.found.receipts


def _gaps(have: dict[ParcelId, Have]) -> int:
    return sum(len(one.missing) for one in have.values())


async def _asking(parcels: Iterable[ParcelId], linger: int) -> AsyncIterator[bytes]:
    yield b"".join(encode(Ask(parcel)) for parcel in parcels) + encode(End(linger))


def _groups(of_site: Iterator[_OnDisk]) -> Iterator[list[_OnDisk]]:
    group: list[_OnDisk] = []
    size = 0
    for one in of_site:
        if group and (len(group) >= GROUP_PARCELS or size + one.header.sealed_size > GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(one)
        size += one.header.sealed_size
    if group:
        yield group


async def _pieces(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as opened:
        while piece := await cpu.run(opened.read, PIECE):
            yield piece


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            while piece := opened.read(PIECE):
                digest.update(piece)
    return digest.hexdigest()


async def _words(response: aiohttp.ClientResponse) -> str:
    text = await response.text()
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"status {response.status}"
