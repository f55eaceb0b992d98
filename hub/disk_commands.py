"""``telerad hub import``: take in what an edge wrote onto a disk, beside a running hub or without one."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Coroutine
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import aiohttp

from gateway import config
from gateway.disk import EdgeFolder
from gateway.errors import ResourceError, UsageError
from gateway.exclusive import folder_held
from hub.config import HubConfig
from hub.disk_import import DiskImport, Imported
from hub.local import SOCKET, short_path

EXAMPLES = """examples:
  telerad edge export -c edge.yaml --to /media/usb             at the hospital
  telerad hub import -c hub.yaml /media/usb                    at the hub; writes receipts onto the disk
  telerad edge import-receipts -c edge.yaml /media/usb         back at the hospital; frees the spool
"""
QUIET_SECONDS = 120.0

Actions = Any  # argparse keeps the type of sub-parsers to itself
Found = dict[str, Imported]


def fill(actions: Actions) -> None:
    """The command."""
    summary = "take in what an edge exported onto a disk, and write receipts onto it; repeat at will"
    form = argparse.RawDescriptionHelpFormatter
    parser = actions.add_parser(
        "import", help=summary, description=summary, epilog=EXAMPLES, formatter_class=form
    )
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="hub.yaml")
    parser.add_argument("disk", type=Path, metavar="DIR", help="the disk, or one edge's folder on it")
    parser.add_argument(
        "--without-listing",
        action="store_true",
        help="take the parcels that hold by their own signatures although the disk's listing does not",
    )
    parser.add_argument("--json", action="store_true", help="answer as JSON")
    parser.set_defaults(run=_import)


def _import(parsed: argparse.Namespace) -> int:
    settings = config.load(parsed.config, HubConfig)
    folders = EdgeFolder.found(parsed.disk)
    if not folders:
        raise UsageError(f"there is nothing from an edge on {parsed.disk}")
    work = _take(settings.data, folders, without_listing=parsed.without_listing)
    try:
        found = asyncio.run(_somewhere(settings, work))
    except (OSError, aiohttp.ClientError) as error:
        raise ResourceError(
            f"the disk at {parsed.disk} or the hub is gone: {error}; run this again"
        ) from error
    _tell(found, as_json=parsed.json)
    return 0 if all(one.good for one in found.values()) else 1


async def _somewhere(settings: HubConfig, work: Coroutine[Any, Any, Found]) -> Found:
    """In the hub that runs; or be one for as long as it takes."""
    with ExitStack() as stack:
        try:
            stack.enter_context(folder_held(settings.data))
        except UsageError:
            return await work
        return await _here(settings, work)


async def _here(settings: HubConfig, work: Coroutine[Any, Any, Found]) -> Found:
    from hub.app import intake_of, local_door, opened

    async with opened(settings) as hub:
        intake = intake_of(hub)
        await intake.recover()
        async with local_door(hub, intake):
            conveying, working = asyncio.create_task(intake.run()), asyncio.create_task(work)
            try:
                await asyncio.wait((conveying, working), return_when=asyncio.FIRST_COMPLETED)
                if not working.done():
                    conveying.result()  # raises: it ends only with an error
                return working.result()
            finally:
                for task in (conveying, working):
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await asyncio.wait((task,))


async def _take(data: Path, folders: list[EdgeFolder], *, without_listing: bool) -> Found:
    timeout = aiohttp.ClientTimeout(total=None, sock_read=QUIET_SECONDS)
    with short_path(data) as path:
        if not path.exists():
            raise UsageError(f"a process uses {data}, but it is no running hub: {data / SOCKET} is missing")
        connector = aiohttp.UnixConnector(str(path))
        async with aiohttp.ClientSession("http://hub", connector=connector, timeout=timeout) as door:
            found = {}
            for folder in folders:
                found[folder.folder.name] = await DiskImport(folder, door).run(
                    without_listing=without_listing
                )
            return found


def _tell(found: Found, *, as_json: bool) -> None:
    if as_json:
        facts = {
            name: {
                "receipts": len(one.receipts),
                "refused": one.refused,
                "missing": sorted(one.missing),
                "listing": one.listing,
            }
            for name, one in found.items()
        }
        print(json.dumps(facts))
        return
    for name, one in found.items():
        print(f"{name}: {len(one.receipts)} parcels are at the hub; their receipts are on the disk")
        if one.listing:
            print(f"{name}: listing: {one.listing}")
        for parcel, why in one.refused.items():
            print(f"{name}: refused and kept aside: {parcel}: {why}")
        for parcel in sorted(one.missing):
            print(f"{name}: listed, but neither on the disk nor at the hub: {parcel}")
