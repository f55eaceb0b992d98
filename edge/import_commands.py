"""``telerad edge import``: a CD, a stick or any folder with DICOM files, read and not changed."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import time
from pathlib import Path
from typing import Any

from edge.acquire.desk import ASKED, ImportDesk, as_json
from edge.config import EdgeConfig
from edge.identity import FOLDER, EdgeIdentity
from edge.spool.spool import Spool
from gateway import config, durable
from gateway.clock import SystemClock
from gateway.errors import ResourceError, UsageError
from gateway.exclusive import folder_held

EXAMPLES = """examples:
  telerad edge import -c edge.yaml /media/cdrom
  telerad edge import -c edge.yaml --json /srv/old-archive

The DICOMDIR is followed if there is a sound one; otherwise every file is looked at. Exit code 1: something
could not be taken, or nothing was found. A running edge does the work itself; it must be able to read PATH.
"""
ANSWER_SECONDS = 60.0
"""How long a running edge may say nothing before we give up waiting (it goes on)."""


def fill(actions: Any) -> None:
    """The command."""
    parser: argparse.ArgumentParser = actions.add_parser(
        "import",
        help="take what is on a CD, a stick or in a folder; nothing there is changed",
        description="take what is on a CD, a stick or in a folder; nothing there is changed",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", type=Path, metavar="PATH", help="the mounted medium, or a folder")
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="edge.yaml")
    parser.add_argument("--json", action="store_true", help="answer as JSON")
    parser.set_defaults(run=_import)


def _import(parsed: argparse.Namespace) -> int:
    folder: Path = parsed.path.absolute()
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder")
    settings = config.load(parsed.config, EdgeConfig)
    if not (settings.data / FOLDER).exists():
        raise UsageError(f"this edge is not enrolled: {settings.data / FOLDER} is missing")
    told = _by_the_running_edge(settings.data, folder) if _runs(settings.data) else _here(settings, folder)
    if parsed.json:
        print(json.dumps(told))
    else:
        _tell(told)
    return 1 if told["fault"] or told["refused"] or not told["kept"] else 0


def _runs(data: Path) -> bool:
    try:
        with folder_held(data):
            return False
    except UsageError:
        return True


def _here(settings: EdgeConfig, folder: Path) -> dict[str, Any]:
    with folder_held(settings.data):
        identity, clock = EdgeIdentity.load(settings.data / FOLDER), SystemClock()
        spool = Spool.open(
            settings.data,
            site=identity.site,
            recipients=lambda: identity.recipients,
            reserve=settings.spool.reserve,
            taken=settings.spool.digest,
            ahead=settings.spool.ahead,
            clock=clock,
        )
        try:
            desk = ImportDesk(spool, clock, settings.acquire, settings.data)
            job = desk.start_anywhere(folder)
            desk.run_waiting(_progress)
        finally:
            spool.close()
    return as_json(job)


def _by_the_running_edge(data: Path, folder: Path) -> dict[str, Any]:
    ident = secrets.token_hex(8)
    durable.make_folder(data / ASKED)
    answer = data / ASKED / f"{ident}.told"
    durable.replace(answer.with_suffix(".ask"), json.dumps({"folder": str(folder)}).encode())
    heard, last = time.monotonic(), b""
    try:
        while True:
            found = answer.read_bytes() if answer.exists() else b""
            if found != last:
                heard, last = time.monotonic(), found
                told: dict[str, Any] = json.loads(found)
                _progress(told["done"], told["total"])
                if told["ended_at"]:
                    return told
            if time.monotonic() - heard > ANSWER_SECONDS:
                raise ResourceError("the running edge has not answered; see its page under Import")
            time.sleep(0.2)
    finally:
        answer.unlink(missing_ok=True)


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done} of {total} files", end="", file=sys.stderr, flush=True)


def _tell(told: dict[str, Any]) -> None:
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(f"{told['kept']} instances of {len(told['studies'])} studies are kept")
    if told["skipped"]:
        print(f"{told['skipped']} files are no DICOM and were left out")
    for words in told["problems"]:
        print(f"  {words}")
    if told["refused"]:
        print(f"{told['refused']} files could not be taken")
    if told["fault"]:
        print(f"it ended early: {told['fault']}; what was taken is kept, and importing again is harmless")
