"""Syslog as PS3.15 A.6 wants it: the message of RFC 5424, framed by octet counting (RFC 5425 §4.3). Pure."""

from __future__ import annotations

import re

FACILITY = 10
"""Security and authorization messages."""

NOTICE, WARNING = 5, 4
MSGID = "IHE+RFC-3881"
"""As PS3.15 A.6.1.1 and IHE ITI-20 name it for messages in the schema of A.5.1."""

_NOT_PRINTABLE = re.compile(r"[^\x21-\x7e]")


def syslog_message(
    body: bytes, *, at: str, host: str, process: str, refused: bool, application: str = "telerad"
) -> bytes:
    """One message of RFC 5424 §6.

    Args:
        body: the audit message, UTF-8 XML.
        at: RFC 3339.
        host: of this machine.
        process: identifier of this process.
        refused: whether the deed was refused: a warning rather than a notice.
        application: APP-NAME.
    """
    priority = FACILITY * 8 + (WARNING if refused else NOTICE)
    words = (at, _word(host, 255), _word(application, 48), _word(process, 128), MSGID, "-")
    return f"<{priority}>1 {' '.join(words)} ".encode("ascii") + b"\xef\xbb\xbf" + body


def framed(message: bytes) -> bytes:
    """MSG-LEN SP SYSLOG-MSG."""
    return f"{len(message)} ".encode("ascii") + message


def _word(text: str, longest: int) -> str:
    return _NOT_PRINTABLE.sub("", text)[:longest] or "-"
