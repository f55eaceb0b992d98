"""The first page as HTML. Pure. Every value is escaped; there is no script and no inline style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from html import escape

from edge.console.layout import alert, frame, moment, table
from edge.console.messages_page import link_to, urgent
from edge.console.names import person
from edge.console.outlook import Outlook
from edge.console.sources import Sources
from edge.console.taken_page import line
from edge.console.told import told
from edge.console.words import bytes_text, duration, say
from edge.shown import ReportShown, StudyWarning
from edge.spool.item import LinkState, SpoolItem
from edge.spool.states import WAITING, State
from edge.spool.status import Load, Reason, SpoolStatus, Why
from edge.spool.view import StudyProgress
from gateway.clock import parse_rfc3339

SHOWN_ITEMS = 30
SHOWN_WARNINGS = 50
FAR_DAYS = 999
CERTIFICATE_DAYS = 14
"""A certificate that ends sooner is told loudly: it renews itself long before, if the hub can be reached."""

LATER = timedelta(minutes=2)
"""What goes on after more than this is told in minutes or hours."""


def page(
    status: SpoolStatus,
    link: LinkState | None,
    now: datetime,
    language: str,
    ahead: Outlook | None = None,
    sources: Sources | None = None,
    *,
    still: bool = False,
) -> str:
    """The whole page; `still`: it does not look again by itself."""
    ahead, sources = ahead or Outlook(), sources or Sources()
    reports = {one.study_uid: one for one in reversed(sources.reports())}
    body = "".join(
        (
            _fault(ahead.fault, language),
            "".join(alert(told(words, language)) for words in sources.troubles()),
            _hub(link, now, language),
            _rate(link, ahead, language),
            urgent(sources.talks, status.studies, now, language),
            _cards(status, sources.certificate_until(), now, language),
            _warnings(status.studies, sources.warnings(), now, language),
            _studies(status.studies, reports, ahead, sources, now, language),
            _reports(sources.reports(), now, language),
            _items(
                [
                    *((item, None) for item in status.held),
                    *((item, ahead.reason(item, why, now)) for item, why in status.first),
                ],
                now,
                language,
            ),
            _updated(now, language, still=still),
        )
    )
    return frame(body, language, here="/", nav=sources.nav, unread=sources.unread)


def _updated(now: datetime, language: str, *, still: bool) -> str:
    words = escape(say(language, "updated", now=now.astimezone().strftime("%H:%M:%S")))
    path, key = ("/", "go_on") if still else ("/?still=1", "stand_still")
    return f'<p><small>{words} <a href="{path}">{escape(say(language, key))}</a></small></p>'


def _fault(fault: str, language: str) -> str:
    parts = [told(part, language) for part in fault.split("; ")]  # the whole may be longer than is looked up
    words = ("；" if language == "zh" else "; ").join(parts)
    return alert(say(language, "config_fault", words=words)) if fault else ""


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
    if link.online and link.stalled_since is not None:
        stalled = say(language, "stalled", since=moment(link.stalled_since, now))
        return f'<p class="bad">{escape(stalled)}</p>'
    if link.online:
        return f"<p>{escape(say(language, 'hub_online'))}</p>"
    seconds = 0 if link.next_try is None else round((link.next_try - now).total_seconds())
    words = [
        say(language, "hub_away", since=moment(link.since, now)),
        say(language, "next_try", seconds=seconds) if seconds > 0 else say(language, "next_now"),
        told(link.reason, language),
    ]
    return alert(" ".join(word for word in words if word))


def _cards(status: SpoolStatus, until: datetime | None, now: datetime, language: str) -> str:
    waiting, held = status.load(*WAITING), status.load(State.HELD)
    oldest = status.oldest_waiting
    since = say(language, "nothing")
    if oldest:
        since = say(language, "oldest", since=moment(parse_rfc3339(oldest), now))
    left = status.days_left
    days = "" if left is None or left > FAR_DAYS else say(language, "days", days=f"{left:.0f}")
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
        + _certificate(until, now, language)
        + "</div>"
    )


def _certificate(until: datetime | None, now: datetime, language: str) -> str:
    if until is None:
        return ""
    days = (until - now).days
    return _card(
        say(language, "certificate"),
        say(language, "days", days=max(0, days)),
        say(language, "until", until=f"{until.astimezone():%Y-%m-%d}"),
        "",
        bad=days < CERTIFICATE_DAYS,
    )


def _card(name: str, figure: object, first: str, second: str, *, bad: bool = False) -> str:
    kind = "card bad" if bad else "card"
    lines = "".join(f"<div><small>{escape(line)}</small></div>" for line in (first, second) if line)
    return f'<section class="{kind}">{escape(name)}<b>{escape(str(figure))}</b>{lines}</section>'


def _count(load: Load, language: str) -> str:
    return say(language, "count", items=load.items, instances=load.instances, size=bytes_text(load.size))


def _warnings(
    studies: Sequence[StudyProgress], warnings: Sequence[StudyWarning], now: datetime, language: str
) -> str:
    if not warnings:
        return ""
    known = {one.facts.study_uid: one for one in studies}
    rows = []
    for warning in sorted(warnings, key=lambda one: one.at, reverse=True)[:SHOWN_WARNINGS]:
        study = known.get(warning.study_uid)
        who = _who(study, language) if study else warning.study_uid
        rows.append(
            [
                escape(who),
                f'<span class="warn">{escape(warning.words[language])}</span>',
                escape(moment(parse_rfc3339(warning.at), now)),
            ]
        )
    return table("warnings", ("patient", "look_at", "found"), rows, language)


def _who(one: StudyProgress, language: str) -> str:
    return f"{person(one.facts.patient_name, language)} {one.facts.patient_id}".strip()


def _studies(
    studies: tuple[StudyProgress, ...],
    reports: Mapping[str, ReportShown],
    ahead: Outlook,
    sources: Sources,
    now: datetime,
    language: str,
) -> str:
    if not studies:
        return ""
    talks = sources.talks
    said = {one.study_uid: one for one in talks.conversations()} if talks else {}
    names: tuple[str, ...] = (
        "patient",
        "accession",
        "description",
        "modality",
        "priority",
        "received",
        "progress",
        "read",
    )
    rows = []
    for one in studies:
        label = escape(say(language, "progress"))
        bar = (
            f'<progress aria-label="{label}" max="{one.received}" value="{one.sent}"></progress>'
            f" {one.sent}/{one.received}"
        )
        seconds = ahead.studies.get(one.facts.study_uid)
        if seconds is not None:
            bar += f" {escape(say(language, 'about', time=duration(seconds, language)))}"
        texts = (
            _who(one, language),
            one.facts.accession,
            one.facts.description,
            one.facts.modality,
            say(language, one.priority.word),
            moment(parse_rfc3339(one.last_at), now),
        )
        report = reports.get(one.facts.study_uid)
        row = [*(escape(text) for text in texts), bar, _read(report, now, language)]
        row[2] += line(one.facts.study_uid, sources.taken(one.facts.study_uid), language)
        rows.append([*row, link_to(one.facts.study_uid, texts[0], said, language)] if talks else row)
    return table("studies", (*names, "messages") if talks else names, rows, language)


def _read(report: ReportShown | None, now: datetime, language: str) -> str:
    if report is None:
        return escape(say(language, "not_yet"))
    text = say(language, f"report_{report.state}", at=moment(parse_rfc3339(report.at), now))
    return f'<span class="{"bad" if report.state == "refused" else "good"}">{escape(text)}</span>'


def _reports(reports: Sequence[ReportShown], now: datetime, language: str) -> str:
    """Reports that somebody should know of: not everywhere yet, or from before the last start."""
    rows = []
    for one in reports:
        if one.study_uid and not one.waiting and not one.reason:
            continue  # said in the row of its study
        lacking = "; ".join(f"{name}: {told(words, language)}".rstrip(": ") for name, words in one.waiting)
        rows.append(
            [
                escape(one.report_id[:8]),
                _read(one, now, language),
                escape(", ".join(one.delivered)),
                escape("; ".join(text for text in (told(one.reason, language), lacking) if text)),
            ]
        )
    if not rows:
        return ""
    return table("reports", ("report", "state", "delivered_to", "lacking"), rows[:SHOWN_ITEMS], language)


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
                escape(moment(parse_rfc3339(item.received_at), now)),
                escape(bytes_text(item.sealed_size)),
                reason,
            ]
        )
    names = ("modality", "priority", "received", "size", "why")
    return table("items", names, rows, language)


def explain(why: Reason, now: datetime, language: str) -> str:
    """Why an item waits and when it goes on, such as ``hub away since 14:02, next try in 8 s``."""
    if why.why is Why.PAUSED and (why.next_try is None or why.next_try - now > LATER):
        return _held_back(why, now, language)
    if why.why is Why.IN_LINE and why.next_try is not None:
        return say(language, "why_goes", next=duration((why.next_try - now).total_seconds(), language))
    following = say(language, "next_now")
    if why.next_try is not None and why.next_try > now:
        seconds = round((why.next_try - now).total_seconds())
        following = f"{seconds} 秒" if language == "zh" else f"in {seconds} s"
    since = "" if why.since is None else moment(why.since, now)
    text = say(language, f"why_{why.why.value}", since=since, next=following, words=told(why.words, language))
    return text.rstrip(":： ")


def _held_back(why: Reason, now: datetime, language: str) -> str:
    """By a budget: for long, or for as long as it stands."""
    if why.next_try is None:
        return say(language, "why_shut", words=why.words)
    following = duration((why.next_try - now).total_seconds(), language)
    return say(language, "why_later", next=following, words=why.words)
