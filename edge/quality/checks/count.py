"""Fewer images than the examination needs: a series was not sent, or the examination was broken off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge.quality.warning import PROJECTION, QualityWarning, Study, slices

MAMMOGRAPHY = frozenset(one for one in PROJECTION if one.startswith("1.2.840.10008.5.1.4.1.1.1.2"))


@dataclass(frozen=True, slots=True)
class Protocol:
    """How many slices the largest stack of an examination has at least.

    Args:
        modality: of the series.
        parts: in body part or description, one of these words; none: any.
        slices: the fewest that are believed.
    """

    modality: str
    parts: tuple[str, ...]
    slices: int


PROTOCOLS = (
    Protocol("CT", ("HEAD", "BRAIN", "SKULL", "头", "颅"), 12),
    Protocol("CT", ("CHEST", "THORAX", "LUNG", "胸", "肺"), 20),
    Protocol("CT", ("ABDOMEN", "PELVIS", "腹", "盆"), 20),
    Protocol("CT", (), 5),
    Protocol("MR", ("HEAD", "BRAIN", "头", "脑"), 12),
    Protocol("MR", (), 5),
)
"""The first that fits is taken. Bounds are low on purpose: what is below them is hardly an examination."""


def check(study: Study) -> Iterator[QualityWarning]:
    """The largest series of slices; and mammographies of both breasts that lack a view."""
    largest: tuple[int, str] = (0, "")
    for uid, images in study.series.items():
        largest = max(largest, (len([one for one in slices(images) if one.original]), uid))
    count, uid = largest
    if count:
        first = slices(study.series[uid])[0]
        where = f"{first.body_part} {first.description}".upper()
        protocol = next((one for one in PROTOCOLS if _fits(one, first.modality, where)), None)
        if protocol is not None and count < protocol.slices:
            part = first.body_part or first.modality
            yield study.warn("too-few", uid, images=count, fewest=protocol.slices, part=part)
    yield from _views(study)


def _fits(protocol: Protocol, modality: str, where: str) -> bool:
    return protocol.modality == modality and (
        not protocol.parts or any(part in where for part in protocol.parts)
    )


def _views(study: Study) -> Iterator[QualityWarning]:
    sides: dict[str, int] = {}
    for images in study.series.values():
        for one in images:
            if one.sop_class_uid in MAMMOGRAPHY and one.original and one.laterality in ("L", "R"):
                sides[one.laterality] = sides.get(one.laterality, 0) + 1
    if len(sides) == 2 and sides["L"] != sides["R"] and min(sides.values()) < 2:
        yield study.note("views-unequal", left=sides["L"], right=sides["R"])
