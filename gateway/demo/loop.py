"""The reader's half of the loop, driven through the portal's API: find, open, write, sign, follow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from gateway.demo.layout import PEOPLE, Layout
from gateway.demo.portal import Portal
from gateway.errors import Unavailable

WAIT_SECONDS = 120.0
"""Longest wait for one step of the loop; a slow machine needs a part of it."""

REPORT = {
    "technique": "CT of the head without contrast medium, 2 mm slices.",
    "comparison": "None.",
    "findings": "Hyperdense intra-axial collection in the left basal ganglia, about 22 × 34 mm, "
    "without midline shift. Ventricles not dilated. No fracture.",
    "impression": "Acute haemorrhage in the left basal ganglia.\n"
    "左侧基底节急性出血。\nОстрое кровоизлияние слева.",
    "critical": True,
    "language": "en",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of one case."""

    case: dict[str, Any]
    report: dict[str, Any]
    pdf: bytes
    reader: str


async def until(step: str, found: Callable[[], Awaitable[Any]]) -> Any:
    """Ask again and again until `found` gives something.

    Raises:
        Unavailable: it gave nothing for `WAIT_SECONDS`; the message names the step.
    """
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        if result := await found():
            return result
        await asyncio.sleep(0.25)
    raise Unavailable(f"waited {WAIT_SECONDS:.0f} s in vain: {step}")


async def read_and_sign(
    layout: Layout, passwords: dict[str, str], study_uid: str, instances: int, told: Callable[[str], None]
) -> Reading:
    """Wait for the study to be assigned, then read and sign it as the reader it was assigned to.

    Args:
        layout: of the demo.
        passwords: by user name.
        study_uid: of the study to be read.
        instances: how many instances make it whole.
        told: receives a sentence after each step, for progress.
    """
    lead = next(person.name for person in PEOPLE if person.role == "lead")
    async with Portal(layout.addresses.hub_url, layout.ca) as desk:
        await desk.log_in(lead, passwords[lead])

        async def assigned() -> dict[str, Any] | None:
            cases = (await desk.call("GET", "/api/worklist"))["cases"]
            whole = (c for c in cases if c["study_uid"] == study_uid and c["instances"] >= instances)
            return next((c for c in whole if c["complete"] and c["assignee"]), None)

        case = await until("the study is complete at the hub and assigned to a reader", assigned)
    reader = case["assignee"]["name"]
    told(f"assigned to {case['assignee']['display_name']} by rule “{case['rule']}”")
    async with Portal(layout.addresses.hub_url, layout.ca) as desk:
        await desk.log_in(reader, passwords[reader])
        report = await _sign(desk, case["id"], passwords[reader])
        told("report signed")
        report = await _delivered(desk, report["id"])
        told("report delivered and acknowledged")
        pdf, _ = await desk.fetch(report["pdf"])
        return Reading(await desk.call("GET", f"/api/cases/{case['id']}"), report, pdf, reader)


async def _sign(desk: Portal, case: int, passphrase: str) -> dict[str, Any]:
    detail = await desk.call("POST", f"/api/cases/{case}/open")
    draft = await desk.call("GET", f"/api/cases/{case}/draft")
    body = {"clinical_question": detail["clinical_question"], **REPORT}
    change = {"base_revision": draft["revision"], "body": body}
    saved = await desk.call("PUT", f"/api/cases/{case}/draft", change)
    signing = {"revision": saved["revision"], "passphrase": passphrase}
    report: dict[str, Any] = await desk.call("POST", f"/api/cases/{case}/sign", signing)
    return report


async def _delivered(desk: Portal, report_id: str) -> dict[str, Any]:
    async def acknowledged() -> dict[str, Any] | None:
        report: dict[str, Any] = await desk.call("GET", f"/api/reports/{report_id}")
        delivery = report["delivery"] or {}
        outcomes = delivery.get("outcomes", [])
        done = delivery.get("acknowledged_at") and all(o["outcome"] == "delivered" for o in outcomes)
        return report if done else None

    report: dict[str, Any] = await until("the report is delivered at the hospital", acknowledged)
    return report
