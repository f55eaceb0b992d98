"""The report as HL7 v2.5.1 ORU^R01: its text in OBX TX, the signed PDF in OBX ED. Pure.

Everything that comes from people or headers is escaped (HL7 v2.5.1 §2.7), so no text can begin a
field or segment. The control id (MSH-10) is made from the report id: a message sent twice is the
same message, and a receiver that keeps control ids takes it once.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime

from edge.downlink.verify import Verified
from gateway.errors import Malformed
from gateway.report.model import Kind, Report

CHARSET = "UNICODE UTF-8"
"""HL7 Table 0211."""

SECTIONS = {
    "clinical_question": "55115-0^Request^LN",
    "technique": "55111-9^Current Procedure Descriptions^LN",
    "comparison": "18834-2^Previous Findings^LN",
    "findings": "59776-5^Findings^LN",
    "impression": "19005-8^Impressions^LN",
}
_ESCAPES = str.maketrans(
    {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\", "\n": "\\.br\\", "\t": " "}
)
_CONTROL = re.compile("[\x00-\x1f\x7f]")


def escape(text: str) -> str:
    """Text as it may stand in any field: delimiters and line feeds escaped, no control codes."""
    return _CONTROL.sub("", text.translate(_ESCAPES))


def control_id(report: Report) -> str:
    """MSH-10, at most 20 characters: the same for the same report, always."""
    return report.report_id[:20]


def message(verified: Verified, sender: str, at: datetime) -> bytes:
    """The whole message, UTF-8, segments ended by CR.

    Args:
        verified: the report.
        sender: MSH-3, such as the edge's AE title.
        at: MSH-7.
    """
    report = verified.report
    segments = [_msh(report, sender, at), _pid(report), _orc(report), _obr(verified), *_obx(verified)]
    return ("\r".join(segments) + "\r").encode()


@dataclass(frozen=True, slots=True)
class Answer:
    """An acknowledgement: MSA-1, MSA-2 and the receiver's own words."""

    code: str
    control_id: str
    words: str


def read_answer(data: bytes) -> Answer:
    """Read an ACK. Fields are split before anything is unescaped, and nothing is split again.

    Raises:
        Malformed: no MSH, no MSA, or no code in it.
    """
    text = data.decode("utf-8", "replace")  # only its words may be other than ASCII
    segments = [line for line in re.split("[\r\n]+", text) if line]
    if not segments or not segments[0].startswith("MSH") or len(segments[0]) < 8:
        raise Malformed("the answer is no HL7 message")
    separator = segments[0][3]
    found = {segment[:3]: segment.split(separator) for segment in reversed(segments[1:])}
    acknowledged = [*found.get("MSA", []), "", "", "", ""]
    if acknowledged[1] not in ("AA", "AE", "AR", "CA", "CE", "CR"):
        raise Malformed("the answer says neither yes nor no (MSA-1)")
    error = [*found.get("ERR", []), *[""] * 9]
    words = (acknowledged[3], error[8], error[7], error[3], error[1])
    said = next((word for word in words if word.strip()), "")
    return Answer(acknowledged[1], acknowledged[2], _CONTROL.sub(" ", said)[:300])


def _segment(name: str, fields: dict[int, str]) -> str:
    values = [fields.get(number, "") for number in range(1, max(fields) + 1)]
    return "|".join([name, *values])


def _msh(report: Report, sender: str, at: datetime) -> str:
    # MSH-1 is the separator itself, so field n stands at n - 1 here
    fields = {
        1: "^~\\&",
        2: escape(sender),
        3: escape(report.site),
        4: "RIS",
        5: escape(report.site),
        6: at.strftime("%Y%m%d%H%M%S+0000"),
        8: "ORU^R01^ORU_R01",
        9: control_id(report),
        10: "P",
        11: "2.5.1",
        14: "AL",
        15: "NE",
        17: CHARSET,
    }
    return _segment("MSH", fields)


def _pid(report: Report) -> str:
    patient = report.patient
    identifier = f"{escape(patient.patient_id)}^^^{escape(patient.issuer)}"
    return _segment(
        "PID",
        {
            1: "1",
            3: identifier.rstrip("^"),
            5: _names(patient.name),
            7: patient.birth_date if patient.birth_date.isdigit() else "",
            8: patient.sex if patient.sex in ("M", "F", "O") else "U",
        },
    )


def _orc(report: Report) -> str:
    return _segment("ORC", {1: "RE", 3: escape(report.study.accession or report.study.study_uid)})


def _obr(verified: Verified) -> str:
    report, study = verified.report, verified.report.study
    observed = f"{study.study_date}{study.study_time.split('.')[0]}"
    fields = {
        1: "1",
        3: escape(study.accession or study.study_uid),
        4: f"18748-4^Diagnostic Imaging Report^LN^^{escape(study.description)}".rstrip("^"),
        7: observed if observed.isdigit() else "",
        16: f"^{_names(study.referring)}" if study.referring else "",
        18: escape(study.accession),
        22: _moment(verified.signed_at),
        24: "RAD",
        25: "F",
        32: f"{escape(report.author.name)}&{escape(report.author.display_name)}",
    }
    return _segment("OBR", fields)


def _obx(verified: Verified) -> list[str]:
    report = verified.report
    contents = [("ST", "110180^Study Instance UID^DCM", escape(report.study.study_uid), "")]
    if report.kind is Kind.ADDENDUM:
        note = f"ADDENDUM to report {report.supersedes}"
        contents.append(("TX", "55107-7^Addendum^LN", note, ""))
    for name, code in SECTIONS.items():
        text: str = getattr(report.body, name).strip()
        if text:
            flag = "AA" if report.body.critical and name == "impression" else ""
            contents.append(("TX", code, escape(text), flag))
    pdf = b64encode(verified.pdf).decode("ascii")
    contents.append(("ED", "11528-7^Radiology Report^LN", f"^application^pdf^Base64^{pdf}", ""))
    return [
        _segment(
            "OBX",
            {1: str(number), 2: kind, 3: code, 5: value, 8: flag, 11: "F", 14: _moment(verified.signed_at)},
        )
        for number, (kind, code, value, flag) in enumerate(contents, start=1)
    ]


def _names(name: str) -> str:
    """A DICOM person name as XPN: alphabetic (A), then ideographic (I), as repetitions."""
    shown = []
    for group, representation in zip(name.split("="), ("A", "I"), strict=False):
        family, given, middle, prefix, suffix = [*(escape(part) for part in group.split("^")), *[""] * 5][:5]
        if family or given:
            shown.append(f"{family}^{given}^{middle}^{suffix}^{prefix}^^L^{representation}")
    return "~".join(shown)


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y%m%d%H%M%S+0000")
