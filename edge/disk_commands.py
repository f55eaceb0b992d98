"""``telerad edge export`` and ``import-receipts``: the way to the hub and back when there is no line."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from edge.config import EdgeConfig
from edge.export import Exported, export
from edge.identity import FOLDER, EdgeIdentity
from edge.spool.files import SpoolFiles
from edge.spool.spool import Spool
from edge.uplink.handed import HandedIn, accept_receipt
from gateway import config, durable
from gateway.clock import SystemClock
from gateway.disk import EdgeFolder, read_bounded
from gateway.envelope.signature import STATEMENT_LIMIT
from gateway.errors import ResourceError, UsageError
from gateway.exclusive import folder_held
from gateway.model import ParcelId

EXAMPLES = """examples:
  telerad edge export -c edge.yaml --to /media/usb             at the hospital
  telerad edge export -c edge.yaml --to /media/usb2 --beside /media/usb    what had no room on the first
  telerad hub import -c hub.yaml /media/usb                    at the hub; writes receipts onto the disk
  telerad edge import-receipts -c edge.yaml /media/usb         back at the hospital; frees the spool
"""
RUNNING_SECONDS = 120.0
"""How long to wait for a running edge to judge what was handed in."""

Actions = Any  # argparse keeps the type of sub-parsers to itself


def fill(actions: Actions) -> None:
    """The two commands."""
    out = _command(actions, "export", "write what waits onto a disk, sealed, for `telerad hub import`")
    out.add_argument("--to", type=Path, required=True, metavar="DIR", help="a folder on the disk")
    out.add_argument(
        "--beside",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="another disk: what lies on it already is not written again (may be given several times)",
    )
    out.set_defaults(run=_export)
    back = _command(actions, "import-receipts", "let go what the hub has signed for on a disk")
    back.add_argument("disk", type=Path, metavar="DIR", help="the disk that came back")
    back.set_defaults(run=_import)


def _command(actions: Actions, name: str, summary: str) -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser: argparse.ArgumentParser = actions.add_parser(
        name, help=summary, description=summary, epilog=EXAMPLES, formatter_class=form
    )
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="edge.yaml")
    parser.add_argument("--json", action="store_true", help="answer as JSON")
    return parser


def _place(parsed: argparse.Namespace) -> tuple[EdgeConfig, EdgeIdentity]:
    settings = config.load(parsed.config, EdgeConfig)
    folder = settings.data / FOLDER
    if not folder.exists():
        raise UsageError(f"this edge is not enrolled: {folder} is missing")
    return settings, EdgeIdentity.load(folder, settings.suites)


# -- out ----------------------------------------------------------------------------------------------


def _export(parsed: argparse.Namespace) -> int:
    settings, identity = _place(parsed)

    def told(done: int, all_of_them: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{done} of {all_of_them} parcels", end="", file=sys.stderr, flush=True)

    try:
        found = export(settings.data, identity, parsed.to, SystemClock(), parsed.beside, told)
    except OSError as error:
        raise ResourceError(f"the disk at {parsed.to} cannot be written: {error}; run this again") from error
    if parsed.json:
        facts = {name: getattr(found, name) for name in Exported.__slots__}
        print(json.dumps(facts | {"folder": str(found.folder)}))
    else:
        _tell(found, parsed.to)
    return 1 if found.damaged or found.full else 0


def _tell(found: Exported, disk: Path) -> None:
    print(f"{found.written} parcels ({found.size} bytes) written to {found.folder}, {found.there} were there")
    if found.unsigned:
        print(f"{found.unsigned} are not signed yet and stay here: let the edge run, and export again")
    if found.held:
        print(f"{found.held} are held for a person and stay here")
    if found.elsewhere:
        print(f"{found.elsewhere} lie on other disks")
    if found.full:
        print(f"the disk is full, {found.left} more wait: put in another, and export with --beside {disk}")
    elif found.left:
        print(f"{found.left} more wait: export again when these have come back")
    for parcel, why in found.damaged.items():
        print(f"not written: {parcel}: {why}")


# -- back ---------------------------------------------------------------------------------------------


def _import(parsed: argparse.Namespace) -> int:
    settings, identity = _place(parsed)
    folders = [one for one in EdgeFolder.found(parsed.disk) if one.folder.name == _own(identity)]
    if not folders:
        raise UsageError(f"there is nothing of edge {identity.site}/{identity.edge} on {parsed.disk}")
    handed = _hand_in(settings.data, folders)
    with ExitStack() as stack:
        try:
            stack.enter_context(folder_held(settings.data))
        except UsageError:
            _wait(settings.data, handed)  # the running edge does it
        else:
            asyncio.run(_take(settings, identity))
            if left := _left(settings.data, handed):
                raise ResourceError(
                    f"{len(left)} receipts cannot be kept yet (is this machine's disk full?): see the log, "
                    "and run this again"
                )
    refused = _refused(settings.data, handed)
    freed = _free(settings.data, folders)
    facts = {"receipts": len(handed), "refused": refused, "freed": freed}
    if parsed.json:
        print(json.dumps(facts))
    else:
        print(f"{len(handed) - len(refused)} receipts taken, {freed} parcels removed from the disk")
        for parcel, why in refused.items():
            print(f"refused: {parcel}: {why}")
    return 1 if refused else 0


def _own(identity: EdgeIdentity) -> str:
    return f"{identity.site}-{identity.edge}"


def _hand_in(data: Path, folders: list[EdgeFolder]) -> list[ParcelId]:
    """Copy the receipts for what is still here to where the edge takes them from."""
    files = SpoolFiles(data)
    target = data / "handed"
    durable.make_folder(target)
    handed = []
    for folder in folders:
        for parcel in folder.receipts():
            if files.body(parcel).exists():
                receipt = read_bounded(folder.receipt(parcel), STATEMENT_LIMIT)
                durable.replace(target / f"{parcel}.receipt", receipt)
                handed.append(parcel)
    return handed


async def _take(settings: EdgeConfig, identity: EdgeIdentity) -> None:
    clock = SystemClock()
    spool = await asyncio.to_thread(
        Spool.open,
        settings.data,
        site=identity.site,
        recipients=lambda: identity.recipients,
        reserve=settings.spool.reserve,
        clock=clock,
    )

    async def accept(parcel: ParcelId, receipt: bytes) -> None:
        await accept_receipt(spool, parcel, receipt, identity.trust, clock.now())

    try:
        await HandedIn(settings.data, accept).round()
    finally:
        spool.close()


def _wait(data: Path, handed: list[ParcelId]) -> None:
    until = time.monotonic() + RUNNING_SECONDS
    while _left(data, handed):
        if time.monotonic() > until:
            raise ResourceError("the running edge has not taken the receipts yet; it will, when it can")
        time.sleep(0.2)


def _left(data: Path, handed: list[ParcelId]) -> list[ParcelId]:
    """Those not judged yet, or that cannot be kept."""
    return [parcel for parcel in handed if (data / "handed" / f"{parcel}.receipt").exists()]


def _refused(data: Path, handed: list[ParcelId]) -> dict[str, str]:
    found: dict[str, str] = {}
    for parcel in handed:
        why = data / "handed" / f"{parcel}.why"
        if why.exists():
            found[parcel] = why.read_text()
            durable.remove(why)
    return found


def _free(data: Path, folders: list[EdgeFolder]) -> int:
    """Remove from the disk what has its verified receipt here, so that the disk may go round again."""
    files = SpoolFiles(data)
    freed = 0
    for folder in folders:
        for parcel in list(folder.parcels()):
            if files.receipt(parcel).exists():
                folder.head(parcel).unlink(missing_ok=True)
                folder.body(parcel).unlink(missing_ok=True)
                freed += 1
        folder.settle()
    return freed
