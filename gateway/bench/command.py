"""``telerad bench``: measure ingest and the line on this machine, beside the programs people use today."""

from __future__ import annotations

import argparse

from gateway.bench import ingest_command, line_command, soak

EXAMPLES = """examples:
  telerad bench line                             every scenario, beside Orthanc (as root, about 15 minutes)
  telerad bench line satellite --no-peers        CT over 384 kbit/s and 715 ms
  telerad bench line far --rate '2 Mbit' --rtt 300 --loss 1 --congestion cubic
  telerad bench line satellite --study ~/ct      your own files
  telerad bench ingest                           one and four associations, beside dcmtk and Orthanc
  telerad bench ingest --instances 100 --rounds 1 --json
  telerad bench ingest --hold 10000              is the rate the same with 10,000 in the spool?
  telerad bench ingest --indexed 1000000         and with rows of a million in its index?
  telerad bench ingest --wire '1 Gbit'           scanners behind a network of it, as root
  telerad bench ingest --big 2GB                 one huge multi-frame instance, and what memory it took
  telerad bench soak --instances 200000 --plot soak.svg
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Measure ingest and the line, each beside its goal and its peers."""
    parser.epilog = EXAMPLES
    actions = parser.add_subparsers(metavar="WHAT", required=True)
    line_command.fill(actions)
    ingest_command.fill(actions)
    soak.fill(actions)
