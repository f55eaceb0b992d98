"""Series made with a defect are noticed; whole ones are not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from edge.quality.checks import judge
from edge.quality.glimpse import Glimpse, Patient, glimpse
from edge.quality.warning import Severity, Study
from edge.quality.words import WORDS, sentence
from gateway.dicom import transfer
from tests.doubles.datasets import encode
from tests.doubles.instances import ct

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
CR, DX, MG = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.1.2"
US, SC = "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.7"
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def image(number: int = 1, place: float | None = None, **changes: Any) -> Glimpse:
    made = Glimpse(
        study_uid="1.2.3",
        series_uid="1.2.3.1",
        sop_instance_uid=f"1.2.3.1.{number}",
        sop_class_uid=CT,
        modality="CT",
        patient=Patient("P1", "Test^Anna", "19700102", "F"),
        image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
        body_part="NECK",
        number=number,
        position=() if place is None else (0.0, 0.0, place),
        orientation=AXIAL,
        spaced=True,
        rows=512,
        columns=512,
    )
    return replace(made, **changes)


def stack(places: list[float], **changes: Any) -> list[Glimpse]:
    return [image(number, place, **changes) for number, place in enumerate(places, 1)]


def said(*series: list[Glimpse]) -> list[tuple[str, dict[str, str]]]:
    found = judge(Study("1.2.3", {f"1.2.3.{n}": images for n, images in enumerate(series, 1)}))
    assert all(sentence(one, language) for one in found for language in ("en", "zh"))
    return [(one.kind, dict(one.parameters)) for one in found]


def kinds(*series: list[Glimpse]) -> list[str]:
    return [kind for kind, _ in said(*series)]


STEPS = st.floats(min_value=0.3, max_value=10).map(lambda step: round(step, 3))


@settings(deadline=None)
@given(STEPS, st.integers(20, 120), st.floats(-500, 500), st.randoms())
def test_even_slices_are_never_suspect(step: float, count: int, start: float, random: Any) -> None:
    images = stack([start + step * n + random.uniform(-0.04, 0.04) * step for n in range(count)])
    random.shuffle(images)
    assert said(images) == []


@settings(deadline=None)
@given(STEPS, st.integers(20, 120), st.data())
def test_every_hole_is_counted(step: float, count: int, data: st.DataObject) -> None:
    at = data.draw(st.integers(3, count - 8))
    width = data.draw(st.integers(1, 4))
    places = [step * n for n in range(count) if not at <= n < at + width]
    ((kind, told),) = said(stack(places, orientation=AXIAL))
    assert (kind, told["missing"]) == ("slices-missing", str(width))


def test_two_holes_in_a_sagittal_stack() -> None:
    images = [
        image(n, position=(3.0 * n, 10.0, 20.0), orientation=SAGITTAL, modality="MR", sop_class_uid=MR)
        for n in range(40)
        if n not in (12, 25)
    ]
    ((kind, told),) = said(images)
    assert (kind, told) == ("slices-missing", {"missing": "2", "step": "3.00"})


def test_a_slice_out_of_place_is_uneven() -> None:
    places = [5.0 * n for n in range(20)]
    places[10] += 2.0
    assert kinds(stack(places)) == ["spacing-uneven"]


def test_a_skull_in_two_steps_is_meant() -> None:
    assert said(stack([2.5 * n for n in range(12)] + [27.5 + 5.0 * n for n in range(1, 12)])) == []


def test_echoes_and_times_at_one_place_are_stacks_of_their_own() -> None:
    phases = [image(n, 4.0 * (n % 20), stack=("1", str(n // 20))) for n in range(60)]
    assert said(phases) == []
    assert kinds(phases[:25] + phases[26:]) == ["slices-missing"]


def test_an_acquisition_for_each_slice_is_one_stack() -> None:
    images = [image(n, 5.0 * n, stack=(str(n),)) for n in range(20) if n != 9]
    assert kinds(images) == ["slices-missing"]


def test_localizers_and_few_slices_are_not_judged_by_their_places() -> None:
    scout = [
        image(n, place, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))
        for n, place in enumerate((0, 9, 11, 30, 80))
    ]
    assert said(scout) == []


@pytest.mark.parametrize(
    ("numbers", "missing"),
    [
        (range(1, 31), None),
        ([n for n in range(1, 31) if n not in (7, 8)], "7, 8"),
        (range(1, 60, 2), None),
        ([1, 2, 3, 4, 5, 6, 7, 8, 2_000_000_000], None),
    ],
)
def test_numbers_left_out_where_no_place_is_told(numbers: Any, missing: str | None) -> None:
    found = [told for kind, told in said([image(n) for n in numbers]) if kind == "numbers-missing"]
    assert found == ([] if missing is None else [{"missing": "2", "numbers": missing}])


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"sop_class_uid": CR, "modality": "CR", "body_part": "HAND"}, "laterality-absent"),
        ({"sop_class_uid": CR, "modality": "CR", "body_part": "HAND", "description": "both hands"}, None),
        ({"sop_class_uid": CR, "modality": "CR", "body_part": "HAND", "laterality": "L"}, None),
        ({"sop_class_uid": CR, "modality": "CR", "body_part": "HAND", "laterality": "X"}, "laterality-invalid"),
        ({"sop_class_uid": DX, "modality": "DX", "body_part": "KNEE", "laterality": "L", "description": "Knee right"}, "laterality-contradicts"),
        ({"sop_class_uid": DX, "modality": "DX", "body_part": "KNEE", "laterality": "R", "description": "左膝"}, "laterality-contradicts"),
        ({"sop_class_uid": DX, "modality": "DX", "body_part": "CHEST", "laterality": "L", "description": "CHEST RT"}, None),
        ({"sop_class_uid": DX, "modality": "DX", "body_part": "CHEST"}, None),
        ({"sop_class_uid": DX, "modality": "DX", "body_part": "CHEST", "spaced": False}, "pixel-spacing-absent"),
        ({"sop_class_uid": DX, "modality": "DX", "body_part": "CHEST", "spaced": None}, "pixel-spacing-invalid"),
        ({"sop_class_uid": DX, "modality": "DX", "taken": {"DeviationIndex": "3.4"}}, "exposure-high"),
        ({"sop_class_uid": DX, "modality": "DX", "taken": {"DeviationIndex": "-4"}}, "exposure-low"),
        ({"sop_class_uid": DX, "modality": "DX", "taken": {"DeviationIndex": "-1.2", "KVP": "120"}}, None),
        ({"sop_class_uid": DX, "modality": "DX", "taken": {"KVP": "12"}}, "kvp-unusual"),
        ({"sop_class_uid": US, "modality": "US"}, "burned-in-likely"),
        ({"sop_class_uid": US, "modality": "US", "burned_in": "NO"}, None),
        ({"sop_class_uid": SC, "modality": "CT", "burned_in": "YES"}, "burned-in"),
    ],
)  # fmt: skip
def test_one_image(changes: dict[str, Any], kind: str | None) -> None:
    assert kinds([image(orientation=(), **changes)]) == ([] if kind is None else [kind])


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"orientation": ()}, "orientation-absent"),
        ({"orientation": (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)}, "orientation-invalid"),
        ({"orientation": (2.0, 0.0, 0.0, 0.0, 1.0, 0.0)}, "orientation-invalid"),
        ({"spaced": False}, "pixel-spacing-absent"),
        ({"body_part": "HEAD", "taken": {"CTDIvol": "95"}}, "dose-high"),
        ({"body_part": "HEAD", "taken": {"CTDIvol": "62"}}, None),
    ],
)
def test_slices(changes: dict[str, Any], kind: str | None) -> None:
    assert kinds(stack([2.0 * n for n in range(30)], **changes)) == ([] if kind is None else [kind])


@pytest.mark.parametrize(
    ("other", "kind"),
    [
        (Patient("P2", "Test^Anna", "19700102", "F"), "patient-mismatch"),
        (Patient("P1", "TEST^ANNA ", "19700102", "f"), None),
        (Patient("P1", "Test^Anna=测试^安", "", ""), None),
        (Patient("P1", "Other^Bob", "19700102", "F"), "patient-name-differs"),
        (Patient("P1", "Test^Anna", "19710102", "F"), "patient-birth-differs"),
        (Patient("P1", "Test^Anna", "19700102", "M"), "patient-sex-differs"),
    ],
)
def test_whose_images_they_are(other: Patient, kind: str | None) -> None:
    first, second = stack([2.0 * n for n in range(30)]), stack([2.0 * n for n in range(30)], patient=other)
    found = judge(Study("1.2.3", {"1.2.3.1": first, "1.2.3.2": second}))
    assert [one.kind for one in found] == ([] if kind is None else [kind])
    for one in found:
        assert one.series_uid == "1.2.3.2"
        assert "Anna" not in str(one) + sentence(one)
        assert "P1" not in str(one)


def test_too_few_for_the_protocol() -> None:
    head = stack([5.0 * n for n in range(8)], body_part="HEAD")
    assert said(head) == [("too-few", {"images": "8", "fewest": "12", "part": "HEAD"})]
    assert said(head, stack([1.0 * n for n in range(40)], body_part="HEAD")) == []
    chinese = stack([5.0 * n for n in range(8)], body_part="", description="头颅平扫")
    assert kinds(chinese) == ["too-few"]


def test_mammography_of_both_breasts_with_a_view_missing() -> None:
    views = [
        image(n, sop_class_uid=MG, modality="MG", body_part="BREAST", orientation=(), laterality=side)
        for n, side in enumerate("LLRR")
    ]
    assert said(views) == []
    assert kinds(views[:3]) == ["views-unequal"]


# -- pixels, as they come --------------------------------------------------------------------------


def drawn(pixels: Any, number: int = 1, **changes: Any) -> Dataset:
    rows, columns = pixels.shape
    made = ct(number, Rows=rows, Columns=columns, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"], **changes)
    made.ImageOrientationPatient, made.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.5, 0.5]
    made.PixelData = pixels.astype("<u2").tobytes()
    return made


def noise(side: int = 128) -> Any:
    return np.random.default_rng(7).integers(100, 1500, (side, side))


def lettering() -> Any:
    """Letters of four pixels' width on a black ground, beside something seen."""
    picture = np.zeros((256, 256), dtype="u2")
    picture[100:200, 60:200] = noise(256)[:100, :140]
    for row in range(8, 40, 10):
        for column in range(6, 150, 6):
            picture[row : row + 7, column : column + 3] = 4000
    return picture


@pytest.mark.parametrize(
    ("pixels", "kind"),
    [
        (noise(), None),
        (np.full((64, 64), 33), "blank"),
        (np.where(np.arange(128 * 128).reshape(128, 128) % 5 == 0, 4095, noise()), "clipped"),
        (lettering(), "burned-in-seen"),
    ],
)
@pytest.mark.parametrize("syntax", [transfer.IMPLICIT_LITTLE, transfer.EXPLICIT_LITTLE])
def test_what_the_pixels_show(pixels: Any, kind: str | None, syntax: str) -> None:
    images = [glimpse(encode(drawn(pixels, n), syntax), syntax) for n in range(1, 21)]
    assert kinds(images) == ([] if kind is None else [kind])


@settings(deadline=None, max_examples=200)
@given(
    st.binary(max_size=600),
    st.sampled_from([transfer.IMPLICIT_LITTLE, transfer.EXPLICIT_BIG, transfer.DEFLATED_LITTLE, "1.2.3"]),
)
def test_bad_bytes_are_seen_as_nothing(data: bytes, syntax: str) -> None:
    judge(Study("1", {"": [glimpse(data, syntax)]}))


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_damaged_dataset_never_raises(data: st.DataObject) -> None:
    whole = bytearray(encode(drawn(noise(16))))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    seen = glimpse(bytes(whole[: data.draw(st.integers(0, len(whole)))]), transfer.EXPLICIT_LITTLE)
    for one in judge(Study("1", {"": [seen]})):
        sentence(one)


def test_warnings_come_before_notes() -> None:
    images = [image(sop_class_uid=DX, modality="DX", body_part="HAND", spaced=False, orientation=())]
    assert [one.severity for one in judge(Study("1", {"1": images}))] == [Severity.WARNING, Severity.NOTE]


def test_every_kind_has_words_in_both_languages_with_the_same_places() -> None:
    for english, chinese in WORDS.values():
        assert sorted(places(english)) == sorted(places(chinese))


def places(text: str) -> list[str]:
    import string

    return [name for _, name, _, _ in string.Formatter().parse(text) if name]
