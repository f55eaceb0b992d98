"""What the demo claims, each claim checked by its own means, for the table at the end."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from gateway.demo.layout import Layout
from gateway.demo.loop import Reading, until
from gateway.demo.modality import Answer, Sample
from gateway.demo.portal import trusting
from gateway.dicom import part10
from gateway.errors import Malformed

DEFLATED = "1.2.840.10008.1.2.1.99"
PARALLEL = 8
"""Instances asked for at a time."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One line of the last table."""

    claim: str
    evidence: str
    holds: bool


def answered(answers: Sequence[Answer], site: str) -> Claim:
    """Every C-STORE was answered with success or a warning; only deflated files were declined, openly."""
    taken = [answer for answer in answers if answer.taken]
    others = [answer for answer in answers if not answer.taken]
    declined = [a for a in others if a.status is None and a.sample.transfer_syntax_uid == DEFLATED]
    evidence = f"{len(taken)} of {len(answers)} C-STORE answered 0x0000 or a warning"
    if declined:
        evidence += f", {len(declined)} declined before sending (deflated, off by default)"
    return Claim(f"{site}: edge took every instance", evidence, len(others) == len(declined) < len(answers))


async def same_bytes(layout: Layout, token: str, samples: Sequence[Sample], site: str) -> Claim:
    """The hub gives back every dataset, byte for byte (WADO-RS with transfer-syntax=*)."""
    wanted = {sample.sha256 for sample in samples}
    found: set[str] = set()
    headers = {"Authorization": f"Bearer {token}"}
    connector = aiohttp.TCPConnector(ssl=trusting(layout.ca))
    async with aiohttp.ClientSession(
        layout.addresses.hub_url, connector=connector, headers=headers
    ) as session:

        async def whole() -> bool:
            gate = asyncio.Semaphore(PARALLEL)
            missing = [s for s in samples if s.sha256 not in found]
            results = await asyncio.gather(*(_digests(session, s, gate) for s in missing))
            found.update(*results)
            return wanted <= found

        await until(f"{len(wanted)} instances are at the hub", whole)
    evidence = f"{len(wanted & found)} of {len(wanted)} SHA-256 equal over WADO-RS"
    return Claim(f"{site}: hub holds what the scanner sent", evidence, wanted <= found)


async def _digests(session: aiohttp.ClientSession, sample: Sample, gate: asyncio.Semaphore) -> set[str]:
    """Digests of every dataset the hub returns for the sample's instance UID."""
    async with (
        gate,
        session.get("/dicomweb/instances", params={"SOPInstanceUID": sample.sop_instance_uid}) as response,
    ):
        rows: list[dict[str, Any]] = await response.json() if response.status == 200 else []
    digests = set()
    for row in rows:
        path = (
            f"/dicomweb/studies/{quote(_value(row, '0020000D'))}/series/{quote(_value(row, '0020000E'))}"
            f"/instances/{quote(sample.sop_instance_uid)}"
        )
        accept = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
        async with gate, session.get(path, headers=accept) as response:
            if response.status == 200:
                digests |= await _parts(response)
    return digests


async def _parts(response: aiohttp.ClientResponse) -> set[str]:
    reader = aiohttp.MultipartReader.from_response(response)
    digests = set()
    while (part := await reader.next()) is not None:
        if not isinstance(part, aiohttp.BodyPartReader):
            raise Malformed("WADO-RS answered with a multipart inside a multipart")
        body = bytes(await part.read())
        digests.add(hashlib.sha256(part10.split(body).dataset).hexdigest())
    return digests


def _value(row: dict[str, Any], tag: str) -> str:
    return str(row[tag]["Value"][0])


async def nothing_waits(console: str, site: str) -> Claim:
    """The edge holds a verified receipt for all it took."""
    async with aiohttp.ClientSession() as session:

        async def confirmed() -> dict[str, Any] | None:
            async with session.get(f"{console}/status.json") as response:
                status: dict[str, Any] = await response.json()
            return status if status["waiting"] == 0 and status["held"] == 0 else None

        status = await until("the edge has a receipt for everything", confirmed)
    evidence = f"{status['confirmed']} parcels receipted and verified, none waits, none held"
    return Claim(f"{site}: every receipt verified", evidence, True)


def no_patient_on_disk(layout: Layout, site: str, samples: Sequence[Sample]) -> Claim:
    """No patient name, ID or UID stands in any file below the edge's data folder."""
    texts = {
        text.encode() for sample in samples for text in (*sample.patient, sample.sop_instance_uid) if text
    }
    data = layout.folder / site / "data"
    files = [path for path in data.rglob("*") if path.is_file()]
    guilty = [path.name for path in files if any(text in path.read_bytes() for text in texts)]
    evidence = f"{len(texts)} names and UIDs sought in {len(files)} files: " + (
        ", ".join(guilty[:3]) or "none"
    )
    return Claim(f"{site}: the edge's disk shows no patient", evidence, not guilty and bool(files))


async def viewer_answers(layout: Layout, token: str, reading: Reading) -> Claim:
    """What the viewer asks for is there: metadata of every series and a frame of the first instance."""
    study = reading.case["study_uid"]
    connector = aiohttp.TCPConnector(ssl=trusting(layout.ca))
    headers = {"Authorization": f"Bearer {token}"}
    frames = 0
    async with aiohttp.ClientSession(
        layout.addresses.hub_url, connector=connector, headers=headers
    ) as session:
        async with session.get(f"/dicomweb/studies/{study}/metadata") as response:
            rows = await response.json()
        images = [row for row in rows if "00280010" in row]
        for row in images[:1] + images[len(images) // 2 : len(images) // 2 + 1]:
            path = (
                f"/dicomweb/studies/{study}/series/{_value(row, '0020000E')}"
                f"/instances/{_value(row, '00080018')}/frames/1"
            )
            accept = {"Accept": "multipart/related; type=application/octet-stream; transfer-syntax=*"}
            async with session.get(path, headers=accept) as response:
                frames += response.status == 200 and len(await response.read()) > 0
        async with session.get(reading.case["viewer"], allow_redirects=False) as response:
            page = response.status == 200
    evidence = (
        f"metadata of {len(images)} images, {frames} frames, viewer page {'served' if page else 'missing'}"
    )
    return Claim("the viewer can show the study", evidence, frames == min(2, len(images)) > 0 and page)


def assigned(reading: Reading) -> Claim:
    """The case reached a reader by a rule, with the reasons kept."""
    case = reading.case
    evidence = f"{case['assignee']['display_name']}, rule “{case['rule']}”, {len(case['why'])} reasons kept"
    return Claim("assigned by the rules", evidence, bool(case["why"]) and bool(case["rule"]))


def signature_holds(layout: Layout, pdf: bytes, claim: str) -> Claim:
    """``telerad verify`` accepts the PDF, and refuses it with one byte flipped."""
    good, words = _verify(layout, pdf)
    middle = len(pdf) // 3
    flipped, _ = _verify(layout, pdf[:middle] + bytes([pdf[middle] ^ 1]) + pdf[middle + 1 :])
    evidence = f"{words}; one flipped byte {'refused' if not flipped else 'ACCEPTED'}"
    return Claim(claim, evidence, good and not flipped)


def _verify(layout: Layout, pdf: bytes) -> tuple[bool, str]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.pdf"
        file.write_bytes(pdf)
        command = [
            sys.executable,
            "-m",
            "gateway.cli",
            "verify",
            "--root",
            str(layout.ca),
            "--json",
            str(file),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        verdict = json.loads(done.stdout)
    except json.JSONDecodeError:
        return False, done.stderr.strip()[:200]
    facts = (verdict[0] if isinstance(verdict, list) else verdict).get("facts", {})
    return done.returncode == 0, f"signed by {facts.get('signed_by', '?')} at {facts.get('signed_at', '?')}"


def way_proven(layout: Layout, site: str, study_uid: str) -> Claim:
    """``telerad hub custody study`` writes the evidence of the way; ``telerad verify custody`` accepts it."""
    claim, file = f"{site}: the way of every image is proven", layout.folder / f"{site}-custody.json"
    file.unlink(missing_ok=True)
    write = ["hub", "custody", "study", "-c", str(layout.hub_config), study_uid, "-o", str(file)]
    read = ["verify", "custody", str(file), "--root", str(layout.ca), "--json"]
    for words in (write, read):
        command = [sys.executable, "-m", "gateway.cli", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return Claim(claim, (done.stdout + done.stderr)[-300:], False)
    (facts,) = [verdict["facts"] for verdict in json.loads(done.stdout)]
    evidence = (
        f"{facts['instances']} images signed for by edge and hub, {len(facts['reports'])} reports, "
        f"{len(facts['timeline'])} moments, log of {facts['log']['size']} entries, "
        f"{len(facts['witnesses'])} witnesses"
    )
    return Claim(claim, evidence, True)


def delivered(layout: Layout, site: str, reading: Reading) -> Claim:
    """The very PDF lies in the hospital's folder, and every destination has answered."""
    wanted = hashlib.sha256(reading.pdf).hexdigest()
    files = list(layout.deliver_dir(site).rglob("*.pdf"))
    there = any(hashlib.sha256(file.read_bytes()).hexdigest() == wanted for file in files)
    outcomes = reading.report["delivery"]["outcomes"]
    words = ", ".join(f"{o['destination']} {o['outcome']}" for o in outcomes)
    good = there and bool(outcomes) and all(o["outcome"] == "delivered" for o in outcomes)
    return Claim(f"{site}: report at the hospital, acknowledged", words, good)
