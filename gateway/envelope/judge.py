"""What can be said offline, with the root certificate alone, about a header, a receipt or a parcel file.

A record is judged at the time it states itself: an edge's certificate lives 30 days, its records
for years. The words say so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from gateway.clock import parse_rfc3339
from gateway.custody.chain import Link, examine
from gateway.envelope.layout import HEADER_KIND, RECEIPT_KIND, Draft, Header
from gateway.envelope.receipt import OpenedReceipt, Receipt, open_receipt
from gateway.envelope.signature import Statement, verify
from gateway.envelope.trailer import read_trailer
from gateway.envelope.unseal import OpenedHeader, check_body, open_header
from gateway.errors import DataError, Unverified
from gateway.trust import Purpose, Trust
from gateway.verdict import Verdict

Read = Callable[[int, int], bytes]


def refused(kind: str, error: DataError) -> Verdict:
    """The verdict on something that does not hold."""
    return Verdict(ok=False, lines=[f"REFUSED: {error}."], facts={"kind": kind, "error": str(error)})


def header_at_its_time(signed: bytes, trust: Trust) -> OpenedHeader:
    """Verify a signed header at the time it states. Raises Malformed or Unverified."""
    created_at = Header.from_bytes(Statement.from_bytes(signed).payload).created_at
    return open_header(signed, trust, parse_rfc3339(created_at))


def receipt_at_its_time(signed: bytes, trust: Trust) -> OpenedReceipt:
    """Verify a signed receipt at the time it states. Raises Malformed or Unverified."""
    received_at = Receipt.from_bytes(Statement.from_bytes(signed).payload).received_at
    return open_receipt(signed, trust, parse_rfc3339(received_at))


def judge_statement(signed: bytes, trust: Trust) -> Verdict:
    """Judge any signed statement by its kind: a header, a receipt, or another one's signature."""
    try:
        statement = Statement.from_bytes(signed)
        if statement.kind == HEADER_KIND:
            return _header(header_at_its_time(signed, trust))
        if statement.kind == RECEIPT_KIND:
            return _receipt(receipt_at_its_time(signed, trust))
        return _other(statement, signed, trust)
    except DataError as error:
        return refused("statement", error)


def judge_parcel(read: Read, size: int, signed: bytes | None, trust: Trust | None) -> Verdict:
    """Judge a parcel file without opening it: is it whole, and is it the one that was signed?

    Args:
        read: ``read(offset, n)`` of the file.
        size: bytes of the file.
        signed: its signed header, if it is there.
        trust: the roots; needed only with a header.
    """
    try:
        draft = read_trailer(read, size)
        check_body(draft, lambda at, n: read(at, min(n, max(draft.sealed_size - at, 0))))
        whole = f"All {len(draft.chunks)} sealed chunks are as they were written ({draft.sealed_size} bytes)."
        facts = {"kind": "parcel", "parcel_id": draft.parcel_id, "chunks": len(draft.chunks)}
        if signed is None or trust is None:
            lines = [f"Parcel {draft.parcel_id}, not signed yet: nobody vouches for it.", whole]
            return Verdict(ok=True, lines=lines, facts=facts | {"signed": False})
        opened = header_at_its_time(signed, trust)
        if any(getattr(draft, one.name) != getattr(opened.header, one.name) for one in fields(Draft)):
            raise Unverified("the signed header beside this parcel is for another body")
    except DataError as error:
        return refused("parcel", error)
    verdict = _header(opened)
    return Verdict(ok=True, lines=[*verdict.lines, whole], facts={**verdict.facts, **facts, "signed": True})


def judge_together(opened: list[OpenedHeader], receipts: list[OpenedReceipt]) -> list[Verdict]:
    """Judge records against each other: every receipt with its header, the headers of an edge as a chain."""
    verdicts = [_pair(one, receipt) for one in opened for receipt in receipts if _same_parcel(one, receipt)]
    edges: dict[str, list[OpenedHeader]] = {}
    for one in opened:
        edges.setdefault(one.identity.name, []).append(one)
    return verdicts + [_chain(name, of_edge) for name, of_edge in edges.items() if len(of_edge) > 1]


def _same_parcel(opened: OpenedHeader, receipt: OpenedReceipt) -> bool:
    return opened.header.parcel_id == receipt.receipt.parcel_id


def _pair(opened: OpenedHeader, receipt: OpenedReceipt) -> Verdict:
    header, facts = opened.header, {"kind": "receipt-for-header", "parcel_id": opened.header.parcel_id}
    try:
        receipt.receipt.check(
            parcel_id=header.parcel_id,
            header_digest=opened.digest,
            site=header.site,
            sequence=header.sequence,
        )
    except Unverified as error:
        return refused("receipt-for-header", error)
    return Verdict(ok=True, lines=[f"The receipt is for exactly parcel {header.parcel_id}."], facts=facts)


def _chain(name: str, opened: list[OpenedHeader]) -> Verdict:
    links = sorted(Link.of(one) for one in opened)
    found, first = examine(links), links[0].sequence
    inside = [f"{a}-{b}" for a, b in found.missing if a >= first]
    lines = [f"{name}: headers {first} to {links[-1].sequence}."]
    lines += [f"REFUSED: {fault}." for fault in found.faults]
    if inside:
        lines.append(f"Not among these files: {', '.join(inside)}.")
    elif not found.faults:
        lines.append("None is missing between them and none was replaced.")
    facts = {"kind": "header-chain", "edge": name, "missing": inside, "faults": list(found.faults)}
    return Verdict(ok=not found.faults, lines=lines, facts=facts)


def _header(opened: OpenedHeader) -> Verdict:
    header = opened.header
    place = "the first" if header.sequence == 1 else f"following {header.previous[:16]}…"
    return Verdict(
        ok=True,
        lines=[
            f"Parcel {header.parcel_id} of site {header.site}, signed by {opened.identity.name}.",
            f"Number {header.sequence} of this edge ({place}), priority {header.priority.word}.",
            f"Signed at {header.created_at} by the edge's own clock; its certificate was valid then.",
            f"Sealed with suite {header.suite}: {header.sealed_size} bytes in {len(header.chunks)} chunks.",
        ],
        facts={
            "kind": HEADER_KIND,
            "parcel_id": header.parcel_id,
            "site": header.site,
            "signed_by": opened.identity.name,
            "signed_at": header.created_at,
            "sequence": header.sequence,
            "priority": header.priority.word,
            "digest": opened.digest,
            "previous": header.previous,
            "sealed_size": header.sealed_size,
        },
    )


def _receipt(opened: OpenedReceipt) -> Verdict:
    receipt = opened.receipt
    size = sum(one.length for one in receipt.instances)
    return Verdict(
        ok=True,
        lines=[
            f"Receipt of hub {opened.identity.name} for parcel {receipt.parcel_id} of site {receipt.site}.",
            f"The hub holds its {len(receipt.instances)} instances ({size} bytes), each compared by SHA-256.",
            f"Received at {receipt.received_at}; the hub's certificate was valid then.",
            f"For the signed header with digest {receipt.header_digest}.",
        ],
        facts={
            "kind": RECEIPT_KIND,
            "parcel_id": receipt.parcel_id,
            "site": receipt.site,
            "signed_by": opened.identity.name,
            "received_at": receipt.received_at,
            "sequence": receipt.sequence,
            "header_digest": receipt.header_digest,
            "instances": [one.fields() for one in receipt.instances],
        },
    )


def _other(statement: Statement, signed: bytes, trust: Trust) -> Verdict:
    """A statement whose content another station knows: its signature, at the time its certificate began."""
    began = statement.certificates()[0].not_valid_before_utc
    faults: list[Unverified] = []
    for purpose in (Purpose.HUB, Purpose.DEVICE):
        try:
            _, identity = verify(signed, statement.kind, trust, purpose, began)
        except Unverified as error:
            faults.append(error)
            continue
        facts: Mapping[str, Any] = {
            "kind": statement.kind,
            "signed_by": identity.name,
            "digest": statement.digest,
        }
        lines = [
            f"A signed {statement.kind!r} by {identity.name}; unchanged since.",
            "When it was signed is not judged here.",
        ]
        return Verdict(ok=True, lines=lines, facts=facts)
    raise faults[0]
