"""The words of a report's page, by the language it is written in. Pure."""

from __future__ import annotations

from collections.abc import Mapping

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "Radiology report",
        "addendum": "Addendum {number}",
        "addendum_note": "This addendum completes report {supersedes} and must be read together with it.",
        "patient": "Patient",
        "patient_id": "Patient ID",
        "birth_date": "Date of birth",
        "sex": "Sex",
        "examination": "Examination",
        "date": "Date of examination",
        "accession": "Accession number",
        "referring": "Referring physician",
        "hospital": "Hospital",
        "study": "Study UID",
        "clinical_question": "Clinical question",
        "technique": "Technique",
        "comparison": "Comparison",
        "findings": "Findings",
        "impression": "Impression",
        "critical": "CRITICAL FINDING: the referring physician must be told at once",
        "signed": "Electronically signed by {author} on {moment}",
        "signature_note": "Digital signature in this file (PAdES, with time-stamp). "
        "Certificate {certificate}. To check who signed, and that nothing was changed: telerad verify FILE. "
        "On paper this page proves nothing by itself.",
        "report": "Report",
        "digest": "SHA-256 of the signed record",
        "log": "Custody log: {entries} entries, root {root}",
        "page": "Page {page} of {pages}",
        "M": "male",
        "F": "female",
        "O": "other",
        "unknown": "not given",
        "years": "{age} years",
        "version": "Version {number}",
    },
    "zh": {
        "title": "放射学诊断报告",
        "addendum": "补充报告 {number}",
        "addendum_note": "本补充报告是对报告 {supersedes} 的补充，须与原报告一并阅读。",
        "patient": "患者",
        "patient_id": "患者编号",
        "birth_date": "出生日期",
        "sex": "性别",
        "examination": "检查项目",
        "date": "检查日期",
        "accession": "检查号",
        "referring": "申请医师",
        "hospital": "送检医院",
        "study": "检查 UID",
        "clinical_question": "临床问题",
        "technique": "检查方法",
        "comparison": "对比检查",
        "findings": "影像所见",
        "impression": "诊断意见",
        "critical": "危急值：须立即通知申请医师",
        "signed": "由 {author} 于 {moment} 电子签名",
        "signature_note": "本文件含数字签名（PAdES，带时间戳）。证书 {certificate}。"
        "验证签署人及内容是否被改动：telerad verify 文件。纸质打印件本身不具证明效力。",
        "report": "报告",
        "digest": "签名记录 SHA-256",
        "log": "监管日志：{entries} 条记录，根 {root}",
        "page": "第 {page} 页，共 {pages} 页",
        "M": "男",
        "F": "女",
        "O": "其他",
        "unknown": "未提供",
        "years": "{age} 岁",
        "version": "第 {number} 版",
    },
}


def person_name(text: str) -> str:
    """A DICOM person name (PS3.5 §6.2.1) for reading: ``Li^Na=李^娜`` becomes ``李娜 (Li, Na)``."""
    groups = [_group(group, place) for place, group in enumerate(text.split("=")[:2])]
    shown = [group for group in reversed(groups) if group]
    return f"{shown[0]} ({shown[1]})" if len(shown) == 2 else "".join(shown)


def date(text: str) -> str:
    """A DICOM date (DA) as ISO 8601; any other text as it is."""
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdigit() else text


def time(text: str) -> str:
    """A DICOM time (TM) to the minute; empty if there is none."""
    return f"{text[:2]}:{text[2:4]}" if len(text) >= 4 and text[:4].isdigit() else ""


def age(born: str, at: str) -> int | None:
    """Whole years between two DICOM dates, or None if either is not one."""
    if not (len(born) == len(at) == 8 and born.isdigit() and at.isdigit() and at >= born):
        return None
    return int(at[:4]) - int(born[:4]) - (at[4:] < born[4:])


def _group(text: str, place: int) -> str:
    family, given, middle, prefix, suffix = [*(part.strip() for part in text.split("^")), *[""] * 5][:5]
    if place == 1:  # ideographic: no separator
        return f"{family}{given}{middle}"
    first = " ".join(part for part in (prefix, given, middle, suffix) if part)
    return ", ".join(part for part in (family, first) if part)
