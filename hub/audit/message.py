"""A deed as a DICOM audit message: the XML of PS3.15 A.5.1. Pure.

Built as a tree, never as text, so that nothing a person typed can become markup; characters XML
cannot hold become U+FFFD.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET  # only written here; nothing is parsed

from hub.audit.events import ACCESSED, ALERT, EXPORT, LOG_USED, QUERY, TRANSFERRED, Code, kind_of

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_USER = Code("110153", "Source Role ID")
_TARGET = Code("110152", "Destination Role ID")
_APPLICATION = Code("110150", "Application")
_STUDY = Code("110180", "Study Instance UID")
_ALERT_OBJECT = Code("110182", "Node ID")
_LOG = "Security Audit Log"


@dataclass(frozen=True, slots=True)
class Source:
    """Where the message comes from.

    Args:
        hub: AuditSourceID and UserID of the hub itself.
        enterprise: AuditEnterpriseSiteID; empty: none.
        url: of the portal.
    """

    hub: str
    enterprise: str = ""
    url: str = ""


def audit_message(row: Mapping[str, Any], source: Source) -> bytes:
    """The message of one row of `audit_events`, UTF-8 with its declaration."""
    kind = kind_of(row["event"])
    detail = json.loads(row["detail"])
    root = ET.Element("AuditMessage")
    identification = _add(
        root,
        "EventIdentification",
        EventActionCode=kind.action,
        EventDateTime=row["at"],
        EventOutcomeIndicator=str(row["outcome"]),
    )
    _coded(identification, "EventID", kind.event)
    if kind.type is not None:
        _coded(identification, "EventTypeCode", kind.type)
    _participants(root, row, source, kind.event, detail)
    audit_source = _add(root, "AuditSourceIdentification", AuditSourceID=source.hub)
    if source.enterprise:
        audit_source.set("AuditEnterpriseSiteID", _clean(source.enterprise))
    _add(audit_source, "AuditSourceTypeCode", **{"csd-code": "4"})  # application server process
    _objects(root, row, source, kind.event, detail)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def _participants(
    root: ET.Element, row: Mapping[str, Any], source: Source, event: Code, detail: Mapping[str, Any]
) -> None:
    hub = {"UserID": source.hub, "UserIsRequestor": "false"}
    if event == TRANSFERRED and row["site"] and not row["person"]:  # a hospital's edge and the hub
        inward = row["event"] == "study-received"
        edge = _add(root, "ActiveParticipant", UserID=f"site {row['site']}", UserIsRequestor="true")
        _coded(edge, "RoleIDCode", _USER if inward else _TARGET)
        _coded(_add(root, "ActiveParticipant", **hub), "RoleIDCode", _TARGET if inward else _USER)
        return
    person = {"UserID": row["person"] or source.hub, "UserIsRequestor": "true"}
    if row["address"]:
        person["NetworkAccessPointID"] = row["address"]
        person["NetworkAccessPointTypeCode"] = "2" if _is_address(row["address"]) else "1"
    asking = _add(root, "ActiveParticipant", **person)
    taking = event in (TRANSFERRED, EXPORT)  # the person's program receives, the hub sends
    if taking:
        _coded(asking, "RoleIDCode", _TARGET)
    elif not row["person"]:
        _coded(asking, "RoleIDCode", _APPLICATION)
    if row["person"]:
        _coded(_add(root, "ActiveParticipant", **hub), "RoleIDCode", _USER if taking else _APPLICATION)


def _objects(
    root: ET.Element, row: Mapping[str, Any], source: Source, event: Code, detail: Mapping[str, Any]
) -> None:
    if event == LOG_USED:  # A.5.3.5: the log itself, as a system object of role security resource
        log = _object(root, source.url or source.hub, "2", "13", "12", "URI", "RFC-3881")
        _add(log, "ParticipantObjectName").text = _LOG
        _details(log, detail)
        return
    told = False
    if row["study_uid"]:
        study = _object(root, row["study_uid"], "2", "3", _STUDY.value, _STUDY.meaning, "DCM")
        _details(study, detail)
        told = True
    if row["patient_id"]:
        _object(root, row["patient_id"], "1", "1", "2", "Patient Number", "RFC-3881")
    if event == QUERY:  # A.5.3.10: the query, base64
        asked = _object(root, source.url or source.hub, "2", "24", "10", "Search Criteria", "RFC-3881")
        query = json.dumps(dict(detail), ensure_ascii=False).encode()
        _add(asked, "ParticipantObjectQuery").text = base64.b64encode(query).decode()
    elif event == ALERT and not told:
        node = _object(
            root,
            row["person"] or row["site"] or source.hub,
            "2",
            "13",
            "110182",
            _ALERT_OBJECT.meaning,
            "DCM",
        )
        _details(node, {"alert": row["event"], **detail})
    elif event == ACCESSED and not told:
        _object(root, "-", "2", "3", _STUDY.value, _STUDY.meaning, "DCM")


def _object(
    root: ET.Element, identifier: str, kind: str, role: str, code: str, meaning: str, system: str
) -> ET.Element:
    made = _add(
        root,
        "ParticipantObjectIdentification",
        ParticipantObjectID=identifier,
        ParticipantObjectTypeCode=kind,
        ParticipantObjectTypeCodeRole=role,
    )
    _coded(made, "ParticipantObjectIDTypeCode", Code(code, meaning), system)
    return made


def _details(to: ET.Element, detail: Mapping[str, Any]) -> None:
    for name, value in sorted(detail.items()):
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        _add(to, "ParticipantObjectDetail", type=name, value=base64.b64encode(text.encode()).decode())


def _coded(to: ET.Element, name: str, code: Code, system: str = "DCM") -> None:
    given = {"csd-code": code.value, "codeSystemName": system, "originalText": code.meaning}
    _add(to, name, **given)


def _add(to: ET.Element, name: str, **attributes: str) -> ET.Element:
    return ET.SubElement(to, name, {key: _clean(value) for key, value in attributes.items()})


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
