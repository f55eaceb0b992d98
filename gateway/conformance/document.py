"""A statement as sections and tables, and its three forms. Pure."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:72em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse;margin:1em 0}td,th{border:1px solid #999;padding:.2em .6em;"
    "text-align:left;vertical-align:top}th{background:#eee}"
)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""

    @classmethod
    def of(cls, columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> Table:
        """From anything that can be written."""
        return cls(tuple(columns), tuple(tuple(map(str, row)) for row in rows), title)


@dataclass(frozen=True, slots=True)
class Section:
    """A chapter; its number comes from its place."""

    title: str
    text: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True, slots=True)
class Statement:
    """The whole of it."""

    title: str
    sections: tuple[Section, ...]

    def as_json(self) -> dict[str, object]:
        """Plain data."""
        return asdict(self)

    def as_markdown(self) -> str:
        """CommonMark with pipe tables."""
        lines = [f"# {self.title}", ""]
        for number, depth, section in _walk(self.sections):
            lines += [f"{'#' * (depth + 1)} {number} {section.title}", ""]
            for text in section.text:
                lines += [_escaped(text), ""]
            for table in section.tables:
                lines += [f"**{table.title}**", ""] if table.title else []
                lines += ["| " + " | ".join(map(_escaped, table.columns)) + " |"]
                lines += ["|" + " --- |" * len(table.columns)]
                lines += ["| " + " | ".join(map(_escaped, row)) + " |" for row in table.rows]
                lines += [""]
        return "\n".join(lines)

    def as_html(self) -> str:
        """One page without anything from elsewhere."""
        title = html.escape(self.title)
        parts = [
            (
                f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
                f"<style>{STYLE}</style><h1>{title}</h1>"
            )
        ]
        for number, depth, section in _walk(self.sections):
            level = min(depth + 1, 6)
            parts.append(f"<h{level}>{number} {html.escape(section.title)}</h{level}>")
            parts += [f"<p>{html.escape(text)}</p>" for text in section.text]
            for table in section.tables:
                caption = f"<caption>{html.escape(table.title)}</caption>" if table.title else ""
                parts.append(f"<table>{caption}<tr>{_cells('th', table.columns)}</tr>")
                parts += [f"<tr>{_cells('td', row)}</tr>" for row in table.rows]
                parts.append("</table>")
        return "\n".join([*parts, "</html>\n"])


def _walk(sections: Sequence[Section], above: str = "", depth: int = 1) -> Iterable[tuple[str, int, Section]]:
    for place, section in enumerate(sections, 1):
        number = f"{above}{place}"
        yield number, depth, section
        yield from _walk(section.sections, f"{number}.", depth + 1)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _cells(tag: str, row: Sequence[str]) -> str:
    return "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row)


def simple_table(text: str, title: str = "") -> Table:
    """The first simple table (reStructuredText) of a docstring: what the code says of itself.

    Raises:
        ValueError: there is none.
    """
    lines = [line.rstrip() for line in text.splitlines()]
    rules = [at for at, line in enumerate(lines) if line and set(line.strip()) == {"="} | {" "}]
    if len(rules) < 3:
        raise ValueError("no table in this text")
    rule = lines[rules[0]]
    starts = [at for at, sign in enumerate(rule) if sign == "=" and (at == 0 or rule[at - 1] == " ")]
    spans = list(zip(starts, [*starts[1:], None], strict=True))
    head: list[str] | None = None
    rows: list[list[str]] = []
    for line in lines[rules[0] + 1 : rules[2]]:
        if line == lines[rules[1]]:
            head, rows = rows[0], []
            continue
        cells = [line[start:end].strip().replace("``", "") for start, end in spans]
        if cells[0] or not rows:
            rows.append(cells)
        else:
            rows[-1] = [f"{old} {new}".strip() for old, new in zip(rows[-1], cells, strict=True)]
    return Table.of(head or [], rows, title)
