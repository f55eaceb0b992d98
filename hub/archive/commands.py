"""``telerad hub study``: which studies are not complete, why, and a person's word that one is."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sqlalchemy import select

from gateway import config
from gateway.clock import SystemClock
from gateway.database import Database, open_database
from gateway.errors import Refused, UsageError
from hub.archive.settle import CONSOLE, force
from hub.archive.states import StudyState
from hub.config import HubConfig
from hub.custody import CustodyLog
from hub.tables import VERSION, metadata
from hub.tables.study import studies

EXAMPLES = """examples:
  telerad hub study list -c hub.yaml
  telerad hub study complete 1.2.840.113619.2.55.3 -c hub.yaml --reason "the scanner broke down"
"""
MOST = 1000

Actions = Any  # argparse keeps the type of sub-parsers to itself
Work = Callable[[argparse.Namespace, HubConfig, Database], Awaitable[int]]


def fill(actions: Actions) -> None:
    """Studies and whether they are complete."""
    form, summary = argparse.RawDescriptionHelpFormatter, "studies that arrive: list them, call one complete"
    parser = actions.add_parser(
        "study", help=summary, description=summary, epilog=EXAMPLES, formatter_class=form
    )
    group = parser.add_subparsers(metavar="ACTION", required=True)
    _command(group, "list", "studies that are not complete, oldest first", _list)
    complete = _command(group, "complete", "take a study as complete with what is here", _complete)
    complete.add_argument("study", metavar="UID", help="its Study Instance UID")
    complete.add_argument("--site", help="the hospital, where several sent this study")
    complete.add_argument("--reason", default="", help="why; shown with the study")


def _command(group: Actions, name: str, summary: str, work: Work) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = group.add_parser(name, help=summary, description=summary)
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="hub.yaml")
    parser.add_argument("--json", action="store_true", help="answer as JSON")
    parser.set_defaults(run=lambda parsed: asyncio.run(_with_database(parsed, work)))
    return parser


async def _with_database(parsed: argparse.Namespace, work: Work) -> int:
    settings = config.load(parsed.config, HubConfig)
    database = await open_database(settings.database_url, metadata, version=VERSION)
    try:
        return await work(parsed, settings, database)
    finally:
        await database.close()


async def _list(parsed: argparse.Namespace, _: HubConfig, database: Database) -> int:
    names = ("site", "study_uid", "state", "instance_count", "expected_count", "first_at", "last_at")
    query = select(*(studies.c[name] for name in names)).where(studies.c.state != StudyState.COMPLETE.value)
    async with database.reading() as connection:
        found = (await connection.execute(query.order_by(studies.c.first_at).limit(MOST))).mappings().all()
    if parsed.json:
        print(json.dumps({"studies": [dict(row) for row in found]}))
        return 0
    for row in found:
        expected = f" of {row['expected_count']}" if row["expected_count"] else ""
        count = f"{row['instance_count']}{expected} instances"
        print(f"{row['site']:<10} {row['study_uid']}  {row['state']}  {count}, the last at {row['last_at']}")
    if not found:
        print("every study is complete")
    return 0


async def _complete(parsed: argparse.Namespace, settings: HubConfig, database: Database) -> int:
    mine = studies.c.study_uid == parsed.study
    if parsed.site:
        mine &= studies.c.site == parsed.site
    async with database.writing() as connection:
        rows = (await connection.execute(select(studies.c.id, studies.c.site).where(mine))).all()
        if len(rows) > 1:
            sites = ", ".join(sorted(row.site for row in rows))
            raise UsageError(f"several hospitals sent this study; say which with --site: {sites}")
        if not rows:
            return _not(parsed, f"there is no study {parsed.study}; see telerad hub study list")
        custody, reason, now = (
            CustodyLog.of(settings.data, database),
            parsed.reason.strip()[:2000],
            SystemClock().now(),
        )
        try:
            await force(connection, custody, rows[0].id, by=CONSOLE, reason=reason, now=now)
        except Refused as refusal:
            return _not(parsed, str(refusal))
    said = {"complete": True, "site": rows[0].site, "study_uid": parsed.study}
    print(json.dumps(said) if parsed.json else f"{parsed.study} of {rows[0].site} counts as complete")
    return 0


def _not(parsed: argparse.Namespace, why: str) -> int:
    print(json.dumps({"complete": False, "why": why}) if parsed.json else why)
    return 1
