"""The report as a PDF page: what the referring doctor holds in hand.

A4, one column, every page naming the patient and the report, so that a loose sheet still says whose
it is. Drawn from the canonical record alone: the page cannot show what was not signed.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    KeepTogether,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

from gateway.clock import parse_rfc3339
from gateway.report.model import SECTIONS, Kind, Report
from hub.reports.fonts import face, has_chinese, markup
from hub.reports.wording import WORDS, age, date, person_name, time

INK, MUTED, RULE, ACCENT, ALARM, PAPER = (
    HexColor(value) for value in ("#1a1f26", "#5b6672", "#c9d1d9", "#0b5c7a", "#b3261e", "#f4f7f9")
)
MARGIN = 18 * mm
WIDTH = A4[0] - 2 * MARGIN
_LOCK = threading.Lock()
"""reportlab's font registry and paragraph parser belong to the process, not to a thread."""


@dataclass(frozen=True, slots=True)
class Letterhead:
    """Who sends the report, and to which hospital.

    Attributes:
        service: the hub's name.
        hospital: the site.
        log: entries and root of the custody log when the report was signed; None: it has no checkpoint yet.
    """

    service: str
    hospital: str
    log: tuple[int, str] | None = None


def draw(report: Report, letterhead: Letterhead) -> bytes:
    """The unsigned PDF of `report`.

    Raises:
        UsageError: this machine has no usable fonts.
    """
    with _LOCK:
        return _Page(report, letterhead).draw()


def _style(size: float, *, colour: Any = INK, leading: float = 1.45, **more: Any) -> ParagraphStyle:
    name = face("Latin", bold=False).name
    return ParagraphStyle("", fontName=name, fontSize=size, leading=size * leading, textColor=colour, **more)


def _paragraph(text: str, style: ParagraphStyle, *, bold: bool = False) -> Paragraph:
    wrapped = ParagraphStyle("", parent=style, wordWrap="CJK" if has_chinese(text) else None)
    return Paragraph(markup(text, bold=bold), wrapped)


class _Page:
    def __init__(self, report: Report, letterhead: Letterhead) -> None:
        self.report, self.letterhead = report, letterhead
        self.words = WORDS[report.body.language]
        self.patient = person_name(report.patient.name) or self.words["unknown"]

    def draw(self) -> bytes:
        out = io.BytesIO()
        first = Frame(MARGIN, 24 * mm, WIDTH, A4[1] - 24 * mm - 30 * mm, 0, 0, 0, 0, id="first")
        later = Frame(MARGIN, 24 * mm, WIDTH, A4[1] - 24 * mm - 26 * mm, 0, 0, 0, 0, id="later")
        document = BaseDocTemplate(
            out,
            pagesize=A4,
            title=f"{self.title} {self.report.report_id}",
            author=self.report.author.display_name,
            subject=self.report.study.study_uid,
            creator="telerad",
            lang=self.report.body.language,
            initialFontName=face("Latin", bold=False).name,
        )
        document.addPageTemplates(
            [
                PageTemplate("first", [first], onPage=self._letterhead, autoNextPageTemplate="later"),
                PageTemplate("later", [later], onPage=self._running_head),
            ]
        )
        document.build(self._story(), canvasmaker=lambda *a, **k: _Numbered(self._footer, *a, **k))
        return out.getvalue()

    @property
    def title(self) -> str:
        if self.report.kind is Kind.ADDENDUM:
            return self.words["addendum"].format(number=self.report.version - 1)
        return self.words["title"]

    def _story(self) -> list[Flowable]:
        return [
            *self._supersedes(),
            self._identity(),
            Spacer(0, 4 * mm),
            *self._critical(),
            *(part for name in SECTIONS for part in self._section(name)),
            Spacer(0, 7 * mm),
            self._signature(),
        ]

    def _supersedes(self) -> Sequence[Flowable]:
        if self.report.supersedes is None:
            return ()
        note = self.words["addendum_note"].format(supersedes=self.report.supersedes)
        return (_box(_paragraph(note, _style(9, colour=ACCENT)), ACCENT), Spacer(0, 4 * mm))

    def _identity(self) -> Flowable:
        words, patient, study = self.words, self.report.patient, self.report.study
        years = age(patient.birth_date, study.study_date)
        born = date(patient.birth_date) + (
            f" ({words['years'].format(age=years)})" if years is not None else ""
        )
        examination = " · ".join(
            p for p in ("/".join(study.modalities), study.description, *study.body_parts) if p
        )
        facts = [
            ("patient", self.patient, "examination", examination),
            (
                "patient_id",
                patient.patient_id,
                "date",
                f"{date(study.study_date)} {time(study.study_time)}".strip(),
            ),
            ("birth_date", born, "accession", study.accession),
            ("sex", words.get(patient.sex, patient.sex), "referring", person_name(study.referring)),
        ]
        rows = [
            [
                self._label(left),
                self._value(a, bold=place == 0),
                self._label(right),
                self._value(b, bold=place == 0),
            ]
            for place, (left, a, right, b) in enumerate(facts)
        ]
        rows.append([self._label("study"), _paragraph(study.study_uid, _style(8, colour=MUTED)), "", ""])
        table = Table(rows, colWidths=[WIDTH * part for part in (0.145, 0.33, 0.185, 0.34)], hAlign="LEFT")
        table.setStyle(
            TableStyle(
                [
                    ("BACKGROUND", (0, 0), (-1, -1), PAPER),
                    ("BOX", (0, 0), (-1, -1), 0.5, RULE),
                    ("VALIGN", (0, 0), (-1, -1), "TOP"),
                    ("TOPPADDING", (0, 0), (-1, -1), 2.2),
                    ("BOTTOMPADDING", (0, 0), (-1, -1), 2.2),
                    ("SPAN", (1, 4), (3, 4)),
                ]
            )
        )
        return table

    def _label(self, name: str) -> Paragraph:
        return _paragraph(self.words[name], _style(8, colour=MUTED, leading=1.6))

    def _value(self, text: str, *, bold: bool = False) -> Paragraph:
        return _paragraph(text or "–", _style(9.5, leading=1.4), bold=bold)

    def _critical(self) -> Sequence[Flowable]:
        if not self.report.body.critical:
            return ()
        return (
            _box(_paragraph(self.words["critical"], _style(10.5, colour=ALARM), bold=True), ALARM),
            Spacer(0, 2 * mm),
        )

    def _section(self, name: str) -> Sequence[Flowable]:
        text: str = getattr(self.report.body, name).strip()
        if not text:
            return ()
        heading = _paragraph(
            self.words[name],
            _style(10.5, colour=ACCENT, spaceBefore=9, spaceAfter=2, keepWithNext=1),
            bold=True,
        )
        heavy = name == "impression"
        style = _style(10.5 if heavy else 10, spaceAfter=3, allowWidows=0, allowOrphans=0)
        # One Paragraph a line: a Paragraph splits over pages between lines, and quickly for long texts.
        parts = [_paragraph(line, style) if line.strip() else Spacer(0, 5) for line in text.split("\n")]
        return (CondPageBreak(24 * mm), heading, *parts)

    def _signature(self) -> Flowable:
        author, words = self.report.author, self.words
        moment = _utc(parse_rfc3339(self.report.signed_at))
        line = words["signed"].format(author=f"{author.display_name} ({author.name})", moment=moment)
        note = words["signature_note"].format(certificate=_grouped(author.certificate_sha256[:32]))
        return KeepTogether(
            [
                _rule(),
                Spacer(0, 2 * mm),
                _paragraph(line, _style(10), bold=True),
                _paragraph(note, _style(7.5, colour=MUTED)),
            ]
        )

    def _letterhead(self, canvas: Canvas, _: Any) -> None:
        top = A4[1] - 15 * mm
        canvas.setFillColor(ACCENT)
        canvas.rect(0, A4[1] - 4 * mm, A4[0], 4 * mm, stroke=0, fill=1)
        _text(canvas, MARGIN, top - 2 * mm, self.title, 17, colour=INK, bold=True)
        _text(canvas, A4[0] - MARGIN, top, self.letterhead.service, 10, colour=ACCENT, bold=True, right=True)
        hospital = f"{self.words['hospital']}: {self.letterhead.hospital}"
        _text(canvas, A4[0] - MARGIN, top - 5 * mm, hospital, 9, colour=MUTED, right=True)
        canvas.setStrokeColor(ACCENT)
        canvas.setLineWidth(1)
        canvas.line(MARGIN, A4[1] - 25 * mm, A4[0] - MARGIN, A4[1] - 25 * mm)

    def _running_head(self, canvas: Canvas, _: Any) -> None:
        study = self.report.study
        parts = (self.patient, self.report.patient.patient_id, study.accession, date(study.study_date))
        top = A4[1] - 16 * mm
        whose = " · ".join(part for part in parts if part)
        _text(canvas, MARGIN, top, whose[:90], 9, colour=INK, bold=True, share=0.78)
        _text(canvas, A4[0] - MARGIN, top, self.title, 9, colour=MUTED, right=True, share=0.2)
        canvas.setStrokeColor(RULE)
        canvas.line(MARGIN, top - 3 * mm, A4[0] - MARGIN, top - 3 * mm)

    def _footer(self, canvas: Canvas, page: int, pages: int) -> None:
        canvas.setStrokeColor(RULE)
        canvas.setLineWidth(0.5)
        canvas.line(MARGIN, 18 * mm, A4[0] - MARGIN, 18 * mm)
        version = self.words["version"].format(number=self.report.version)
        left = f"{self.words['report']} {self.report.report_id} · {version}"
        _text(canvas, MARGIN, 14 * mm, left, 7.5, colour=MUTED, share=0.8)
        _text(
            canvas,
            MARGIN,
            10.5 * mm,
            f"{self.words['digest']} {self.report.digest}",
            7.5,
            colour=MUTED,
            share=0.9,
        )
        if self.letterhead.log is not None:
            entries, root = self.letterhead.log
            log = self.words["log"].format(entries=entries, root=root)
            _text(canvas, MARGIN, 7 * mm, log, 7.5, colour=MUTED, share=1.0)
        count = self.words["page"].format(page=page, pages=pages)
        _text(canvas, A4[0] - MARGIN, 14 * mm, count, 7.5, colour=MUTED, right=True)


class _Numbered(Canvas):  # type: ignore[misc]  # reportlab ships no types
    """A canvas that knows how many pages there are: pages are kept, and finished at the end."""

    def __init__(self, footer: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._footer = footer
        self._kept: list[dict[str, Any]] = []

    def showPage(self) -> None:  # noqa: N802  # reportlab's own name
        self._kept.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        kept, footer = self._kept, self._footer
        for number, state in enumerate(kept, start=1):
            self.__dict__.update(state)
            footer(self, number, len(kept))
            super().showPage()
        super().save()


def _text(
    canvas: Canvas,
    x: float,
    y: float,
    text: str,
    size: float,
    *,
    colour: Any,
    bold: bool = False,
    right: bool = False,
    share: float = 0.5,
) -> None:
    """Draw a line with its first baseline near `y`, in `share` of the page's width."""
    paragraph = Paragraph(markup(text, bold=bold), _style(size, colour=colour, alignment=2 if right else 0))
    width = WIDTH * share
    _, height = paragraph.wrap(width, 100 * mm)
    paragraph.drawOn(canvas, x - width if right else x, y - height + size)


def _box(content: Flowable, colour: Any) -> Table:
    table = Table([[content]], colWidths=[WIDTH])
    table.setStyle(
        TableStyle(
            [
                ("LEFTPADDING", (0, 0), (-1, -1), 9),
                ("BOX", (0, 0), (-1, -1), 0.8, colour),
                ("LINEBEFORE", (0, 0), (0, -1), 4, colour),
            ]
        )
    )
    return table


def _rule() -> Table:
    table = Table([[""]], colWidths=[WIDTH], rowHeights=[1])
    table.setStyle(TableStyle([("LINEABOVE", (0, 0), (-1, -1), 0.5, RULE)]))
    return table


def _utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def _grouped(digits: str) -> str:
    return " ".join(digits[place : place + 4] for place in range(0, len(digits), 4))
