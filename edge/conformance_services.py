"""The DIMSE-N services in the DICOM Conformance Statement: storage commitment and MPPS."""

from __future__ import annotations

from edge.config import Committed, Ingest
from edge.ingest import commitment, commitments, mpps
from gateway.conformance.document import Section, Table

_GIVEN = {
    Committed.HUB: "the hub's signed receipt lists the very bytes (by their digest) that came under this UID",
    Committed.SPOOL: "the instance is durable on this edge; the hub may not have it yet",
}


def commitment_section(ingest: Ingest) -> Section:
    """Storage commitment as configured."""
    facts = [
        ("committed when", f"{_GIVEN[ingest.commitment]} (ingest.commitment: {ingest.commitment.value})"),
        ("an instance that never came", f"fails after {float(ingest.commitment_wait):g} s"),
        ("one that is here and not committed", f"fails after {float(ingest.commitment_deadline):g} s"),
        ("instances of one request", f"at most {commitment.MOST}"),
        ("requests that wait at once", f"at most {commitments.MOST_OPEN}"),
        ("a request", "is durable before it is answered; the same Transaction UID is the same request"),
        (
            "N-EVENT-REPORT",
            (
                "over the association that asked while it is open (answer within "
                f"{commitments.CHANNEL_SECONDS:g} s), else over a new one to the sender's report_host "
                f"as SCP by role selection; tried for ever, {commitments.RETRY_FIRST:g} s to "
                f"{commitments.RETRY_CAP:g} s apart"
            ),
        ),
    ]
    return Section(
        "Storage commitment SCP",
        tables=(
            Table.of(("what", "value"), facts),
            Table.of(("status", "meaning"), _statuses(commitment.Status), "N-ACTION statuses"),
            Table.of(("reason", "meaning"), _statuses(commitment.Reason), "Failure reasons"),
            Table.of(
                ("type", "meaning"),
                [(commitment.ALL_HERE, "all committed"), (commitment.FAILURES_EXIST, "failures exist")],
                "Event types",
            ),
        ),
    )


def procedures_section() -> Section:
    """MPPS by its transition table."""
    rows = []
    for (state, event), after in mpps.TABLE.items():
        what = after.value if isinstance(after, mpps.State) else f"0x{after:04X}"
        if after is mpps.Status.PROCESSING_FAILURE:
            what += f", Error ID 0x{mpps.NO_LONGER:04X}"
        rows.append((state.value or "absent", event.value, what))
    return Section(
        "Modality performed procedure step SCP",
        (
            (
                "Used to tell when a study is complete: series and counts of ended steps. An N-CREATE needs "
                "Performed Procedure Step Status and a Scheduled Step Attributes Sequence "
                "with Study Instance UIDs."
            ),
        ),
        (
            Table.of(("state", "request", "becomes"), rows, "States"),
            Table.of(("status", "meaning"), _statuses(mpps.Status), "Statuses"),
            Table.of(("attribute",), [(word,) for word in mpps.FIXED], "Ignored in an N-SET, with 0x0107"),
        ),
    )


def _statuses(kind: type[commitment.Status | commitment.Reason | mpps.Status]) -> list[tuple[str, str]]:
    return [(f"0x{one:04X}", MEANINGS.get(one.name, one.name.replace("_", " ").lower())) for one in kind]


MEANINGS = {
    "INVALID_VALUE": "invalid attribute value: a status that is none, or not IN PROGRESS in an N-CREATE",
    "ATTRIBUTE_LIST": "warning: done, but for attributes that an N-SET must not change",
    "DUPLICATE": "duplicate SOP instance",
    "OUT_OF_RESOURCES": "resource limitation: it cannot be made durable, or is too large",
    "PROCESSING_FAILURE": "processing failure: cannot be read, has ended, or is not committed in time",
    "NO_SUCH_INSTANCE": "no such SOP instance, or object instance",
    "CLASS_CONFLICT": "class-instance conflict: it came as another SOP class",
    "NO_SUCH_CLASS": "no such SOP class",
    "UNRECOGNIZED": "unrecognized operation",
    "INVALID_ARGUMENT": "invalid argument value: no Transaction UID, or no instances",
}
"""More than a name says."""
