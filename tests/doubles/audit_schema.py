"""The rules of PS3.15 A.5.1 (RELAX NG) for an audit message, written down from the standard as a checker.

Each element: the attributes it must and may have, and the children in their order with how often.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

MANY = 10_000
CODED = ({"csd-code", "originalText"}, {"codeSystemName", "codeSystem", "displayName"})


@dataclass(frozen=True)
class Rule:
    must: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()
    children: tuple[tuple[str, int, int], ...] = ()
    values: dict[str, str] = field(default_factory=dict)  # attribute: pattern
    text: bool = False


def rule(
    must: set[str], may: set[str], *children: tuple[str, int, int], text: bool = False, **values: str
) -> Rule:
    return Rule(frozenset(must), frozenset(may), children, values, text)


RULES = {
    "AuditMessage": rule(
        set(),
        set(),
        ("EventIdentification", 1, 1),
        ("ActiveParticipant", 1, MANY),
        ("AuditSourceIdentification", 1, 1),
        ("ParticipantObjectIdentification", 0, MANY),
    ),
    "EventIdentification": rule(
        {"EventDateTime", "EventOutcomeIndicator"},
        {"EventActionCode"},
        ("EventID", 1, 1),
        ("EventTypeCode", 0, MANY),
        EventActionCode="[CRUDE]",
        EventDateTime=r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)",
        EventOutcomeIndicator="0|4|8|12",
    ),
    "EventID": rule(*CODED),
    "EventTypeCode": rule(*CODED),
    "RoleIDCode": rule(*CODED),
    "ParticipantObjectIDTypeCode": rule(*CODED),
    "ActiveParticipant": rule(
        {"UserID", "UserIsRequestor"},
        {"AlternativeUserID", "UserName", "NetworkAccessPointID", "NetworkAccessPointTypeCode"},
        ("RoleIDCode", 0, MANY),
        ("MediaIdentifier", 0, 1),
        UserIsRequestor="true|false",
        NetworkAccessPointTypeCode="[12345]",
        UserID=".+",
    ),
    "AuditSourceIdentification": rule(
        {"AuditSourceID"}, {"AuditEnterpriseSiteID"}, ("AuditSourceTypeCode", 0, MANY)
    ),
    "AuditSourceTypeCode": rule({"csd-code"}, {"originalText", "codeSystemName", "displayName"}),
    "ParticipantObjectIdentification": rule(
        {"ParticipantObjectID", "ParticipantObjectTypeCode"},
        {"ParticipantObjectTypeCodeRole", "ParticipantObjectDataLifeCycle", "ParticipantObjectSensitivity"},
        ("ParticipantObjectIDTypeCode", 1, 1),
        ("ParticipantObjectName", 0, 1),
        ("ParticipantObjectQuery", 0, 1),
        ("ParticipantObjectDetail", 0, MANY),
        ("ParticipantObjectDescription", 0, MANY),
        ParticipantObjectID=".+",
        ParticipantObjectTypeCode="[1234]",
        ParticipantObjectTypeCodeRole="([1-9]|1[0-9]|2[0-6])",
    ),
    "ParticipantObjectName": rule(set(), set(), text=True),
    "ParticipantObjectQuery": rule(set(), set(), text=True),
    "ParticipantObjectDetail": rule({"type", "value"}, set()),
}


def faults(message: bytes) -> list[str]:
    """What the message breaks; empty if nothing."""
    root = ET.fromstring(message)
    return _faults(root) if root.tag == "AuditMessage" else [f"the root is {root.tag}"]


def _faults(element: ET.Element) -> list[str]:
    known = RULES.get(element.tag)
    if known is None:
        return [f"{element.tag} is no element of A.5.1"]
    found = [f"{element.tag} lacks {name}" for name in known.must - set(element.attrib)]
    found += [f"{element.tag} has {name}" for name in set(element.attrib) - known.must - known.may]
    for name, pattern in known.values.items():
        value = element.get(name)
        if value is not None and not re.fullmatch(pattern, value, re.DOTALL):
            found.append(f"{element.tag} {name}={value!r}")
    if (element.text or "").strip() and not known.text:
        found.append(f"{element.tag} holds text")
    found += _order(element, known)
    if element.tag == "ParticipantObjectDetail":
        base64.b64decode(element.get("value", ""), validate=True)
    if element.tag == "ParticipantObjectQuery":
        base64.b64decode(element.text or "", validate=True)
    for child in element:
        found += _faults(child)
    return found


def _order(element: ET.Element, known: Rule) -> list[str]:
    names = [child.tag for child in element]
    places = {name: at for at, (name, _, _) in enumerate(known.children)}
    found = [f"{element.tag} holds {name}" for name in names if name not in places]
    order = [places[name] for name in names if name in places]
    if order != sorted(order):
        found.append(f"{element.tag} has its children in another order: {names}")
    for name, least, most in known.children:
        if not least <= names.count(name) <= most:
            found.append(f"{element.tag} has {names.count(name)} {name}")
    return found
