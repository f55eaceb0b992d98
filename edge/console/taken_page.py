"""How a study was taken, as HTML: one line for the first page, and a page of its own. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from edge.console.layout import frame
from edge.console.names import person
from edge.console.words import say
from edge.shown import Hint, SeriesTaken, StudyTaken
from edge.spool.view import StudyFacts

OPEN_SERIES = 3
"""So many series are unfolded at first; of more, those alone with a hint."""


def line(study_uid: str, taken: StudyTaken, language: str) -> str:
    """What tells the most, as a link to all of it; empty if nothing is known."""
    if not taken.series:
        return ""
    words = escape(" · ".join(taken.brief) or say(language, "taken"))
    label = escape(f"{say(language, 'taken')}: {' · '.join(taken.brief)}".rstrip(": "))
    hints = (
        f' <span class="warn">{escape(say(language, "hints", count=len(taken.hints)))}</span>'
        if taken.hints
        else ""
    )
    link = f'<a href="/study/{escape(study_uid)}" aria-label="{label}">{words}</a>'
    return f"<div><small>{link}{hints}</small></div>"


def taken_page(
    study_uid: str,
    facts: StudyFacts | None,
    taken: StudyTaken,
    language: str,
    *,
    nav: Sequence[str],
    unread: int = 0,
) -> str:
    """Every series of a study, foldable, with its hints.

    Args:
        study_uid: which.
        facts: whose and what it is; None: not known any more.
        taken: what its images say.
        language: of the words.
        nav: keys of the pages to link to.
        unread: messages nobody has looked at.
    """
    known = (
        (person(facts.patient_name, language), facts.patient_id, facts.accession, facts.description)
        if facts is not None
        else ()
    )
    whole = [one for one in taken.hints if not one.series_uid]
    many = len(taken.series) > OPEN_SERIES
    body = (
        f"<h2>{escape(' · '.join(text for text in known if text) or study_uid)}</h2>"
        + _hints(whole, language)
        + "".join(
            _series(
                one,
                [hint for hint in taken.hints if hint.series_uid == one.series_uid],
                language,
                folded=many,
            )
            for one in taken.series
        )
        + ("" if taken.series else f"<p>{escape(say(language, 'taken_nothing'))}</p>")
        + (
            f'<p><a href="/import?of={escape(study_uid)}">{escape(say(language, "add_files"))}</a></p>'
            if "import" in nav
            else ""
        )
        + f'<p><a href="/">{escape(say(language, "back"))}</a></p>'
    )
    return frame(body, language, here=f"/study/{study_uid}", title="taken", nav=nav, unread=unread)


def _series(one: SeriesTaken, hints: Sequence[Hint], language: str, *, folded: bool) -> str:
    title = escape(one.title or one.series_uid)
    images = escape(say(language, "images", count=one.images))
    mark = f' <span class="warn">{escape(say(language, "hints", count=len(hints)))}</span>' if hints else ""
    brief = f"<small>{escape(' · '.join(one.brief))}</small>" if one.brief else ""
    listed = "".join(
        f"<dt>{escape(names[language])}</dt><dd>{escape(value)}</dd>" for names, value in one.parameters
    )
    inner = f"<dl>{listed}</dl>" if listed else f"<p>{escape(say(language, 'taken_silent'))}</p>"
    opened = "" if folded and not hints else " open"
    return (
        f"<details{opened}><summary><span><b>{title}</b> · {images}{mark}</span> {brief}</summary>"
        f"{_hints(hints, language)}{inner}</details>"
    )


def _hints(hints: Sequence[Hint], language: str) -> str:
    """Sentences, those that ask for another look first."""
    rows = "".join(
        f'<li class="{"warn" if one.warns else "note"}">'
        f"<b>{escape(say(language, 'look_again_at' if one.warns else 'note'))}</b> "
        f"{escape(one.words[language])}</li>"
        for one in sorted(hints, key=lambda one: not one.warns)
    )
    return (
        f'<ul class="hints" aria-label="{escape(say(language, "hints_title"))}">{rows}</ul>' if rows else ""
    )
