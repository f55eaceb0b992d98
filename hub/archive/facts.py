"""From a dataset's header to the columns of the index. Pure; every fact has a value, absent or not.

A header that cannot be read leaves the facts that the edge's own entry states: the UIDs, the class,
the transfer syntax. An instance is never refused for what its header lacks.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

import zstandard
from sqlalchemy import Table

from gateway.dicom import transfer
from gateway.dicom.header import DatasetHeader
from gateway.envelope.layout import InstanceEntry
from hub.archive.jsonmodel import BULK, Json, Model, merge
from hub.archive.zone import utc_offset
from hub.tables.study import instances, patients, series, studies

Columns = dict[str, Any]

_PIXEL_VR = {0x7FE00010: "OW", 0x7FE00008: "OF", 0x7FE00009: "OD"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_BUT_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_QUESTION = ("00401002", "00321030", "001021B0", "00081080", "00321060")
"""Where the reason for a study may stand, the most exact first: reason for the requested procedure,
reason for study, additional patient history, admitting diagnoses, requested procedure."""


@dataclass(frozen=True, slots=True)
class Facts:
    """One instance, as rows of the index (without the keys that join them)."""

    patient: Columns
    study: Columns
    series: Columns
    instance: Columns
    promised: int | None = None  # instances of the series, as its own tags say
    utc_offset: str = ""  # of the study's times, such as +0800; empty: not known

    @property
    def place(self) -> tuple[str, str, str]:
        """Study, series and SOP Instance UID."""
        return self.study["study_uid"], self.series["series_uid"], self.instance["sop_instance_uid"]


def describe(entry: InstanceEntry, header: DatasetHeader) -> Facts:
    """Everything the index keeps of one instance.

    Args:
        entry: what the edge stated and the hub has verified.
        header: of the same dataset; may be empty, with its flaw.
    """
    model = Model(header.dataset, little_endian=transfer.encoding(entry.transfer_syntax_uid).little)
    data = model.json
    flaws = [flaw for flaw in (header.flaw, *model.flaws[:4]) if flaw]
    study_uid, series_uid, sop_uid = _uids(entry, flaws)
    patient_id = _text(data, "00100020")
    patient = {
        # without a patient ID nobody can be told from anybody: such a patient is known by the study alone
        "issuer": _text(data, "00100021") if patient_id else study_uid,
        "patient_id": patient_id,
        "name": _name(data, "00100010"),
        "birth_date": _text(data, "00100030"),
        "sex": _text(data, "00100040"),
    }
    study = _study(data, study_uid, patient)
    study["institution"] = study["institution"] or _remark(entry, "institution")
    one_series = {
        "series_uid": series_uid,
        "modality": _text(data, "00080060"),
        "number": _integer(data, "00200011"),
        "description": _text(data, "0008103E"),
        "body_part": _text(data, "00180015").upper(),
        "laterality": _text(data, "00200060"),
        "date": _text(data, "00080021"),
        "time": _text(data, "00080031"),
    }
    instance = _instance(entry, header, data) | {"sop_instance_uid": sop_uid, "flaw": "; ".join(flaws)}
    return Facts(
        _fit(patient, patients),
        _fit(study, studies),
        _fit(one_series, series),
        _fit(instance, instances),
        promised(data),
        utc_offset(
            _text(data, "00080201"),
            entry.parameters.get("time_zone"),
            study["study_date"],
            study["study_time"],
        ),
    )


def promised(data: Json) -> int | None:
    """How many instances a series says it has: what senders fill in, and what the standard means by it.

    ``NumberOfSeriesRelatedInstances`` where present; slices by temporal positions (by time slots for
    positron emission, PS3.3 C.8.9.1) where both are; ``ImagesInAcquisition`` is of an acquisition, of
    which a series may have several, and says nothing here.
    """
    if max(1, _integer(data, "00280008") or 1) > 1:
        return None  # these tags count frames there, if anything
    whole = _integer(data, "00201209")
    slices = _integer(data, "00540081")
    times = _integer(data, "00540101") if _text(data, "00080060") == "PT" else _integer(data, "00200105")
    if whole is None and slices is not None and slices > 0:
        whole = slices * (times or 1)
    return whole if whole is not None and 0 < whole < 1_000_000 else None


def packed(model: Json) -> bytes:
    """DICOM JSON as it is kept in a row."""
    text = json.dumps(model, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return zstandard.compress(text.encode("utf-8", "replace"), 3)


def unpacked(kept: bytes) -> bytes:
    """DICOM JSON text, UTF-8, from a row."""
    return bytes(zstandard.decompress(kept))


def _remark(entry: InstanceEntry, name: str) -> str:
    """What the edge's settings say of the sender (FORMAT.md, codecs)."""
    told = entry.parameters.get(name)
    return told if isinstance(told, str) else ""


def _study(data: Json, study_uid: str, patient: Columns) -> Columns:
    return {
        "study_uid": study_uid,
        "patient_name": patient["name"],
        "patient_name_folded": patient["name"].casefold(),
        "patient_birth_date": patient["birth_date"],
        "patient_sex": patient["sex"],
        "study_date": _text(data, "00080020"),
        "study_time": _text(data, "00080030"),
        "accession": _text(data, "00080050"),
        "study_id": _text(data, "00200010"),
        "description": _text(data, "00081030"),
        "referring": _name(data, "00080090"),
        "institution": _text(data, "00080080"),
        "clinical_question": _question(data),
    }


def _instance(entry: InstanceEntry, header: DatasetHeader, data: Json) -> Columns:
    rows, columns = _integer(data, "00280010"), _integer(data, "00280011")
    bits = _integer(data, "00280100")
    additions: Json = {
        "00080016": {"vr": "UI", "Value": [entry.sop_class_uid]},
        "00080018": {"vr": "UI", "Value": [entry.sop_instance_uid]},
        "00083002": {"vr": "UI", "Value": [entry.transfer_syntax_uid]},  # available transfer syntax
    }
    if header.pixel_tag is not None:
        name = f"{header.pixel_tag:08X}"
        additions[name] = {"vr": _PIXEL_VR.get(header.pixel_tag, "OW"), "BulkDataURI": BULK + name}
    for bulk in header.bulk:
        name = f"{bulk.tag:08X}"
        additions[name] = {"vr": bulk.vr, "BulkDataURI": BULK + name}
    return {
        "sop_class_uid": entry.sop_class_uid,
        "transfer_syntax_uid": entry.transfer_syntax_uid,
        "sha256": entry.sha256,
        "size": entry.length,
        "number": _integer(data, "00200013"),
        "rows": rows,
        "columns": columns,
        "frames": max(1, _integer(data, "00280008") or 1),
        "bits_allocated": bits,
        "frame_bits": _frame_bits(data, rows, columns, bits),
        "pixel_offset": header.pixel_offset,
        "pixel_length": header.pixel_length,
        "metadata": packed(merge(data, additions)),
        "calling_ae": entry.calling_ae,
        "received_at": entry.received_at,
    }


def _frame_bits(data: Json, rows: int | None, columns: int | None, bits: int | None) -> int | None:
    """Bits of one frame in native encoding (PS3.5 §8.1.1; 4:2:2 shares its colour, PS3.3 C.7.6.3.1.2)."""
    if not rows or not columns or not bits:
        return None
    samples = _integer(data, "00280002") or 1
    if _text(data, "00280004") in {"YBR_FULL_422", "YBR_PARTIAL_422"} and samples == 3:
        samples = 2
    return rows * columns * samples * bits


def _uids(entry: InstanceEntry, flaws: list[str]) -> tuple[str, str, str]:
    """The three UIDs; where the dataset had none, one made from what is known, so it can be found."""
    sop = entry.sop_instance_uid
    if not sop:
        sop = made_uid("instance", entry.sha256)
        flaws.append("no SOP Instance UID: filed under a made one")
    study = entry.study_uid
    if not study:
        study = made_uid("study", sop)
        flaws.append("no Study Instance UID: filed under a made one")
    one_series = entry.series_uid
    if not one_series:
        one_series = made_uid("series", study)
        flaws.append("no Series Instance UID: filed under a made one")
    return study, one_series, sop


def made_uid(kind: str, seed: str) -> str:
    """A UID derived from `seed`, the same every time (PS3.5 §B.2: 2.25 and a 128-bit number)."""
    digest = hashlib.sha256(f"{kind}:{seed}".encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def _values(data: Json, tag: str) -> list[Any]:
    values = data.get(tag, {}).get("Value")
    return values if isinstance(values, list) else []


def _text(data: Json, tag: str) -> str:
    return "\\".join(str(value) for value in _values(data, tag) if value is not None)


def _name(data: Json, tag: str) -> str:
    """A person name with its groups as DICOM joins them."""
    name = next((value for value in _values(data, tag) if isinstance(value, dict)), {})
    groups = [name.get(key, "") for key in ("Alphabetic", "Ideographic", "Phonetic")]
    return "=".join(groups).rstrip("=")


def _integer(data: Json, tag: str) -> int | None:
    value = next(iter(_values(data, tag)), None)
    if isinstance(value, int) and abs(value) < 2**31:
        return value
    return None


def _question(data: Json) -> str:
    asked = _values(data, "00400275")  # Request Attributes Sequence
    places = [*(item for item in asked if isinstance(item, dict)), data]
    for tag in _QUESTION:
        for place in places:
            found = _text(place, tag)
            if found:
                return found
    return ""


def _fit(columns: Columns, table: Table) -> Columns:
    """Text without control characters, cut to its column: PostgreSQL refuses what SQLite takes."""
    fitted: Columns = {}
    for name, value in columns.items():
        if isinstance(value, str):
            length = getattr(table.c[name].type, "length", None)
            control = _CONTROL_BUT_LINES if length is None else _CONTROL  # only free text has lines
            fitted[name] = control.sub(" ", value)[:length].strip()
        else:
            fitted[name] = value
    return fitted
