"""``telerad edge give-up``: a person says that a parcel need not arrive."""

from __future__ import annotations

import argparse
import getpass
from pathlib import Path

from edge.config import EdgeConfig
from edge.uplink.handed import FOLDER
from gateway import config, durable
from gateway.clock import SystemClock, rfc3339
from gateway.errors import UsageError
from gateway.model import parcel_id

EXAMPLES = """examples:
  telerad edge give-up -c edge.yaml 00112233445566778899aabbccddeeff --reason "test image, not of a patient"
"""


def fill(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``give-up``."""
    summary = "stop trying to send one parcel; only a person can, and it is recorded"
    parser = actions.add_parser(
        "give-up",
        help=summary,
        description=f"{summary}. The sealed image stays on this edge's disk. The running edge, or the next "
        "one to start, takes this in within a second.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="edge.yaml")
    parser.add_argument("parcel", metavar="PARCEL", help="its 32 digits, as the edge's page shows them")
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why; no patient in it")
    parser.add_argument("--who", default=None, metavar="NAME", help="who says so (default: this account)")
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace) -> int:
    parcel = parcel_id(parsed.parcel)
    if not parsed.reason.strip():
        raise UsageError("--reason must say why")
    who = parsed.who or getpass.getuser()
    folder = config.load(parsed.config, EdgeConfig).data / FOLDER
    durable.make_folder(folder)
    words = f"given up by {who} at {rfc3339(SystemClock().now())}: {parsed.reason.strip()}"
    durable.replace(folder / f"{parcel}.give-up", words.encode())
    print(f"parcel {parcel}: {words}")
    return 0
