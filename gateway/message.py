"""Messages between the technician at the hospital and the reader: what both ends must agree on. Pure.

A reader asks for more (a request) or just writes; the hospital answers or just writes. The hospital's
messages travel as sealed notices (`FORMAT.md`, kind `KIND`), the reader's over the line port. A
message's identifier makes it one message however often it travels.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from gateway import canonical, model
from gateway.clock import parse_rfc3339
from gateway.envelope.inner import Notice
from gateway.errors import Malformed

KIND = "message"
"""The kind of notice."""

LONGEST = 2_000
"""Characters of a text."""

_KEPT_CONTROLS = "\n\t"
_DIRECTION = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Bidirectional embeddings, overrides and isolates (UAX #9): they can make a text read as another one."""

_ID = re.compile("[0-9a-f]{32}")


class Purpose(StrEnum):
    """What a message is for."""

    REQUEST = "request"
    """The reader needs more; the case waits at the hospital until it is answered."""
    MESSAGE = "message"
    """Words that ask for nothing, either way."""
    ANSWER = "answer"
    """The hospital answers in words."""
    DONE = "done"
    """The hospital did what was asked, such as sending images again."""
    CANNOT = "cannot"
    """It cannot be done; the text says why."""


class Need(StrEnum):
    """What a request asks for."""

    IMAGES = "images"
    QUALITY = "quality"
    QUESTION = "question"
    OTHER = "other"


ANSWERS = frozenset({Purpose.ANSWER, Purpose.DONE, Purpose.CANNOT})
"""What gives the case back to its reader."""

FROM_SITE = ANSWERS | {Purpose.MESSAGE}
FROM_READER = frozenset({Purpose.REQUEST, Purpose.MESSAGE})


def clean(text: str, *, may_be_empty: bool = False) -> str:
    """A text as it is kept: NFC, line ends as LF, no control or direction-changing characters.

    Raises:
        Malformed: nothing is left, or more than `LONGEST` characters.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    kept = "".join(one for one in lines if _shown(one))
    kept = re.sub("\n{3,}", "\n\n", unicodedata.normalize("NFC", kept)).strip()
    if not kept and not may_be_empty:
        raise Malformed(f"write something, in 1 to {LONGEST} characters")
    if len(kept) > LONGEST:
        raise Malformed(f"{len(kept)} characters are too many; write at most {LONGEST}")
    return kept


def _shown(one: str) -> bool:
    if one in _KEPT_CONTROLS:
        return True
    return unicodedata.category(one) not in ("Cc", "Cs") and one not in _DIRECTION


def message_id(text: str) -> str:
    """Check a message's identifier. Raises Malformed."""
    if not _ID.fullmatch(text):
        raise Malformed("a message's identifier has 32 hexadecimal digits")
    return text


def digest(ident: str, text: str) -> str:
    """SHA-256 of a message for logs. The random identifier in it keeps short texts from being guessed."""
    return hashlib.sha256(canonical.dump({"id": ident, "text": text})).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteMessage:
    """One message of the hospital, as its notice carries it.

    Attributes:
        id: 32 hexadecimal digits, random.
        study: Study Instance UID.
        purpose: one of `FROM_SITE`.
        text: as `clean` leaves it; may be empty for DONE.
        at: when it was written, RFC 3339.
    """

    id: str
    study: str
    purpose: Purpose
    text: str
    at: str

    def notice(self) -> Notice:
        """As it travels."""
        return Notice(KIND, asdict(self) | {"purpose": self.purpose.value})

    @classmethod
    def read(cls, notice: Notice) -> SiteMessage:
        """From a notice of this kind. Raises Malformed."""
        body = dict(notice.body)
        if set(body) != {"id", "study", "purpose", "text", "at"}:
            raise Malformed("a message has the keys at, id, purpose, study and text")
        for name, value in body.items():
            if not isinstance(value, str):
                raise Malformed(f"{name} of a message must be text")
        return cls.made(**body)

    @classmethod
    def made(cls, *, id: str, study: str, purpose: str, text: str, at: str) -> SiteMessage:  # noqa: A002  # its name
        """From words that somebody gave. Raises Malformed."""
        try:
            told = Purpose(purpose)
            parse_rfc3339(at)
        except ValueError:
            raise Malformed("a message has no such purpose, or no time") from None
        if told not in FROM_SITE:
            raise Malformed(f"{told} is not for a hospital to say")
        return cls(
            id=message_id(id),
            study=model.uid(study),
            purpose=told,
            text=clean(text, may_be_empty=told is Purpose.DONE),
            at=at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One message of either side, as the hub tells it to the hospital's edge.

    Attributes:
        number: grows with every message of the hub.
        id: of the message.
        study: Study Instance UID.
        sender: ``reader`` or ``site``.
        purpose: what it is for.
        need: what a request asks for; empty otherwise.
        text: plain.
        author: the reader's name; empty for the hospital.
        at: when the hub had it, RFC 3339.
        seen: whether the other side has looked at it.
        waits: a request without an answer.
    """

    number: int
    id: str
    study: str
    sender: str
    purpose: str
    need: str
    text: str
    author: str
    at: str
    seen: bool
    waits: bool

    @classmethod
    def read(cls, value: Any) -> Told:
        """From JSON. Raises Malformed."""
        kinds = {
            name: {"int": int, "bool": bool}.get(kind, str) for name, kind in cls.__annotations__.items()
        }
        if not isinstance(value, dict) or not set(kinds) <= set(value):
            raise Malformed("the hub's message cannot be read")
        if any(type(value[name]) is not kind for name, kind in kinds.items()):
            raise Malformed("the hub's message cannot be read")
        if value["purpose"] not in list(Purpose):
            raise Malformed("the hub's message has a purpose this edge does not know")
        return cls(**{name: value[name] for name in kinds})


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whom a conversation is about, for the hospital's own page. Never kept on a disk of the edge.

    Attributes:
        priority: of the study, as a word.
    """

    patient_name: str
    patient_id: str
    accession: str
    description: str
    priority: str

    @classmethod
    def read(cls, value: Any) -> Subject:
        """From JSON. Raises Malformed."""
        if not isinstance(value, dict) or not all(isinstance(value.get(one), str) for one in cls.__slots__):
            raise Malformed("the hub's conversation cannot be read")
        return cls(**{one: value[one] for one in cls.__slots__})
