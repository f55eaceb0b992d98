"""When is a study complete? A decision with its evidence in words. Pure.

Evidence, the best first: the modality says that its procedure steps have ended, and every image they
made is here; the edge told how many instances each association carried and every one of them is here;
the tags of every series say how large it is, and so large it is; nothing was told, and it has been
quiet. A step in progress, an announced instance that has not come, and an association that has not
closed keep a study open until long overdue; and every late instance reopens it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hub.archive.procedures import Procedures

OVERDUE = 10
"""Instances that were announced are waited for this many times the quiet time."""

TAGS = 4
"""Tags are less than a promise: with them alone, this part of the quiet time is waited for."""


@dataclass(frozen=True, slots=True)
class Tags:
    """What the series of a study say of their own size.

    Args:
        promised: how many series say it.
        fulfilled: how many of those have exactly as many instances.
    """

    promised: int = 0
    fulfilled: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of an arriving study.

    Args:
        instances: different ones that are here.
        received: arrivals, copies counted too, as the associations count them.
        announced: arrivals that closed associations carried; None: the edge told of none.
        associations: how many closed.
        single: whether no association carried more than one instance.
        still: seconds since the last arrival.
        series: how many are here.
        procedures: what the modality says.
        tags: what the series' tags say.
    """

    instances: int
    received: int
    announced: int | None
    associations: int
    single: bool
    still: float
    series: int = 1
    procedures: Procedures = field(default_factory=Procedures)
    tags: Tags = field(default_factory=Tags)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds (`hub.config.Settle`)."""

    after_association: float = 3.0
    quiet: float = 120.0


def judge(evidence: Evidence, patience: Patience) -> str | None:
    """Why the study is complete, in words; None if it is not."""
    if evidence.procedures.steps:
        return _by_procedures(evidence, patience)
    return _by_associations(evidence, patience)


def _by_procedures(evidence: Evidence, patience: Patience) -> str | None:
    """The modality speaks of the study."""
    told, overdue = evidence.procedures, patience.quiet * OVERDUE
    if told.running:
        if evidence.still < overdue:
            return None
        return (
            f"{evidence.instances} instances; a procedure step is still in progress, quiet for {overdue:g} s"
        )
    if told.missing:
        if evidence.still < overdue:
            return None
        return (
            f"incomplete: {told.missing} of {told.images} images that the modality made "
            f"have not come within {overdue:g} s"
        )
    if not told.images:  # it ended without saying what it made
        return _by_associations(evidence, patience)
    under_way = evidence.announced is not None and evidence.received < evidence.announced
    if under_way:
        return _by_associations(evidence, patience)
    if evidence.still < patience.after_association:
        return None
    how = f", {told.discontinued} of them discontinued" if told.discontinued else ""
    steps = "its procedure step" if told.steps == 1 else f"{told.steps} procedure steps{how}"
    if told.steps == 1 and told.discontinued:
        steps = "its discontinued procedure step"
    return f"{evidence.instances} instances; all {told.images} that {steps} made are here"


def _by_associations(evidence: Evidence, patience: Patience) -> str | None:
    told = evidence.announced
    if told is None:
        return _by_tags(evidence, patience)
    if evidence.received < told:
        if evidence.still < patience.quiet * OVERDUE:
            return None
        missing = told - evidence.received
        return (
            f"incomplete: {missing} of {told} announced instances have not come "
            f"within {patience.quiet * OVERDUE:g} s"
        )
    if evidence.received > told:  # an association that has not closed is sending
        if evidence.still < patience.quiet:
            return None
        return (
            f"{evidence.instances} instances; {told} were announced, more came, "
            f"quiet for {patience.quiet:g} s"
        )
    # Some modalities open an association for every image; the end of one says little then.
    wait = patience.quiet if evidence.single and evidence.associations > 1 else patience.after_association
    if evidence.still < wait:
        return None
    ended = "the association" if evidence.associations == 1 else f"{evidence.associations} associations"
    return f"{evidence.instances} instances; all {told} that {ended} carried are here"


def _by_tags(evidence: Evidence, patience: Patience) -> str | None:
    """Nothing was announced."""
    tags = evidence.tags
    whole = tags.promised == evidence.series and tags.fulfilled == tags.promised
    if whole and evidence.still >= patience.quiet / TAGS:
        return (
            f"{evidence.instances} instances; every one of {evidence.series} series is as large as its "
            f"tags say, quiet for {patience.quiet / TAGS:g} s"
        )
    if evidence.still < patience.quiet:
        return None
    short = tags.promised - tags.fulfilled
    doubt = f"; {short} series are not as large as their tags say" if short else ""
    return f"{evidence.instances} instances; nothing was announced, quiet for {patience.quiet:g} s{doubt}"
