"""Frames of enhanced images that are missing or uneven are noticed, however the object is written."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from edge.quality import planes
from edge.quality.checks import judge
from edge.quality.glimpse import Glimpse, glimpse
from edge.quality.warning import Study
from gateway.dicom import transfer
from tests.doubles.datasets import encode
from tests.doubles.instances import ct

MR = "1.2.840.10008.5.1.4.1.1.4.1"
AXIAL = ["1", "0", "0", "0", "1", "0"]
TEN = [float(n) for n in range(10)]


def item(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def frame(place: float, **more: Any) -> Dataset:
    return item(PlanePositionSequence=[item(ImagePositionPatient=["0", "0", f"{place:g}"])], **more)


def enhanced(frames: list[Dataset], *, undefined: bool = False, **shared: Any) -> Dataset:
    shared.setdefault("PlaneOrientationSequence", [item(ImageOrientationPatient=AXIAL)])
    made = ct(SOPClassUID=MR, NumberOfFrames=str(len(frames)), Modality="MR")
    made.SharedFunctionalGroupsSequence = [item(**shared)]
    made.PerFrameFunctionalGroupsSequence = frames
    made["PerFrameFunctionalGroupsSequence"].is_undefined_length = undefined
    return made


def seen(dataset: Dataset, syntax: str = transfer.EXPLICIT_LITTLE) -> Glimpse:
    return glimpse(encode(dataset, syntax), syntax)


def said(dataset: Dataset, syntax: str = transfer.EXPLICIT_LITTLE) -> dict[str, dict[str, str]]:
    found = judge(Study("1.2.3", {"1.2.3.1": [seen(dataset, syntax)]}))
    return {
        one.kind: dict(one.parameters) for one in found if one.kind in ("slices-missing", "spacing-uneven")
    }


@pytest.mark.parametrize(
    "syntax", [transfer.EXPLICIT_LITTLE, transfer.IMPLICIT_LITTLE, transfer.EXPLICIT_BIG]
)
@pytest.mark.parametrize("undefined", [False, True])
def test_missing_frames_are_counted(syntax: str, *, undefined: bool) -> None:
    whole = enhanced([frame(place) for place in TEN], undefined=undefined)
    assert seen(whole, syntax).stacks == (tuple(TEN),)
    assert said(whole, syntax) == {}
    holed = enhanced([frame(place) for place in TEN if place not in (4, 5)], undefined=undefined)
    assert said(holed, syntax) == {"slices-missing": {"missing": "2", "step": "1.00"}}


def test_uneven_frames_are_noticed_in_any_order() -> None:
    places = [9.0, 0, 1, 2, 3.4, 4, 5, 6, 7, 8]
    assert "spacing-uneven" in said(enhanced([frame(place) for place in places]))


def test_an_orientation_of_each_frame_is_its_own() -> None:
    sagittal = [item(ImageOrientationPatient=["0", "1", "0", "0", "0", "-1"])]
    frames = [frame(place) for place in TEN]
    frames += [
        item(
            PlanePositionSequence=[item(ImagePositionPatient=[f"{n}", "0", "0"])],
            PlaneOrientationSequence=sagittal,
        )
        for n in range(20, 29)
    ]
    assert sorted(map(len, seen(enhanced(frames)).stacks)) == [9, 10]
    assert said(enhanced(frames)) == {}


@pytest.mark.parametrize(
    "apart",
    [
        lambda n: {"FrameContentSequence": [item(StackID=str(n))]},
        lambda n: {"FrameContentSequence": [item(TemporalPositionIndex=n)]},
        lambda n: {"MREchoSequence": [item(EffectiveEchoTime=float(n))]},
        lambda n: {"MRDiffusionSequence": [item(DiffusionBValue=float(n * 500))]},
    ],
)
def test_stacks_that_lie_between_each_other_are_judged_apart(apart: Any) -> None:
    both = [frame(place, **apart(1)) for place in TEN] + [frame(place + 0.3, **apart(2)) for place in TEN]
    assert said(enhanced(both)) == {}
    assert len(seen(enhanced(both)).stacks) == 2
    holed = [one for number, one in enumerate(both) if number != 14]
    assert said(enhanced(holed)) == {"slices-missing": {"missing": "1", "step": "1.00"}}


@pytest.mark.parametrize("position", [["0", "0"], ["0", "0", "nan"], ["0", "0", "1e999"], ""])
def test_a_place_that_is_none_is_left_out(position: Any) -> None:
    frames = [frame(place) for place in TEN]
    raw = "\\".join(position).encode() + b" " if position else b""
    frames[0].PlanePositionSequence[0].add_new(0x00200032, "UN", raw)
    assert len(seen(enhanced(frames)).stacks[0]) == 9


def test_nothing_is_said_of_more_frames_than_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planes, "MOST_FRAMES", 8)
    assert seen(enhanced([frame(place) for place in TEN])).stacks == ()


def test_an_enhanced_image_with_nothing_on_it_is_blank() -> None:
    made = enhanced([frame(0)])
    made.PixelData = bytes(len(made.PixelData))
    found = judge(Study("1.2.3", {"1.2.3.1": [seen(made)]}))
    assert "blank" in {one.kind for one in found}
