"""The pages for importing, as HTML. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path

from edge.console.layout import alert, choice, frame, moment, table, text_field
from edge.console.names import person
from edge.console.told import told
from edge.console.words import bytes_text, say
from edge.importing import Job, Kind, KnownStudy
from gateway.clock import parse_rfc3339

STUDIES = ("same", "new")
"""What files may belong to once a study was chosen."""
SEXES = ("", "M", "F", "O")
SIDES = ("", "L", "R", "B")
MODALITIES = ("", "CR", "DX", "CT", "MR", "US", "XA", "RF", "MG", "NM", "ES", "ECG", "OT")
BODY_PARTS = (
    "", "CHEST", "ABDOMEN", "HEAD", "NECK", "CSPINE", "TSPINE", "LSPINE", "PELVIS", "HIP", "KNEE", "ANKLE",
    "FOOT", "SHOULDER", "ELBOW", "WRIST", "HAND", "BREAST", "HEART",
)  # fmt: skip
ACCEPT = ".jpg,.jpeg,.png,.tif,.tiff,.pdf,.dcm,image/jpeg,image/png,image/tiff,application/pdf"


def import_page(
    language: str,
    *,
    limit: int,
    media: Sequence[Path],
    jobs: Sequence[Job],
    now: datetime,
    known: Sequence[KnownStudy] = (),
    orders: bool = False,
    values: Mapping[str, str] | None = None,
    fault: str = "",
    nav: Sequence[str] = ("import",),
) -> str:
    """Choose files or a disc.

    Args:
        language: of the words.
        limit: bytes of one upload.
        media: discs and sticks that are there.
        jobs: imports, the newest first.
        now: the time.
        known: orders and studies to choose patient and order from.
        orders: whether orders are asked for.
        values: what was filled in already.
        fault: what was wrong with it; empty: nothing.
        nav: keys of the pages to link to.
    """
    body = (
        (alert(say(language, "form_fault", words=fault)) if fault else "")
        + _upload(
            language,
            limit,
            _choose(language, known, values or {}, now, orders=orders),
            known,
            values or {},
            now,
        )
        + _media(language, media)
        + _jobs(language, jobs, now)
    )
    return frame(body, language, here="/import", title="import", nav=nav)


def _upload(
    language: str,
    limit: int,
    choosing: str,
    known: Sequence[KnownStudy],
    values: Mapping[str, str],
    now: datetime,
) -> str:
    def words(key: str) -> str:
        return escape(say(language, key))

    hint = escape(say(language, "files_hint", size=bytes_text(limit)))
    length = 'maxlength="64"'
    return (
        f"<section><h2>{words('import_files')}</h2>{choosing}"
        '<form class="fields" method="post" action="/import/upload" enctype="multipart/form-data">'
        f'<label for="files">{words("files")} *</label>'
        f'<input id="files" name="files" type="file" multiple required accept="{ACCEPT}"'
        f' aria-describedby="files_hint"><p id="files_hint" class="hint">{hint}</p>'
        f"{_belongs(language, known, values, now)}"
        f'<fieldset><legend>{words("patient")}</legend><p class="hint">{words("patient_hint")}</p>'
        + text_field("patient_name", language, values, more=length)
        + text_field("patient_id", language, values, more=length)
        + text_field("birth_date", language, values, more='type="date"')
        + choice("sex", language, SEXES, values)
        + f"</fieldset><fieldset><legend>{words('order')}</legend>"
        + text_field("accession", language, values, more='maxlength="16"')
        + text_field("description", language, values, more=length)
        + choice("kind", language, [kind.value for kind in Kind], values)
        + choice("modality", language, MODALITIES, values)
        + choice("body_part", language, BODY_PARTS, values)
        + choice("laterality", language, SIDES, values)
        + f"</fieldset><p><button>{words('import_now')}</button></p></form></section>"
    )


def _choose(
    language: str, known: Sequence[KnownStudy], values: Mapping[str, str], now: datetime, *, orders: bool
) -> str:
    """A form of its own that fills in the other; before it, since files chosen there would be lost."""
    if not known and not orders:
        return ""
    options = _group("came_here", [one for one in known if not one.order], language, values, now)
    if orders:
        ordered = [one for one in known if one.order]
        options = _group("orders", ordered, language, values, now) + options
    hint = say(language, "known_orders" if orders else "known_hint")
    return (
        '<form class="fields" method="get" action="/import">'
        f'<label for="of">{escape(say(language, "known"))}</label>'
        f'<select id="of" name="of" aria-describedby="known_hint">'
        f'<option value="">{escape(say(language, "known_none"))}</option>{options}</select>'
        f'<p id="known_hint" class="hint">{escape(hint)}</p>'
        f"<p><button>{escape(say(language, 'fill_in'))}</button></p></form>"
    )


def _group(
    key: str, known: Sequence[KnownStudy], language: str, values: Mapping[str, str], now: datetime
) -> str:
    options = "".join(
        f'<option value="{escape(one.key)}"{" selected" if one.key == values.get("of") else ""}>'
        f"{escape(_named(one, now, language))}</option>"
        for one in known
    )
    return f'<optgroup label="{escape(say(language, key))}">{options}</optgroup>' if known else ""


def _named(one: KnownStudy, now: datetime, language: str) -> str:
    at = moment(parse_rfc3339(one.at), now)
    name = person(one.patient_name, language)
    parts = (name, one.patient_id, one.modality, one.description, one.accession, at)
    return " · ".join(part for part in parts if part)


def _belongs(language: str, known: Sequence[KnownStudy], values: Mapping[str, str], now: datetime) -> str:
    """Whether the files belong to the chosen study; nothing if none was chosen."""
    if not (chosen := values.get("of")):
        return ""
    found = next((one for one in known if one.key == chosen), None)
    name, kind = (
        (_named(found, now, language) if found else chosen),
        "order" if found and found.order else "same",
    )
    options = "".join(
        f'<option value="{one}"{" selected" if one == values.get("study") else ""}>'
        f"{escape(say(language, f'study_{kind if one == STUDIES[0] else one}', name=name))}</option>"
        for one in STUDIES
    )
    return (
        f'<input type="hidden" name="of" value="{escape(chosen)}">'
        f'<label for="study">{escape(say(language, "study"))}</label>'
        f'<select id="study" name="study">{options}</select>'
    )


def _media(language: str, media: Sequence[Path]) -> str:
    title = f"<section><h2>{escape(say(language, 'import_medium'))}</h2>"
    if not media:
        return f"{title}<p>{escape(say(language, 'no_medium'))}</p></section>"
    button = escape(say(language, "import_now"))
    rows = "".join(
        f'<li><form method="post" action="/import/medium"><span>{escape(str(one))}</span>'
        f'<input type="hidden" name="folder" value="{escape(str(one))}">'
        f'<button aria-label="{button}: {escape(str(one))}">{button}</button></form></li>'
        for one in media
    )
    return f'{title}<ul class="media">{rows}</ul></section>'


def _jobs(language: str, jobs: Sequence[Job], now: datetime) -> str:
    if not jobs:
        return ""
    rows = [
        [
            f'<a href="/import/{job.ident}">{escape(moment(parse_rfc3339(job.started_at), now))}</a>',
            escape(job.place),
            _outcome(language, job),
        ]
        for job in jobs
    ]
    return table("imports", ("started", "from", "outcome"), rows, language)


def _outcome(language: str, job: Job) -> str:
    key = "import_runs" if not job.ended_at else "import_broken" if job.fault else "import_done"
    text = say(language, key, done=job.done, total=job.total, kept=job.kept, refused=job.refused)
    bad = bool(job.fault or job.refused)
    return f'<span class="{"bad" if bad else "good" if job.ended_at else ""}">{escape(text)}</span>'


def job_page(language: str, job: Job, nav: Sequence[str] = ("import",)) -> str:
    """How one import went, or goes."""
    bar = ""
    if not job.ended_at:
        label = escape(say(language, "progress_label"))
        bar = (
            f'<p><progress aria-label="{label}" max="{max(1, job.total)}" value="{job.done}"></progress></p>'
        )
    problems = "".join(f"<li>{escape(told(words, language))}</li>" for words in job.problems)
    listed = f"<h2>{escape(say(language, 'problems'))}</h2><ul>{problems}</ul>" if problems else ""
    fault = alert(say(language, "import_fault", words=told(job.fault, language))) if job.fault else ""
    skipped = f"<p>{escape(say(language, 'skipped', count=job.skipped))}</p>" if job.skipped else ""
    body = (
        f'{fault}<p role="status">{_outcome(language, job)}</p>{bar}{skipped}{listed}'
        f'<p><a href="/import">{escape(say(language, "import_more"))}</a></p>'
    )
    return frame(body, language, here=f"/import/{job.ident}", title="import", nav=nav)


def login_page(language: str, *, wrong: bool) -> str:
    """Asks for the pass-code."""
    fault = alert(say(language, "passcode_wrong")) if wrong else ""
    field = (
        f'<label for="passcode">{escape(say(language, "passcode"))}</label>'
        '<input id="passcode" name="passcode" type="password" autocomplete="current-password" required>'
    )
    button = f"<button>{escape(say(language, 'log_in'))}</button>"
    body = f'{fault}<form class="fields" method="post" action="/login">{field}<p>{button}</p></form>'
    return frame(body, language, here="/login")
