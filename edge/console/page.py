"""The page as HTML. Pure. Every value is escaped; there is no script and no inline style."""

from __future__ import annotations

from datetime import datetime
from html import escape

from edge.console.outlook import Outlook
from edge.console.words import bytes_text, duration, say
from edge.spool.item import LinkState, SpoolItem
from edge.spool.states import WAITING, State
from edge.spool.status import Load, Reason, SpoolStatus, Why
from edge.spool.view import StudyProgress
from gateway.clock import parse_rfc3339

REFRESH_SECONDS = 5
SHOWN_ITEMS = 30


def page(
    status: SpoolStatus,
    link: LinkState | None,
    now: datetime,
    language: str,
    ahead: Outlook | None = None,
) -> str:
    """The whole page."""
    ahead = ahead or Outlook()
    other = "zh" if language == "en" else "en"
    parts = [
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">',
        f"<title>{escape(say(language, 'title'))}</title>",
        '<link rel="stylesheet" href="/style.css"></head><body>',
        f"<header><h1>{escape(say(language, 'title'))}</h1>",
        f'<a href="/?lang={other}" lang="{other}">{escape(say(language, "other"))}</a></header>',
        _fault(ahead.fault, language),
        _hub(link, now, language),
        _rate(link, ahead, language),
        _cards(status, now, language),
        _studies(status.studies, ahead, now, language),
        _items(
            [
                *((item, None) for item in status.held),
                *((item, ahead.reason(item, why, now)) for item, why in status.first),
            ],
            now,
            language,
        ),
        f"<p><small>{escape(say(language, 'updated', now=_moment(now, now)))}</small></p></body></html>",
    ]
    return "".join(parts)


def _fault(fault: str, language: str) -> str:
    return f'<p class="bad">{escape(say(language, "config_fault", words=fault))}</p>' if fault else ""


def _rate(link: LinkState | None, ahead: Outlook, language: str) -> str:
    if link is None or not link.online or link.rate <= 0:
        return ""
    words = [say(language, "rate", rate=f"{link.rate * 8 / 1e6:.2f}")]
    if ahead.seconds:
        words.append(say(language, "all_there", time=duration(ahead.seconds, language)))
    return f"<p><small>{escape(' '.join(words))}</small></p>"


def _hub(link: LinkState | None, now: datetime, language: str) -> str:
    if link is None:
        return f"<p>{escape(say(language, 'hub_unknown'))}</p>"
    if link.online:
        return f"<p>{escape(say(language, 'hub_online'))}</p>"
    seconds = 0 if link.next_try is None else round((link.next_try - now).total_seconds())
    words = [
        say(language, "hub_away", since=_moment(link.since, now)),
        say(language, "next_try", seconds=seconds) if seconds > 0 else say(language, "next_now"),
        link.reason,
    ]
    return f'<p class="bad">{escape(" ".join(word for word in words if word))}</p>'


def _cards(status: SpoolStatus, now: datetime, language: str) -> str:
    waiting, held = status.load(*WAITING), status.load(State.HELD)
    oldest = status.oldest_waiting
    since = say(language, "nothing")
    if oldest:
        since = say(language, "oldest", since=_moment(parse_rfc3339(oldest), now))
    days = (
        "" if status.days_left is None else say(language, "days", days=f"{min(status.days_left, 9999):.0f}")
    )
    room = days if status.accepting else say(language, "full")
    return (
        '<div class="cards">'
        + _card(say(language, "waiting"), waiting.instances, _count(waiting, language), since)
        + _card(say(language, "held"), held.items, "", "", bad=held.items > 0)
        + _card(
            say(language, "sent"),
            status.load(State.CONFIRMED, State.PURGED).instances,
            _count(status.load(State.CONFIRMED, State.PURGED), language),
            "",
        )
        + _card(
            say(language, "disk"),
            say(language, "free", size=bytes_text(status.free)),
            room,
            "",
            bad=not status.accepting,
        )
        + "</div>"
    )


def _card(name: str, figure: object, first: str, second: str, *, bad: bool = False) -> str:
    kind = "card bad" if bad else "card"
    lines = "".join(f"<div><small>{escape(line)}</small></div>" for line in (first, second) if line)
    return f'<section class="{kind}">{escape(name)}<b>{escape(str(figure))}</b>{lines}</section>'


def _count(load: Load, language: str) -> str:
    return say(language, "count", items=load.items, instances=load.instances, size=bytes_text(load.size))


def _studies(studies: tuple[StudyProgress, ...], ahead: Outlook, now: datetime, language: str) -> str:
    if not studies:
        return ""
    names = ("patient", "accession", "description", "modality", "priority", "received", "progress")
    rows = []
    for one in studies:
        bar = f'<progress max="{one.received}" value="{one.sent}"></progress> {one.sent}/{one.received}'
        seconds = ahead.studies.get(one.facts.study_uid)
        if seconds is not None:
            bar += f" {escape(say(language, 'about', time=duration(seconds, language)))}"
        texts = (
            f"{one.facts.patient_name} {one.facts.patient_id}".strip(),
            one.facts.accession,
            one.facts.description,
            one.facts.modality,
            say(language, one.priority.word),
            _moment(parse_rfc3339(one.last_at), now),
        )
        rows.append([*(escape(text) for text in texts), bar])
    return f"<h2>{escape(say(language, 'studies'))}</h2>{_table(names, rows, language)}"


def _items(items: list[tuple[SpoolItem, Reason | None]], now: datetime, language: str) -> str:
    if not items:
        return ""
    rows = []
    for item, why in items[:SHOWN_ITEMS]:
        reason = escape(explain(why or Reason(Why.PERSON, item.reason), now, language))
        if item.state is State.HELD:
            reason += (
                f' <form method="post" action="/held/{item.parcel_id}/release">'
                f"<button>{escape(say(language, 'release'))}</button></form>"
            )
        rows.append(
            [
                escape(item.modality or (say(language, "notice") if not item.instances else "")),
                escape(say(language, item.priority.word)),
                escape(_moment(parse_rfc3339(item.received_at), now)),
                escape(bytes_text(item.sealed_size)),
                reason,
            ]
        )
    names = ("modality", "priority", "received", "size", "why")
    return f"<h2>{escape(say(language, 'items'))}</h2>{_table(names, rows, language)}"


def explain(why: Reason, now: datetime, language: str) -> str:
    """Why an item waits and when it goes on, such as ``hub away since 14:02, next try in 8 s``."""
    following = say(language, "next_now")
    if why.next_try is not None and why.next_try > now:
        seconds = round((why.next_try - now).total_seconds())
        following = f"{seconds} s" if language == "zh" else f"in {seconds} s"
    since = "" if why.since is None else _moment(why.since, now)
    text = say(language, f"why_{why.why.value}", since=since, next=following, words=why.words)
    return text.rstrip(":： ")


def _table(names: tuple[str, ...], rows: list[list[str]], language: str) -> str:
    heads = [escape(say(language, name)) for name in names]
    head = "".join(f"<th>{name}</th>" for name in heads)
    lines = []
    for row in rows:
        cells = zip(heads, row, strict=True)
        lines.append("".join(f'<td data-name="{name}">{cell}</td>' for name, cell in cells))
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<table class="rows"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _moment(moment: datetime, now: datetime) -> str:
    """Time of day at the hospital, with the date if it is another day's."""
    local = moment.astimezone()
    return local.strftime("%H:%M" if local.date() == now.astimezone().date() else "%Y-%m-%d %H:%M")
