"""What the trail keeps, and as which DICOM audit event it is exported (PS3.15 A.5.3, CID 400 and 401).

Pure. One table: a new kind of deed is one line.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """A coded value of the DICOM controlled terminology (PS3.16 annex D)."""

    value: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of deed.

    Args:
        event: EventID.
        action: EventActionCode: C, R, U, D or E.
        type: EventTypeCode, where the standard has one that fits.
    """

    event: Code
    action: str
    type: Code | None = None


APPLICATION = Code("110100", "Application Activity")
LOG_USED = Code("110101", "Audit Log Used")
ACCESSED = Code("110103", "DICOM Instances Accessed")
TRANSFERRED = Code("110104", "DICOM Instances Transferred")
EXPORT = Code("110106", "Export")
QUERY = Code("110112", "Query")
ALERT = Code("110113", "Security Alert")
AUTHENTICATION = Code("110114", "User Authentication")

_LOGIN, _LOGOUT = Code("110122", "Login"), Code("110123", "Logout")
_EMERGENCY = Code("110127", "Emergency Override Started")
_SECURITY = Code("110136", "Security Roles Changed")
_USER_SECURITY = Code("110137", "User security Attributes Changed")
_RESTRICTED = Code("110132", "Use of Restricted Function")
_NODE = Code("110126", "Node Authentication")

KINDS: dict[str, Kind] = {
    "hub-started": Kind(APPLICATION, "E", Code("110120", "Application Start")),
    "hub-stopped": Kind(APPLICATION, "E", Code("110121", "Application Stop")),
    "login": Kind(AUTHENTICATION, "E", _LOGIN),
    "login-refused": Kind(AUTHENTICATION, "E", _LOGIN),
    "logout": Kind(AUTHENTICATION, "E", _LOGOUT),
    "step-up": Kind(AUTHENTICATION, "E", _LOGIN),
    "second-factor": Kind(ALERT, "E", _USER_SECURITY),
    "passkey-added": Kind(ALERT, "E", _USER_SECURITY),
    "passkey-removed": Kind(ALERT, "E", _USER_SECURITY),
    "recovery-codes": Kind(ALERT, "E", _USER_SECURITY),
    "session-ended": Kind(ALERT, "E", _USER_SECURITY),
    "sso-linked": Kind(ALERT, "E", _USER_SECURITY),
    "account-changed": Kind(ALERT, "E", _SECURITY),
    "refused": Kind(ALERT, "E", _RESTRICTED),
    "break-glass": Kind(ALERT, "E", _EMERGENCY),
    "edge-enrolled": Kind(ALERT, "E", _NODE),
    "edge-renewed": Kind(ALERT, "E", _NODE),
    "edge-return-asked": Kind(ALERT, "E", _NODE),
    "edge-return-approved": Kind(ALERT, "E", _NODE),
    "edge-return-refused": Kind(ALERT, "E", _NODE),
    "edge-returned": Kind(ALERT, "E", _NODE),
    "edge-used-twice": Kind(ALERT, "E", _NODE),
    "rows-edited": Kind(ALERT, "E", _NODE),
    "witness-alarm": Kind(ALERT, "E", _NODE),
    "salt-erased": Kind(ALERT, "E", _SECURITY),
    "person-erased": Kind(ALERT, "E", _SECURITY),
    "seals-begun": Kind(ALERT, "E", _SECURITY),
    "edge-revoked": Kind(ALERT, "E", _NODE),
    "alert-acknowledged": Kind(ALERT, "E", _RESTRICTED),
    "token-created": Kind(ALERT, "E", _NODE),
    "token-withdrawn": Kind(ALERT, "E", _NODE),
    "kem-rotated": Kind(ALERT, "E", _SECURITY),
    "kem-changed": Kind(ALERT, "E", _SECURITY),
    "authority-changed": Kind(ALERT, "E", _SECURITY),
    "rules-loaded": Kind(ALERT, "E", _SECURITY),
    "chain-gap": Kind(ALERT, "E"),
    "chain-fork": Kind(ALERT, "E"),
    "parcel-quarantined": Kind(ALERT, "E"),
    "disk-quarantined": Kind(ALERT, "E"),
    "conflict": Kind(ALERT, "E"),
    "study-received": Kind(TRANSFERRED, "C"),
    "study-opened": Kind(ACCESSED, "R"),
    "images-accessed": Kind(ACCESSED, "R"),
    "images-transferred": Kind(TRANSFERRED, "R"),
    "report-signed": Kind(ACCESSED, "C"),
    "report-read": Kind(ACCESSED, "R"),
    "report-delivered": Kind(TRANSFERRED, "R"),
    "report-exported": Kind(EXPORT, "R"),
    "query": Kind(QUERY, "E"),
    "audit-used": Kind(LOG_USED, "R"),
}


def kind_of(event: str) -> Kind:
    """The kind of a deed; what the table does not know is told as a security alert rather than dropped."""
    return KINDS.get(event, Kind(ALERT, "E"))
