"""The frame of every page, tables and form fields as HTML. Pure. Values are escaped; there is no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape

from edge.console.words import say


def frame(
    body: str, language: str, *, here: str, title: str = "title", nav: Sequence[str] = (), unread: int = 0
) -> str:
    """A whole document.

    Args:
        body: HTML for the main part.
        language: of its words.
        here: path of this page.
        title: key of its title.
        nav: keys of the pages to link to, besides the first: ``import``, ``messages``.
        unread: messages nobody has looked at.
    """
    other = "zh" if language == "en" else "en"
    links = [("/", "waits"), *((f"/{key}", key) for key in nav)]
    items = "".join(
        f'<a href="{path}"{_current(path, here)}>{escape(say(language, key))}{_new(key, unread)}</a>'
        for path, key in links
    )
    heading = escape(say(language, title))
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{heading}</title><link rel="stylesheet" href="/style.css"></head><body>'
        f'<header><h1>{heading}</h1><nav aria-label="{escape(say(language, "pages"))}">{items}'
        f'<a href="{here}?lang={other}" lang="{other}" hreflang="{other}">'
        f"{escape(say(language, 'other'))}</a></nav></header><main>{body}</main></body></html>"
    )


def _current(path: str, here: str) -> str:
    return ' aria-current="page"' if path == here else ""


def _new(key: str, unread: int) -> str:
    return f" <b>({unread})</b>" if key == "messages" and unread else ""


def table(caption: str, names: Sequence[str], rows: Sequence[Sequence[str]], language: str) -> str:
    """A table whose cells are HTML already; on small screens each row becomes a block."""
    heads = [escape(say(language, name)) for name in names]
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    lines = []
    for row in rows:
        cells = zip(heads, row, strict=True)
        lines.append("".join(f'<td data-name="{name}">{cell}</td>' for name, cell in cells))
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    title = f"<caption>{escape(say(language, caption))}</caption>"
    return f'<table class="rows">{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def alert(text: str) -> str:
    """Something wrong, which a screen reader says at once."""
    return f'<p class="bad" role="alert">{escape(text)}</p>'


def text_field(
    name: str, language: str, values: Mapping[str, str], *, required: bool = False, more: str = ""
) -> str:
    """A line of text with its label. `more` is HTML for further attributes."""
    must = " required" if required else ""
    mark = " *" if required else ""
    value = escape(values.get(name, ""))
    return (
        f'<label for="{name}">{escape(say(language, name))}{mark}</label>'
        f'<input id="{name}" name="{name}" value="{value}" autocomplete="off"{must} {more}>'
    )


def choice(name: str, language: str, options: Sequence[str], values: Mapping[str, str]) -> str:
    """A list to choose from; its words are those of ``name_option``."""
    chosen = values.get(name, "")
    inner = "".join(
        f'<option value="{one}"{" selected" if one == chosen else ""}>'
        f"{escape(say(language, f'{name}_{one}'))}</option>"
        for one in options
    )
    label = f'<label for="{name}">{escape(say(language, name))}</label>'
    return f'{label}<select id="{name}" name="{name}">{inner}</select>'


def moment(at: datetime, now: datetime) -> str:
    """Time of day at the hospital, with the date if it is another day's."""
    local = at.astimezone()
    return local.strftime("%H:%M" if local.date() == now.astimezone().date() else "%Y-%m-%d %H:%M")
