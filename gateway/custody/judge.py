"""Whether a file of evidence holds: the rules of EVIDENCE.md, each by itself. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.clock import parse_rfc3339, rfc3339
from gateway.custody import merkle, timeline
from gateway.custody.bundle import open_bundle
from gateway.custody.checkpoint import Checkpoint, NoteVerifier, open_checkpoint
from gateway.custody.commitment import images_digest, study_digest
from gateway.custody.evidence import Evidence, Parcel, Witness
from gateway.custody.timeline import Moment
from gateway.custody.witness import LOG_KEY_KIND, WITNESS_KEY_KIND, open_cosignature, open_key
from gateway.envelope.inner import InnerManifest
from gateway.envelope.judge import header_at_its_time, receipt_at_its_time
from gateway.envelope.receipt import OpenedReceipt, received
from gateway.envelope.signature import Statement, verify
from gateway.envelope.unseal import OpenedHeader
from gateway.errors import Unverified
from gateway.report import pdf_signature
from gateway.report.delivery import ACKNOWLEDGEMENT_KIND, Acknowledgement
from gateway.report.pdf_signature import SignedReport
from gateway.trust import SKEW, Purpose, Trust

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Judged:
    """Evidence that holds.

    Attributes:
        evidence: as it was given.
        state: of the custody log, as signed.
        moments: the way of the study, oldest first.
        witnesses: names of the edges that witnessed the log.
        unwitnessed: positions of entries that no witness has seen yet.
        complete: whether the log says that these are all images the study had when it was complete.
        reports: the signed reports.
    """

    evidence: Evidence
    state: Checkpoint
    moments: tuple[Moment, ...]
    witnesses: tuple[str, ...]
    unwitnessed: tuple[int, ...]
    complete: bool
    reports: tuple[SignedReport, ...]


def judge(data: bytes, trust: Trust, at: datetime) -> Judged:
    """Judge a file of evidence. Blocking; needs a thread without an event loop (PDF signatures).

    Args:
        data: the file.
        trust: roots got another way.
        at: now.

    Raises:
        Malformed: it cannot be read.
        Unverified: the first rule that does not hold, in plain words.
    """
    evidence = Evidence.from_bytes(data)
    log_key, hub = open_key(evidence.log_key, LOG_KEY_KIND, trust)
    state, entries = open_bundle(evidence.log, [log_key])
    parcels = [_parcel(one, evidence.study.site, trust) for one in evidence.parcels]
    for header, manifest, receipt in parcels:
        if receipt.identity.name != hub.name:
            raise Unverified(f"a receipt is of {receipt.identity.name}, the log of {hub.name}")
        _in_log(header, manifest, entries)
    wanted = _instances(evidence, [manifest for _, manifest, _ in parcels])
    complete = _complete(evidence, entries, wanted)
    reports = _reports(evidence, entries, trust, at)
    witnessed = [_witness(one, log_key, state, trust) for one in evidence.witnesses]
    _not_backdated(entries, witnessed)
    seen = max((int(one.facts["entries"]) for one in witnessed), default=0)
    _about(evidence, entries, [header for header, _, _ in parcels], reports)
    moments = [*timeline.of_parcels(parcels, wanted), *timeline.of_log(entries), *witnessed]
    return Judged(
        evidence,
        state,
        tuple(sorted(moments, key=lambda moment: (moment.at, moment.entry or 0))),
        tuple(str(one.facts["edge"]) for one in witnessed),
        tuple(entry["position"] for entry in entries if entry["position"] >= seen),
        complete,
        tuple(reports),
    )


def _parcel(parcel: Parcel, site: str, trust: Trust) -> tuple[OpenedHeader, InnerManifest, OpenedReceipt]:
    """Rules 1 to 3."""
    opened, receipt = header_at_its_time(parcel.header, trust), receipt_at_its_time(parcel.receipt, trust)
    header = opened.header
    if hashlib.sha256(parcel.manifest).hexdigest() != header.manifest_sha256:
        raise Unverified(f"the manifest of parcel {header.parcel_id} is not the one the edge signed")
    manifest = InnerManifest.from_bytes(parcel.manifest)
    manifest = manifest.named([one.sha256 for one in receipt.receipt.instances])
    if {header.site, manifest.site} != {site}:
        raise Unverified(f"parcel {header.parcel_id} is not of site {site}")
    receipt.receipt.check(
        parcel_id=header.parcel_id,
        header_digest=opened.digest,
        site=header.site,
        sequence=header.sequence,
        instances=received(manifest),
    )
    return opened, manifest, receipt


def _in_log(header: OpenedHeader, manifest: InnerManifest, entries: Sequence[Entry]) -> None:
    """Rule 5."""
    digests = [entry.sha256 for entry in manifest.instances]
    for entry in entries:
        if entry["event"] == timeline.STORED and entry["subject"] == header.digest:
            if entry["detail"].get("instances") == digests and entry["site"] == header.header.site:
                return
            raise Unverified(f"the log says something else of parcel {header.header.parcel_id}")
    raise Unverified(f"the log does not say that parcel {header.header.parcel_id} was stored")


def _instances(evidence: Evidence, manifests: Sequence[InnerManifest]) -> frozenset[str]:
    """Rule 4. Returns the SHA-256 of all instances."""
    study = evidence.study
    held = set()
    for manifest in manifests:
        of_study = [entry for entry in manifest.instances if entry.study_uid == study.study_uid]
        if not of_study:
            raise Unverified("a parcel of this file holds nothing of the study")
        held |= {(entry.sop_instance_uid, entry.sha256, entry.length) for entry in of_study}
    listed = {(one.sop_instance_uid, one.sha256, one.length) for one in study.instances}
    if not listed:
        raise Unverified("this file lists no image")
    for uid, _, _ in sorted(listed - held):
        raise Unverified(f"no edge vouches for instance {uid} as one of study {study.study_uid}")
    for uid, _, _ in sorted(held - listed):
        raise Unverified(f"instance {uid} is in a parcel of this file and left out of its list")
    return frozenset(one.sha256 for one in study.instances)


def _complete(evidence: Evidence, entries: Sequence[Entry], images: frozenset[str]) -> bool:
    """Rule 9."""
    study = evidence.study
    said = [
        entry["detail"]
        for entry in entries
        if entry["subject"] == study.subject and isinstance(entry["detail"].get("study"), str)
    ]
    expected = study_digest(study.salt, study.site, study.study_uid)
    if any(detail["study"] != expected for detail in said):
        raise Unverified("the log's entries about the study are about another one")
    return bool(said) and said[-1].get("images") == images_digest(images)


def _reports(evidence: Evidence, entries: Sequence[Entry], trust: Trust, at: datetime) -> list[SignedReport]:
    """Rules 6 and 7, and the reports' own."""
    found = []
    for one in evidence.reports:
        signed = pdf_signature.read(one.pdf, trust, at)
        report = signed.report
        if (report.study.study_uid, report.site) != (evidence.study.study_uid, evidence.study.site):
            raise Unverified(f"report {report.report_id} is about another study")
        digest = hashlib.sha256(one.pdf).hexdigest()
        if not any(
            entry["event"] == "report-signed"
            and entry["subject"] == report.report_id
            and entry["detail"].get("pdf_sha256") == digest
            for entry in entries
        ):
            raise Unverified(f"the log does not say that report {report.report_id} was signed as it is here")
        if one.acknowledgement:
            _acknowledged(one.acknowledgement, signed, trust)
        found.append(signed)
    return found


def _acknowledged(statement: bytes, signed: SignedReport, trust: Trust) -> None:
    claimed = Acknowledgement.from_bytes(Statement.from_bytes(statement).payload)
    moment = parse_rfc3339(claimed.at)
    _, identity = verify(statement, ACKNOWLEDGEMENT_KIND, trust, Purpose.DEVICE, moment)
    if (claimed.report_id, claimed.site, identity.site) != (
        signed.report.report_id,
        signed.report.site,
        signed.report.site,
    ):
        raise Unverified("an acknowledgement is for another report or of another site")


def _witness(witness: Witness, log_key: NoteVerifier, state: Checkpoint, trust: Trust) -> Moment:
    """Rule 8."""
    key, identity = open_key(witness.key, WITNESS_KEY_KIND, trust)
    then = open_checkpoint(witness.note, [log_key])
    seen = open_cosignature(witness.line, then, key)
    merkle.verify_consistency(then.size, state.size, then.root, state.root, witness.proof)
    return Moment(rfc3339(seen.at), "witnessed", {"edge": identity.name, "entries": then.size})


def _not_backdated(entries: Sequence[Entry], witnessed: Sequence[Moment]) -> None:
    """Rule 8: what a witness saw had happened before, give or take what two clocks may differ."""
    for moment in witnessed:
        latest = rfc3339(parse_rfc3339(moment.at) + SKEW)
        for entry in entries:
            if entry["position"] < moment.facts["entries"] and entry["at"] > latest:
                raise Unverified(f"entry {entry['position']} says it was made after a witness had seen it")


def _about(
    evidence: Evidence,
    entries: Sequence[Entry],
    headers: Sequence[OpenedHeader],
    reports: Sequence[SignedReport],
) -> None:
    """Entries about other things have no place in this file: its timeline is of this study alone."""
    subjects = {evidence.study.subject, *evidence.study.cases}
    subjects |= {header.digest for header in headers} | {one.report.report_id for one in reports}
    for entry in entries:
        if entry["subject"] not in subjects:
            raise Unverified(f"entry {entry['position']} of the log is about something else")
