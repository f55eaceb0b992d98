"""``telerad rules``: check a rule file; explain what it would do, and why."""

from __future__ import annotations

import argparse
import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select

from gateway import config
from gateway.database import open_database
from gateway.errors import UsageError
from hub.config import HubConfig
from hub.rules.book import RuleBook
from hub.rules.explain import explain
from hub.rules.facts import NAMES, StudyFacts, read_facts
from hub.rules.language import Reading, read
from hub.rules.nodes import Fault
from hub.rules.study import facts_of, studies_of
from hub.tables import VERSION, metadata
from hub.tables.case import reader_groups

EXAMPLES = """examples:
  telerad rules check rules.yaml
  telerad rules check rules.yaml -c hub.yaml        also: has every group a reader?
  telerad rules explain rules.yaml --fact modality=CT --fact body_part=HEAD --fact age=7y
  telerad rules explain rules.yaml --study 1.2.840.113619.2.1 -c hub.yaml --json
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Rules: check a file, explain a decision clause by clause."""
    parser.epilog = EXAMPLES
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    check = actions.add_parser(
        "check", help="tell every fault with its line", description="Check rule files."
    )
    check.add_argument("files", nargs="+", type=Path, metavar="FILE")
    check.add_argument("-c", "--config", type=Path, help="hub.yaml: also look for groups without readers")
    check.add_argument("--json", action="store_true", help="answer as JSON")
    check.set_defaults(run=_check)
    why = actions.add_parser("explain", help="what would happen, and why", description="Explain a decision.")
    why.add_argument("file", type=Path, metavar="FILE")
    why.add_argument(
        "--fact", "--facts", action="append", default=[], metavar="NAME=VALUE", dest="facts",
        help=f"a fact of an imagined study; names: {', '.join(NAMES)}",
    )  # fmt: skip
    why.add_argument("--study", metavar="UID", help="a study the hub has; needs -c")
    why.add_argument("-c", "--config", type=Path, help="hub.yaml")
    why.add_argument("--json", action="store_true", help="answer as JSON")
    why.set_defaults(run=_explain)


def _check(parsed: argparse.Namespace) -> int:
    staffed = asyncio.run(_groups_with_readers(parsed.config)) if parsed.config else None
    results = [(file, _checked(file, staffed)) for file in parsed.files]
    if parsed.json:
        print(json.dumps([_check_document(file, reading) for file, reading in results], ensure_ascii=False))
    else:
        for file, reading in results:
            for note in reading.notes:
                print(f"{file}:{note.line}: {'warning: ' if note.warning else ''}{note.message}")
            count = len(reading.rules.rules) if reading.rules else 0
            print(f"{file}: {count} rules, good" if not reading.faults else f"{file}: not usable")
    return 1 if any(reading.faults for _, reading in results) else 0


def _checked(file: Path, staffed: frozenset[str] | None) -> Reading:
    try:
        reading = read(file.read_bytes(), file=file)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error
    if staffed is None or reading.rules is None:
        return reading
    actions = [*(rule.then for rule in reading.rules.rules), reading.rules.default]
    warnings = [
        Fault(action.line, f"group {action.group} has no reader", warning=True)
        for action in actions
        if action.group not in staffed
    ]
    return Reading(reading.rules, (*reading.notes, *warnings))


def _check_document(file: Path, reading: Reading) -> dict[str, object]:
    return {
        "file": str(file),
        "good": not reading.faults,
        "rules": [rule.name for rule in reading.rules.rules] if reading.rules else [],
        "notes": [
            {"line": note.line, "message": note.message, "severity": "warning" if note.warning else "fault"}
            for note in reading.notes
        ],
    }


def _explain(parsed: argparse.Namespace) -> int:
    book = RuleBook.load(parsed.file)
    if parsed.study:
        if not parsed.config:
            raise UsageError("--study needs -c hub.yaml")
        facts = asyncio.run(_study_facts(parsed.config, parsed.study))
    else:
        facts = read_facts(_pairs(parsed.facts), datetime.now(UTC))
    answer = explain(book.rules, facts)
    print(json.dumps(answer.document(), ensure_ascii=False, indent=2) if parsed.json else answer.text())
    return 0


def _pairs(words: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign:
            raise UsageError(f"--fact {word}: write NAME=VALUE")
        pairs[name.strip()] = value.strip()
    return pairs


async def _study_facts(file: Path, study_uid: str) -> StudyFacts:
    settings = config.load(file, HubConfig)
    database = await open_database(settings.database_url, metadata, version=VERSION)
    try:
        async with database.reading() as connection:
            found = await studies_of(connection, study_uid)
            if not found:
                raise UsageError(f"the hub has no study {study_uid}")
            return await facts_of(connection, found[0])
    finally:
        await database.close()


async def _groups_with_readers(file: Path) -> frozenset[str]:
    settings = config.load(file, HubConfig)
    database = await open_database(settings.database_url, metadata, version=VERSION)
    try:
        async with database.reading() as connection:
            return frozenset((await connection.execute(select(reader_groups.c.group).distinct())).scalars())
    finally:
        await database.close()
