"""Made-up cases in the portal's JSON, for a worklist that looks like a Tuesday morning."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

HOSTILE_NAME = '<img src=x onerror="window.hacked=1">^Test'
# id, priority, name, born, sex, modality, part, description, site, instances, expected, minutes, due, state
ROWS: list[tuple[Any, ...]] = [
    (
        1,
        "stat",
        "Phantom^Head=幻影^头",
        "19580214",
        "O",
        "CT",
        "HEAD",
        "CT head without contrast",
        "H001",
        24,
        24,
        9,
        21,
        "offered",
    ),
    (
        2,
        "stat",
        "Testova^Marina",
        "19910620",
        "F",
        "CT",
        "CHEST",
        "CT pulmonary angiogram",
        "H003",
        312,
        940,
        3,
        57,
        "unassigned",
    ),
    (
        3,
        "urgent",
        HOSTILE_NAME,
        "20190101",
        "M",
        "DX",
        "CHEST",
        "Chest AP, bedside",
        "H002",
        2,
        2,
        38,
        82,
        "offered",
    ),
    (
        4,
        "urgent",
        "Beispiel^Jonas",
        "19770312",
        "M",
        "CT",
        "ABDOMEN",
        "CT abdomen and pelvis with contrast",
        "H002",
        684,
        684,
        44,
        76,
        "reading",
    ),
    (
        5,
        "routine",
        "样本^一=样本^一",
        "20021130",
        "F",
        "MR",
        "BRAIN",
        "MR brain, epilepsy protocol",
        "H001",
        1180,
        1180,
        122,
        418,
        "offered",
    ),
    (
        6,
        "routine",
        "Example^Amina",
        "19850809",
        "F",
        "US",
        "ABDOMEN",
        "Ultrasound upper abdomen",
        "H004",
        41,
        None,
        190,
        350,
        "unassigned",
    ),
    (
        7,
        "routine",
        "Образец^Пётр",
        "19490501",
        "M",
        "CR",
        "HAND",
        "Left hand, two views",
        "H003",
        2,
        2,
        260,
        -12,
        "offered",
    ),
    (
        8,
        "routine",
        "Example^Lindiwe",
        "19960717",
        "F",
        "MG",
        "BREAST",
        "Mammography, screening",
        "H001",
        4,
        4,
        300,
        None,
        "reported",
    ),
]
WHY = [
    "rule “stat head CT”: modality CT is one of CT, MR; body part HEAD is HEAD; priority stat",
    "group neuro: 3 readers; Dr Vega is licensed for H001 until 2027-06-30 and available",
    "least load: Dr Vega has 2 of 50 units open; Dr Osei has 9; Dr Lin is not on duty until 18:00",
]
QUESTION = "Sudden right-sided weakness and headache since this morning. Haemorrhage?"
BODY = {
    "clinical_question": QUESTION,
    "technique": "",
    "comparison": "",
    "findings": "",
    "impression": "",
    "critical": False,
    "language": "en",
}


def rfc3339(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def make_cases(now: datetime, study_uid: str) -> dict[int, dict[str, Any]]:
    made = {row[0]: _case(row, now, study_uid if row[0] == 1 else f"2.25.{row[0]}") for row in ROWS}
    progress(made[2], now)
    return made


WARNED = [
    {"kind": "slices-missing", "severity": "warning", "series_uid": "2.25.1.1", "parameters": {"missing": "2", "step": "2.50"}, "number": 1},
    {"kind": "laterality-absent", "severity": "warning", "series_uid": "2.25.1.1", "parameters": {"part": "HAND", "images": "2"}, "number": 1},
    {"kind": "burned-in-likely", "severity": "note", "series_uid": "", "parameters": {"modality": "US"}, "number": 1},
]  # fmt: skip
TAKEN = [
    {
        "series_uid": "2.25.1.1",
        "parameters": {"KVP": "120", "XRayTubeCurrent": "180–240", "CTDIvol": "48.2"},
    }
]


def progress(row: dict[str, Any], now: datetime, seconds: int = 250) -> None:
    """What an edge tells of a case that still arrives."""
    row["arrival"] = "arriving"
    row["progress"] = {
        "received": row["expected"], "confirmed": row["instances"], "waiting_bytes": 331_000_000,
        "eta_seconds": seconds, "told_at": rfc3339(now), "rate": 1_250_000,
    }  # fmt: skip


def _case(row: tuple[Any, ...], now: datetime, study_uid: str) -> dict[str, Any]:
    number, priority, name, born, sex, modality, part, description, site, count, expected, age, due, state = (
        row
    )
    mine = state in {"offered", "reading"} and number not in {4, 7}
    reader = (
        {"name": "vega", "display_name": "Dr Elena Vega"}
        if mine
        else {"name": "osei", "display_name": "Dr Kofi Osei"}
    )
    came = now - timedelta(minutes=age)
    return {
        "id": number, "state": state, "priority": priority, "study_uid": study_uid,
        "patient": {"name": name, "id": f"P-{1000 + number}", "birth_date": born, "sex": sex},
        "site": site, "modalities": [modality], "body_parts": [part], "description": description,
        "study_date": came.strftime("%Y%m%d"), "study_time": came.strftime("%H%M%S"),
        "utc_offset": "+0800" if number % 2 else "", "institution": "East Clinic" if number % 3 == 1 else "", "accession": f"A26{number:05}",
        "instances": count, "expected": expected, "series": 3 if count > 10 else 1,
        "complete": (expected or count) <= count, "completeness": "counted" if expected else "quiet",
        "received_at": rfc3339(came), "deadline": None if due is None else rfc3339(now + timedelta(minutes=due)),
        "group": "neuro" if part in {"HEAD", "BRAIN"} else "body",
        "assignee": None if state == "unassigned" else reader,
        "messages": {"unread": 2 if number == 5 else 0, "asked": 1 if number == 6 else 0},
        "arrival": "complete", "progress": None, "warnings": WARNED if number == 7 else [],
        "rule": "stat head CT", "conflicts": 1 if number == 5 else 0,
        "report": {"id": "r8", "signed_at": rfc3339(now - timedelta(minutes=48)), "signed_by": "Dr Kofi Osei", "delivery": "acknowledged",
                   "delivered_at": rfc3339(now - timedelta(minutes=47))} if state == "reported" else None,
    }  # fmt: skip


def detail(
    case: dict[str, Any], reports: list[dict[str, Any]], lease: dict[str, Any] | None
) -> dict[str, Any]:
    return case | {
        "clinical_question": QUESTION,
        "why": WHY,
        "lease": lease,
        "priors": [
            {"study_uid": "2.25.77", "study_date": "20240311", "modalities": ["CT"], "description": "CT head without contrast", "report_id": "r7"},
            {"study_uid": "2.25.78", "study_date": "20210905", "modalities": ["MR"], "description": "MR brain", "report_id": None},
        ],
        "series_list": [{"series_uid": "2.25.1.1", "modality": case["modalities"][0], "description": "Head 2.0 mm soft tissue", "instances": case["instances"]}],
        "quality": WARNED if case["warnings"] else [], "acquisition": TAKEN if case["id"] == 1 else [],
        "changes": case.get("changes", []),
        "reports": reports,
        "viewer": f"/ohif/viewer?StudyInstanceUIDs={case['study_uid']}",
    }  # fmt: skip


def report(number: int, kind: str, body: dict[str, Any], now: datetime) -> dict[str, Any]:
    return {
        "id": f"new{number}", "version": number, "kind": kind, "state": "final", "body": body,
        "signed_by": {"name": "vega", "display_name": "Dr Elena Vega"}, "signed_at": rfc3339(now),
        "pdf": f"/api/reports/new{number}/pdf", "pdf_sha256": "ab" * 32,
        "delivery": {"state": "queued", "queued_at": rfc3339(now), "fetched_at": None, "acknowledged_at": None, "reason": None, "outcomes": []},
    }  # fmt: skip


def deliver(signed: dict[str, Any], now: datetime) -> None:
    """What a hospital's acknowledgement adds to a report."""
    at = rfc3339(now)
    signed["delivery"] |= {
        "state": "acknowledged", "fetched_at": at, "acknowledged_at": at,
        "outcomes": [
            {"destination": "reports", "kind": "folder", "outcome": "delivered", "detail": "", "at": at},
            {"destination": "PACS", "kind": "dicom", "outcome": "delivered", "detail": "", "at": at},
            {"destination": "RIS", "kind": "hl7", "outcome": "waiting", "detail": "connection refused, next try in 30 s", "at": at},
        ],
    }  # fmt: skip


def now() -> datetime:
    return datetime.now(UTC)


SAID: list[dict[str, Any]] = [
    {"sender": "reader", "purpose": "request", "need": "images", "text": "Thin slices of the temporal bone, please.",
     "author": "Dr Elena Vega"},
    {"sender": "site", "purpose": "message", "text": HOSTILE_NAME},
    {"sender": "site", "purpose": "done", "text": "Sent again with 1 mm.\n已重新发送。"},
]  # fmt: skip


def conversation(number: int) -> list[dict[str, Any]]:
    """What was said about case 5; nothing about the others."""
    return [say(index, **one) for index, one in enumerate(SAID, 1)] if number == 5 else []


def say(index: int, **more: Any) -> dict[str, Any]:
    at = rfc3339(now() - timedelta(minutes=30 - index))
    came = [{"series_uid": "2.25.5.9", "modality": "MR", "description": "T1 1 mm", "instances": 144}]
    asked = more.get("purpose") == "request"
    return {
        "number": index, "id": f"{index:032x}", "need": "", "author": "", "written_at": at, "at": at, "seen_at": at if asked else None,
        "closed_at": at if asked else None, "came_after": came if asked else None, **more,
    }  # fmt: skip
