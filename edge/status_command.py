"""``telerad edge status``: what waits at the running edge, why, and when it goes, as on its page.

Without patients: what a terminal shows is copied into mails and logs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from edge.config import Console, EdgeConfig
from edge.console.guard import passcode_of
from edge.console.page import explain
from edge.console.words import bytes_text, duration, say
from edge.ingest.commitments import EARLY
from edge.spool.status import Reason, Why
from gateway import config
from gateway.clock import parse_rfc3339
from gateway.errors import Unavailable, UsageError
from gateway.unreached import why

EXAMPLES = """examples:
  telerad edge status -c edge.yaml             exit code 1: the hub is away or a person is needed
  telerad edge status -c edge.yaml --json
"""
SECONDS = 10.0
SHOWN = 20
"""Items that are listed."""
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # where one is found that listens so

Facts = Mapping[str, Any]


def fill(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``status``."""
    summary = "what waits at the running edge, why, and when it goes"
    parser = actions.add_parser(
        "status",
        help=summary,
        description=f"{summary}; without patients.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="edge.yaml")
    parser.add_argument("--json", action="store_true", help="answer as JSON")
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace) -> int:
    facts = asyncio.run(_asked(config.load(parsed.config, EdgeConfig).console))
    for study in facts["studies"]:
        for name in ("patient", "accession", "description"):
            study.pop(name)
    print(json.dumps(facts) if parsed.json else "\n".join(_lines(facts)))
    return 0 if _well(facts) else 1


async def _asked(console: Console) -> dict[str, Any]:
    """What the running edge's page says.

    Raises:
        Unavailable: it does not run, is too slow, says something else, or was given wrong pass-codes of late.
        UsageError: it does not take the configuration's pass-code.
    """
    host = _EVERYWHERE.get(console.host, console.host)
    base = f"http://[{host}]:{console.port}" if ":" in host else f"http://{host}:{console.port}"
    jar, own = aiohttp.CookieJar(unsafe=True), {"Host": "localhost"}  # a name by which the page is known
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    try:
        async with aiohttp.ClientSession(base, timeout=timeout, headers=own, cookie_jar=jar) as session:
            async with session.get("/status.json", allow_redirects=False) as response:
                if response.status != 303:
                    return _facts(await response.json())
            code = passcode_of(console.passcode)
            async with session.post("/login", data={"passcode": code}, allow_redirects=False) as entered:
                if entered.status == HTTPStatus.TOO_MANY_REQUESTS:
                    raise Unavailable(
                        f"too many wrong pass-codes were tried at {base}: ask again in a minute, "
                        "once this file's is right"
                    )
                if entered.status != 303:
                    raise UsageError(f"the edge at {base} does not take the pass-code of this file")
            async with session.get("/status.json", allow_redirects=False) as response:
                return _facts(await response.json())
    except aiohttp.ClientConnectorError as error:
        raise Unavailable(f"this edge does not run: {why(error)}") from error
    except TimeoutError as error:
        raise Unavailable(
            f"{base} has not answered in {SECONDS:.0f} s: is the edge busy? ask again"
        ) from error
    except (aiohttp.ClientError, ValueError) as error:
        told = str(error) or type(error).__name__
        raise Unavailable(f"what answers at {base} is no running edge: {told}") from error


def _facts(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, dict) or "link" not in answer:
        raise ValueError("other facts than of an edge")
    return answer


def _well(facts: Facts) -> bool:
    """Whether nobody need do anything."""
    link = facts["link"]
    reached = link is None or (link["online"] and link["stalled_since"] is None)
    return bool(
        reached
        and facts["disk"]["accepting"]
        and not facts["held"]
        and not facts["config_fault"]
        and not set(facts["troubles"]) - {EARLY}  # that is as the configuration wants it
    )


def _lines(facts: Facts) -> Iterator[str]:
    now = parse_rfc3339(facts["now"])
    yield _line(facts["link"], now)
    size = bytes_text(facts["waiting_bytes"])
    eta = facts["eta_seconds"]
    there = "" if eta is None or not facts["waiting"] else f", all at the hub in about {duration(eta, 'en')}"
    yield f"waiting: {facts['waiting_instances']} images, {size}{there}"
    if facts["held"]:
        yield f"held for a person: {facts['held']}"
    disk = facts["disk"]
    yield f"disk: {bytes_text(disk['free'])} free" + ("" if disk["accepting"] else ", images are refused")
    for fault in (facts["config_fault"], *facts["troubles"]):
        if fault:
            yield f"{'note' if fault == EARLY else 'trouble'}: {fault}"
    for one in facts["studies"]:
        if one["sent"] < one["received"]:
            eta = one["eta_seconds"]
            about = "" if eta is None else f", about {duration(eta, 'en')}"
            kind = f"{one['modality'] or '?'} {one['priority']}"
            yield f"study {one['study_uid']} ({kind}): {one['sent']} of {one['received']} at the hub{about}"
    for item in facts["items"][:SHOWN]:
        kind = f"{item['modality'] or say('en', 'notice')} {item['priority']}"
        told = explain(_reason(item), now, "en")
        yield f"{item['parcel_id']} ({kind}, {bytes_text(item['bytes'])}): {told}"
    more = len(facts["items"]) - SHOWN
    if more > 0:
        yield f"… and {more} or more behind them"


def _line(link: Facts | None, now: datetime) -> str:
    if link is None:
        return "line: not tried yet"
    if not link["online"]:
        seconds = 0.0
        if link["next_try"] is not None:
            seconds = max(0.0, (parse_rfc3339(link["next_try"]) - now).total_seconds())
        following = f"in {duration(seconds, 'en')}" if seconds >= 1 else "now"
        return f"line: down since {link['since']}, next try {following}: {link['reason']}"
    if link["stalled_since"] is not None:
        return f"line: stuck since {link['stalled_since']}, nothing moves"
    rate = f", {link['rate'] * 8 / 1e6:.2f} Mbit/s of late" if link["rate"] else ""
    return f"line: the hub is reached{rate}, {link['streams']} streams"


def _reason(item: Facts) -> Reason:
    since, following = (
        None if one is None else parse_rfc3339(one) for one in (item["since"], item["next_try"])
    )
    return Reason(Why(item["why"]), item["words"], since, following)
