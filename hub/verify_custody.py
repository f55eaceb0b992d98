"""``telerad verify custody``: the judgement of `gateway.custody.judge`, in sentences and as a timeline."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.custody.judge import Judged, judge
from gateway.errors import DataError
from gateway.trust import Trust
from gateway.verdict import Verdict


def verify_evidence(data: bytes, trust: Trust) -> Verdict:
    """Judge a file of evidence. Blocking; needs a thread without an event loop.

    Args:
        data: the file.
        trust: roots got another way than with the file.
    """
    try:
        found = judge(data, trust, datetime.now(UTC))
    except DataError as error:
        lines = [f"REFUSED: {error}."]
        return Verdict(ok=False, lines=lines, facts={"kind": "custody-evidence", "error": str(error)})
    return Verdict(ok=True, lines=[*_sentences(found), *_timeline(found)], facts=facts(found))


def facts(found: Judged) -> dict[str, object]:
    """For a script, or for the portal's page."""
    study = found.evidence.study
    return {
        "kind": "custody-evidence",
        "site": study.site,
        "study_uid": study.study_uid,
        "instances": len(study.instances),
        "parcels": len(found.evidence.parcels),
        "reports": [one.report.report_id for one in found.reports],
        "complete": found.complete,
        "witnesses": list(found.witnesses),
        "unwitnessed": list(found.unwitnessed),
        "log": {"origin": found.state.origin, "size": found.state.size, "root": found.state.root.hex()},
        "timeline": [moment.record() for moment in found.moments],
    }


def _sentences(found: Judged) -> list[str]:
    study, state = found.evidence.study, found.state
    images, parcels = len(study.instances), len(found.evidence.parcels)
    seen = ", ".join(found.witnesses) or "no hospital yet"
    return [
        f"Study {study.study_uid} of site {study.site}.",
        f"{images} images: the edge signed the digest of each ({parcels} parcels), the hub its receipt.",
        f"{len(found.reports)} signed reports, unchanged since.",
        f"All of it stands in the custody log {state.origin}, {state.size} entries, root {state.root.hex()}.",
        "The log says that these are all images of the study."
        if found.complete
        else "Whether these are all images of the study is NOT proven: it may have more.",
        f"The log is witnessed by {seen}; {len(found.unwitnessed)} of the entries below are younger.",
    ]


def _timeline(found: Judged) -> list[str]:
    return [
        f"{moment.at[:19].replace('T', ' ')} UTC  {moment.words}"
        + (f"  (entry {moment.entry})" if moment.entry is not None else "")
        for moment in found.moments
    ]
