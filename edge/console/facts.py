"""The spool's status as JSON and as Prometheus text. Pure."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from math import isinf
from typing import Any

from edge.console.outlook import Outlook
from edge.console.sources import Sources
from edge.spool.item import LinkState, SpoolItem
from edge.spool.states import WAITING, State
from edge.spool.status import Reason, SpoolStatus
from edge.spool.view import StudyProgress
from gateway.clock import rfc3339


def status_json(
    status: SpoolStatus,
    link: LinkState | None,
    now: datetime,
    *,
    studies: bool,
    ahead: Outlook | None = None,
) -> dict[str, Any]:
    """What ``/status.json`` says.

    Args:
        status: of the spool.
        link: of the line; None before the first try.
        now: the time.
        studies: whether patients are named: on the page yes, in what the hub is told no.
        ahead: when things will be there, and what is held back.
    """
    ahead = ahead or Outlook()
    waiting, confirmed = status.load(*WAITING), status.load(State.CONFIRMED, State.PURGED)
    facts: dict[str, Any] = {
        "now": rfc3339(now),
        "waiting": waiting.items,
        "waiting_instances": waiting.instances,
        "waiting_bytes": waiting.size,
        "held": status.load(State.HELD).items,
        "confirmed": confirmed.items,
        "confirmed_instances": confirmed.instances,
        "oldest_waiting": status.oldest_waiting,
        "states": {state.value: status.load(state).items for state in State},
        "disk": {
            "free": status.free,
            "reserve": status.reserve,
            "days_left": status.days_left,
            "accepting": status.accepting,
        },
        "link": None if link is None else _link(link),
        "eta_seconds": _whole(ahead.seconds),
        "budgets": [
            {"priority": priority.word, "words": one.words, "seconds": _whole(one.seconds)}
            for priority, one in ahead.blocked.items()
        ],
        "config_fault": ahead.fault,
        "items": [_item(item, ahead.reason(item, why, now)) for item, why in status.first]
        + [_item(item, None) for item in status.held],
    }
    if studies:
        facts["studies"] = [_study(one, ahead) for one in status.studies]
    return facts


def beside(sources: Sources) -> dict[str, Any]:
    """What ``/status.json`` says besides the spool."""
    until = sources.certificate_until()
    return {
        "certificate_until": None if until is None else rfc3339(until),
        "troubles": list(sources.troubles()),
        "warnings": [
            {"study_uid": one.study_uid, "kind": one.kind, "words": one.words["en"], "at": one.at}
            for one in sources.warnings()
        ],
        "reports": [asdict(one) for one in sources.reports()],
        "messages": [
            {"study_uid": one.study_uid, "unread": one.unread, "waits": one.waits, "messages": len(one.lines)}
            for one in (sources.talks.conversations() if sources.talks else ())
        ],
    }


def _study(one: StudyProgress, ahead: Outlook) -> dict[str, Any]:
    return {
        "study_uid": one.facts.study_uid,
        "patient": {"name": one.facts.patient_name, "id": one.facts.patient_id},
        "accession": one.facts.accession,
        "description": one.facts.description,
        "modality": one.facts.modality,
        "priority": one.priority.word,
        "first_at": one.first_at,
        "last_at": one.last_at,
        "received": one.received,
        "sent": one.sent,
        "eta_seconds": _whole(ahead.studies.get(one.facts.study_uid)),
    }


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None or isinf(seconds) else round(seconds)


def _link(link: LinkState) -> dict[str, Any]:
    return {
        "online": link.online,
        "since": rfc3339(link.since),
        "reason": link.reason,
        "next_try": None if link.next_try is None else rfc3339(link.next_try),
        "rate": int(link.rate),
        "round_trip": link.round_trip,
        "congestion": link.congestion,
        "streams": link.streams,
        "stalled_since": None if link.stalled_since is None else rfc3339(link.stalled_since),
    }


def _item(item: SpoolItem, why: Reason | None) -> dict[str, Any]:
    return {
        "parcel_id": item.parcel_id,
        "state": item.state.value,
        "why": "person" if why is None else why.why.value,
        "words": item.reason if why is None else why.words,
        "since": None if why is None or why.since is None else rfc3339(why.since),
        "next_try": None if why is None or why.next_try is None else rfc3339(why.next_try),
        "priority": item.priority.word,
        "modality": item.modality,
        "instances": item.instances,
        "bytes": item.sealed_size,
        "received_at": item.received_at,
        "sequence": item.sequence,
    }


def metrics(status: SpoolStatus, link: LinkState | None) -> str:
    """Prometheus text exposition format, version 0.0.4."""
    lines = _gauge(
        "telerad_spool_items",
        "Parcels by state.",
        {f'{{state="{state.value}"}}': status.load(state).items for state in State},
    )
    lines += _gauge(
        "telerad_spool_bytes",
        "Sealed bytes by state.",
        {f'{{state="{state.value}"}}': status.load(state).size for state in State},
    )
    lines += _gauge("telerad_disk_free_bytes", "Bytes free on the spool's disk.", {"": status.free})
    lines += _gauge("telerad_disk_reserve_bytes", "Bytes not for images.", {"": status.reserve})
    ready, wanted = status.ahead
    lines += _gauge("telerad_ahead_bytes", "Room for a burst, written before.", {"": ready})
    lines += _gauge("telerad_ahead_wanted_bytes", "How much of it shall be ready.", {"": wanted})
    lines += _gauge("telerad_accepting", "1 if the disk has room for images.", {"": int(status.accepting)})
    if status.days_left is not None:
        text = "Days until the disk is full at the last day's rate."
        lines += _gauge("telerad_disk_days_left", text, {"": status.days_left})
    if link is not None:
        text = "1 if the hub was reached at the last try."
        lines += _gauge("telerad_hub_online", text, {"": int(link.online)})
        text = "1 if nothing moves though the hub is there and something waits."
        lines += _gauge("telerad_uplink_stalled", text, {"": int(link.stalled_since is not None)})
        lines += _gauge("telerad_uplink_bytes_per_second", "Payload rate of late.", {"": link.rate})
    return "\n".join(lines) + "\n"


def _gauge(name: str, text: str, samples: dict[str, float]) -> list[str]:
    lines = [f"# HELP {name} {text}", f"# TYPE {name} gauge"]
    lines += [f"{name}{labels} {value!r}" for labels, value in samples.items()]
    return lines
