"""How it was taken: what the images say, and what they do not know."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from edge.quality.acquisition import acquisition, to_show
from edge.quality.checks import judge
from edge.quality.glimpse import glimpse
from edge.quality.warning import Study
from gateway.dicom import transfer
from tests.doubles.datasets import encode
from tests.doubles.instances import ct


def study(*images: Dataset, syntax: str = transfer.EXPLICIT_LITTLE) -> Study:
    series: dict[str, list[Any]] = {}
    for image in images:
        seen = glimpse(encode(image, syntax), syntax)
        series.setdefault(seen.series_uid, []).append(seen)
    return Study("1.2.3", series)


def parameters(*images: Dataset, syntax: str = transfer.EXPLICIT_LITTLE) -> dict[str, str]:
    found = acquisition(study(*images, syntax=syntax))
    return dict(found[0]["parameters"]) if found else {}


def test_values_that_differ_are_a_range() -> None:
    images = [ct(number, KVP="120.0", Exposure=str(40 + number), CTDIvol=7.25) for number in (1, 2, 30)]
    assert parameters(*images) == {"KVP": "120", "Exposure": "41–70", "CTDIvol": "7.25"}


def test_no_more_digits_than_count() -> None:
    images = [
        ct(number, CTDIvol=dose, RepetitionTime="15015") for number, dose in ((1, 9.63303), (2, 19.3945))
    ]
    assert parameters(*images) == {"CTDIvol": "9.633–19.39", "RepetitionTime": "15015"}


def test_a_zero_says_that_the_device_did_not_know() -> None:
    assert parameters(ct(KVP="0", Exposure="0", DiffusionBValue=0.0, InversionTime="0.000")) == {
        "DiffusionBValue": "0"
    }


def test_gauss_are_told_in_tesla() -> None:
    assert parameters(ct(MagneticFieldStrength="15015")) == {"MagneticFieldStrength": "1.5"}
    assert parameters(ct(MagneticFieldStrength="3")) == {"MagneticFieldStrength": "3"}


def group(**values: Any) -> Sequence:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return Sequence([item])


@pytest.mark.parametrize("syntax", [transfer.EXPLICIT_LITTLE, transfer.IMPLICIT_LITTLE])
def test_enhanced_objects_say_it_in_their_shared_groups(syntax: str) -> None:
    enhanced = ct(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.2.1",
        NumberOfFrames="1",
        SharedFunctionalGroupsSequence=group(
            CTXRayDetailsSequence=group(KVP=180),
            CTExposureSequence=group(ExposureInmAs=250.5, XRayTubeCurrentInmA=501.0, CTDIvol=91.5),
            PixelMeasuresSequence=group(SliceThickness="0.6"),
        ),
    )
    shown = parameters(enhanced, syntax=syntax)
    assert shown == {
        "KVP": "180",
        "XRayTubeCurrent": "501",
        "Exposure": "250.5",
        "CTDIvol": "91.5",
        "SliceThickness": "0.6",
    }
    kinds = {one.kind for one in judge(study(enhanced, syntax=syntax))}
    assert {"kvp-unusual", "dose-high"} <= kinds


def test_the_page_gets_the_title_what_tells_the_most_and_the_hints() -> None:
    dosed = study(ct(1, KVP="120", CTDIvol=95.0, MagneticFieldStrength="15000"), ct(2, series="1.2.3.2"))
    shown = to_show(dosed, judge(dosed))
    assert [one.title for one in shown.series] == ["CT · 2 Axial", "CT · 2 Axial"]
    assert shown.brief == ("120 kVp", "CTDIvol 95 mGy", "1.5 T")
    (dose,) = [one for one in shown.hints if "CTDIvol" in one.words["en"]]
    assert (dose.warns, dose.series_uid) == (False, "1.2.3.1")
    assert "参考水平" in dose.words["zh"]
