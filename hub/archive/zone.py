"""By how much a study's own times differ from UTC. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_OFFSET = re.compile(r"[+-](0\d|1[0-4])[0-5]\d")
_WEST, _EAST = -12 * 60, 14 * 60


def utc_offset(told: str, zone: object, date: str, time: str) -> str:
    """The offset in force when a study began, such as ``+0800``; empty: not known.

    Args:
        told: Timezone Offset From UTC (0008,0201), PS3.3 C.12.1.1.8; goes first.
        zone: of the sender's clock by its configuration, an IANA name; anything else means nothing.
        date: Study Date, DA.
        time: Study Time, TM; without it, noon is meant.
    """
    if _OFFSET.fullmatch(told) and _WEST <= _minutes(told) <= _EAST and told != "-0000":
        return told
    if not isinstance(zone, str) or not zone:
        return ""
    try:
        at = f"{date}{time[:4] if len(time) >= 4 else '1200'}"
        begun = datetime.strptime(at, "%Y%m%d%H%M")  # noqa: DTZ007  # its zone follows
        return begun.replace(tzinfo=ZoneInfo(zone)).strftime("%z")[:5]
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return ""


def _minutes(offset: str) -> int:
    return int(f"{offset[0]}1") * (int(offset[1:3]) * 60 + int(offset[3:]))
