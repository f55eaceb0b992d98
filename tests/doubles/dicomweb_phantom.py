"""A DICOMweb server with one study: a plain generated head, in a coarse grid, uncompressed."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
from aiohttp import web
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from gateway.demo import phantom

SLICES, SIZE, STEP_MM, SPACING_MM = 24, 256, 6.0, 0.9


@cache
def instances() -> tuple[Dataset, ...]:
    """A plain head from two ellipsoids and a bleed, made once a process; the header is the demo phantom's."""
    started = datetime(2026, 1, 5, 8, 30, tzinfo=UTC)
    template = next(phantom.head_ct(started=started, run="browser"))
    del template.PixelData
    return tuple(_instance(template, index) for index in range(SLICES))


def _instance(template: Dataset, index: int) -> Dataset:
    dataset = deepcopy(template)
    dataset.SOPInstanceUID = phantom.derived_uid("browser", "instance", index)
    dataset.InstanceNumber = index + 1
    x, y = np.meshgrid(np.linspace(-1.2, 1.2, SIZE), np.linspace(-1.2, 1.2, SIZE))
    z = (index - SLICES / 2) / SLICES * 2
    head = (x / 0.8) ** 2 + y**2 + z**2
    plane = np.select(
        [head < 0.78, head < 0.95, head < 1.05], [1060 + 8 * np.sin(9 * x) * np.cos(11 * y), 2200, 1070], 24
    )
    plane[(x - 0.25) ** 2 + (y + 0.1) ** 2 + z**2 < 0.03] = 1092
    dataset.PixelData = plane.astype("<u2").tobytes()
    dataset.Rows = dataset.Columns = SIZE
    dataset.PixelSpacing = [SPACING_MM, SPACING_MM]
    dataset.ImagePositionPatient = [-115, -115, index * STEP_MM]
    dataset.SliceThickness = dataset.SpacingBetweenSlices = str(STEP_MM)
    return dataset


def study_uid() -> str:
    return str(phantom.derived_uid("browser", "study"))


def _some(source: Dataset, *keywords: str) -> Dataset:
    chosen = Dataset()
    for keyword in keywords:
        setattr(chosen, keyword, source[keyword].value)
    return chosen


def _json(*datasets: Dataset) -> web.Response:
    body = [dataset.to_json_dict() for dataset in datasets]
    return web.json_response(body, content_type="application/dicom+json")


async def _studies(request: web.Request) -> web.Response:
    wanted = request.query.get("StudyInstanceUID") or request.query.get("0020000D")
    if wanted and study_uid() not in wanted:
        return _json()
    first = instances()[0]
    row = _some(
        first, "SpecificCharacterSet", "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber",
        "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDescription", "StudyID",
    )  # fmt: skip
    row.ModalitiesInStudy = ["CT"]
    row.NumberOfStudyRelatedSeries, row.NumberOfStudyRelatedInstances = 1, len(instances())
    return _json(row)


async def _series(request: web.Request) -> web.Response:
    first = instances()[0]
    row = _some(
        first,
        "SpecificCharacterSet",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "Modality",
        "SeriesNumber",
        "SeriesDescription",
    )
    row.NumberOfSeriesRelatedInstances = len(instances())
    return _json(row)


async def _metadata(request: web.Request) -> web.Response:
    rows: list[Any] = []
    for dataset in instances():
        row = Dataset()
        row.update({element.tag: element for element in dataset if element.keyword != "PixelData"})
        rows.append(row)
    return _json(*rows)


async def _frame(request: web.Request) -> web.Response:
    wanted = request.match_info["instance"]
    dataset = next(each for each in instances() if each.SOPInstanceUID == wanted)
    kind = f"application/octet-stream; transfer-syntax={ExplicitVRLittleEndian}"
    part = f"--part\r\nContent-Type: {kind}\r\n\r\n".encode() + dataset.PixelData + b"\r\n--part--\r\n"
    header = 'multipart/related; type="application/octet-stream"; boundary=part'
    return web.Response(body=part, headers={"Content-Type": header})


def routes() -> list[web.RouteDef]:
    study = "/dicomweb/studies/{study}/series"
    return [
        web.get("/dicomweb/studies", _studies),
        web.get(study, _series),
        web.get(study + "/{series}/metadata", _metadata),
        web.get(study + "/{series}/instances/{instance}/frames/{frame}", _frame),
    ]
