"""Reports to test with: one in English, one in Chinese; no person exists by these names."""

from __future__ import annotations

import dataclasses
from typing import Any

from gateway.model import Sha256
from gateway.report.model import Author, Body, Kind, Patient, Report, Study

ENGLISH = Body(
    clinical_question="Fall from bicycle, GCS 14, headache. Bleeding?",
    technique="Non-contrast CT of the head, 96 slices of 1 mm, bone and brain kernels.",
    comparison="None available.",
    findings=(
        "No intra- or extra-axial haemorrhage. Grey–white differentiation preserved (α-phase, Δ < 5 HU).\n"
        "Ventricles and cisterns of normal width. No midline shift.\n\n"
        "Calvarium intact. Minimal mucosal swelling of the left maxillary sinus."
    ),
    impression="1. No acute intracranial haemorrhage.\n2. No fracture.",
)
CHINESE = Body(
    clinical_question="骑车跌倒，头痛两小时，除外出血。",
    technique="头颅 CT 平扫，层厚 1 mm，骨窗及脑窗重建。",
    comparison="无既往检查可供对比。",
    findings=(
        "左侧额颞部颅板下见梭形高密度影，最厚处约 12 mm，CT 值 65 HU，邻近脑组织受压，中线结构向右移位约 4 mm。\n"
        "左侧颞骨线形骨折，断端无明显移位。脑室系统未见扩张。\n"
        "会诊医师 Иванова Ольга Петровна：острая эпидуральная гематома слева."
    ),
    impression="1. 左侧额颞部急性硬膜外血肿，占位效应，中线右移 4 mm。\n2. 左侧颞骨线形骨折。",
    critical=True,
    language="zh",
)


def report(body: Body = ENGLISH, **changes: Any) -> Report:
    """A report with `body`; any other field by name."""
    whole = Report(
        report_id="5b1f6f0c9d4e4b0f8a7c2d3e4f506172",
        version=1,
        kind=Kind.REPORT,
        site="H001",
        patient=Patient("P-0042", "H001", "Zhang^XiaoDong=张^小东", "19710214", "M"),
        study=Study(
            study_uid="1.2.826.0.1.3680043.8.498.10",
            accession="A2026112201",
            study_id="17",
            study_date="20261122",
            study_time="141530",
            description="CT head without contrast",
            modalities=("CT",),
            body_parts=("HEAD",),
            referring="Petrova^Anna^^Dr",
        ),
        body=body,
        author=Author("wei", "Dr. Wei Lin 林伟", Sha256("ab" * 32)),
        signed_at="2026-11-22T15:02:03.123456Z",
        supersedes=None,
    )
    return dataclasses.replace(whole, **changes)
