"""The pages for messages with the reader, as HTML. Pure. Texts are escaped, and text alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape

from edge.console.layout import alert, frame, moment, table
from edge.console.names import person
from edge.console.words import say
from edge.conversing import Conversation, Line, Talks
from edge.spool.view import StudyProgress
from gateway.clock import parse_rfc3339
from gateway.message import LONGEST, Need, Purpose

REPLIES = (Purpose.DONE, Purpose.ANSWER, Purpose.CANNOT, Purpose.MESSAGE)
EXCERPT = 80


def link_to(study_uid: str, who: str, said: Mapping[str, Conversation], language: str) -> str:
    """A link to the conversation about a study, with what is new in it; `who` is for screen readers."""
    one = said.get(study_uid)
    news = _news(one, language) if one else ""
    words = escape(say(language, "read_and_answer" if one else "write"))
    link = f'<a href="/messages/{escape(study_uid)}" aria-label="{words}: {escape(who)}">{words}</a>'
    return f"{link} {news}".strip()


def _news(one: Conversation, language: str) -> str:
    words = [say(language, "unread", count=one.unread)] if one.unread else []
    words += [say(language, "asks")] if one.waits else []
    return f'<span class="warn">{escape(", ".join(words))}</span>' if words else ""


def urgent(talks: Talks | None, studies: Sequence[StudyProgress], now: datetime, language: str) -> str:
    """A table of what the reader wrote that is unread or unanswered; empty if there is nothing."""
    found = [one for one in talks.conversations() if one.unread or one.waits] if talks else []
    return _table("messages_urgent", found, studies, now, language) if found else ""


def messages_page(
    conversations: Sequence[Conversation],
    studies: Sequence[StudyProgress],
    now: datetime,
    language: str,
    *,
    nav: Sequence[str],
) -> str:
    """All conversations."""
    body = f"<p>{escape(say(language, 'messages_none'))}</p>"
    if conversations:
        body = _table("messages_title", conversations, studies, now, language)
    unread = sum(one.unread for one in conversations)
    return frame(body, language, here="/messages", title="messages_title", nav=nav, unread=unread)


def _table(
    caption: str,
    conversations: Sequence[Conversation],
    studies: Sequence[StudyProgress],
    now: datetime,
    language: str,
) -> str:
    rows = []
    for one in conversations:
        newest, who = one.lines[-1], whom(one, studies, language)
        said = next((line for line in reversed(one.lines) if not line.ours), newest)
        text = said.text if len(said.text) <= EXCERPT else said.text[: EXCERPT - 1] + "…"
        rows.append(
            [
                escape(who),
                f'<span dir="auto">{escape(text)}</span>',
                f'<span class="when">{escape(moment(parse_rfc3339(newest.at), now))}</span>',
                link_to(one.study_uid, who, {one.study_uid: one}, language),
            ]
        )
    return table(caption, ("patient", "newest", "received", "messages"), rows, language)


def whom(one: Conversation, studies: Sequence[StudyProgress], language: str) -> str:
    """Whom and what a conversation is about, as this edge or else the hub knows it."""
    facts = next((study.facts for study in studies if study.facts.study_uid == one.study_uid), None)
    known = facts or one.subject
    if known is None:
        return one.study_uid
    name = person(known.patient_name, language)
    parts = (name, known.patient_id, known.accession, known.description)
    return " · ".join(part for part in parts if part) or one.study_uid


def conversation_page(
    one: Conversation,
    studies: Sequence[StudyProgress],
    now: datetime,
    language: str,
    *,
    nav: Sequence[str],
    ident: str,
    values: Mapping[str, str] | None = None,
    fault: str = "",
) -> str:
    """One conversation and the form to go on with it.

    Args:
        one: what was said.
        studies: of the spool.
        now: the time.
        language: of the words.
        nav: keys of the pages to link to.
        ident: of the message that may be written, so that it is sent once.
        values: what was filled in already.
        fault: what was wrong with it; empty: nothing.
    """
    here = f"/messages/{one.study_uid}"
    lines = "".join(_line(line, now, language) for line in one.lines)
    said = f'<ol class="talk">{lines}</ol>' if lines else f"<p>{escape(say(language, 'messages_none'))}</p>"
    body = (
        (alert(say(language, "form_fault", words=fault)) if fault else "")
        + f"<h2>{escape(whom(one, studies, language))}</h2>{said}"
        + f'<p><a href="{here}">{escape(say(language, "look_again"))}</a></p>'
        + _form(one, language, here, ident, values or {})
    )
    return frame(body, language, here=here, title="messages_of", nav=nav)


def _line(line: Line, now: datetime, language: str) -> str:
    who = say(language, "who_site") if line.ours else say(language, "who_reader", name=line.author)
    parts = [f"<b>{escape(who)}</b>", escape(moment(parse_rfc3339(line.at), now)), _what(line, language)]
    parts += [_standing(line, language)]
    head = " · ".join(part for part in parts if part)
    text = f'<p dir="auto">{escape(line.text)}</p>' if line.text else ""
    return f'<li class="{"ours" if line.ours else "theirs"}"><small>{head}</small>{text}</li>'


def _what(line: Line, language: str) -> str:
    """What a message is for; nothing if it is just words."""
    if line.purpose is Purpose.REQUEST:
        need = line.need if line.need in list(Need) else Need.OTHER.value
        return f'<span class="warn">{escape(say(language, f"need_{need}"))}</span>'
    return "" if line.purpose is Purpose.MESSAGE else escape(say(language, f"purpose_{line.purpose.value}"))


def _standing(line: Line, language: str) -> str:
    """How far a message is: on its way, seen, answered."""
    if line.ours:
        key = "on_its_way" if not line.at_hub else "seen_by_reader" if line.seen else "at_hub"
        return escape(say(language, key))
    if line.purpose is Purpose.REQUEST:
        key = "asks" if line.waits else "answered"
        mark = f'<span class="{"bad" if line.waits else "good"}">{escape(say(language, key))}</span>'
        return mark if line.seen else f"{mark} · {escape(say(language, 'new'))}"
    return "" if line.seen else escape(say(language, "new"))


def _form(one: Conversation, language: str, here: str, ident: str, values: Mapping[str, str]) -> str:
    def words(key: str, **more: object) -> str:
        return escape(say(language, key, **more))

    if one.waits:
        chosen = values.get("purpose", Purpose.DONE.value)
        options = "".join(
            f'<option value="{reply.value}"{" selected" if reply.value == chosen else ""}>'
            f"{words(f'reply_{reply.value}')}</option>"
            for reply in REPLIES
        )
        purpose = f'<label for="purpose">{words("reply")}</label>'
        purpose += f'<select id="purpose" name="purpose">{options}</select>'
        hint, required = words("text_hint", limit=LONGEST), ""
    else:
        purpose = f'<input type="hidden" name="purpose" value="{Purpose.MESSAGE.value}">'
        hint, required = words("text_hint_message", limit=LONGEST), " required"
    text = escape(values.get("text", ""))
    return (
        f'<form class="fields" method="post" action="{here}">{purpose}'
        f'<input type="hidden" name="id" value="{escape(ident)}">'
        f'<label for="text">{words("text")}</label>'
        f'<textarea id="text" name="text" maxlength="{LONGEST}" dir="auto" aria-describedby="text_hint"'
        f'{required}>\n{text}</textarea><p id="text_hint" class="hint">{hint}</p>'
        f"<p><button>{words('send')}</button></p></form>"
    )
