from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.report.model import Kind
from hub.reports import fonts
from hub.reports.document import Letterhead, draw
from hub.reports.wording import WORDS, age, date, person_name, time
from tests.doubles.report import CHINESE, ENGLISH, report

LETTERHEAD = Letterhead("Telerad Reading Network", "District Hospital")


def text_of(pdf: bytes, folder: Path) -> str:
    if shutil.which("pdftotext") is None:
        pytest.skip("poppler-utils is not installed")
    file = folder / "report.pdf"
    file.write_bytes(pdf)
    return subprocess.run(
        ["pdftotext", "-layout", file, "-"], check=True, capture_output=True, text=True
    ).stdout


def test_chinese_cyrillic_and_greek_can_be_copied_out_again(tmp_path: Path) -> None:
    chinese = text_of(draw(report(CHINESE), LETTERHEAD), tmp_path)
    for words in ("左侧额颞部", "острая эпидуральная гематома", "危急值", "张小东", "放射学诊断报告"):
        assert words in chinese
    english = text_of(draw(report(ENGLISH), LETTERHEAD), tmp_path)
    assert "α-phase, Δ < 5 HU" in english
    assert "CRITICAL" not in english


def test_every_page_says_whose_it_is_and_which_of_how_many(tmp_path: Path) -> None:
    body = dataclasses.replace(ENGLISH, findings="\n".join(f"line {n}" for n in range(200)))
    whole = report(body, version=2, kind=Kind.ADDENDUM, supersedes="0" * 32)
    pages = text_of(draw(whole, LETTERHEAD), tmp_path).split("\f")[:-1]
    assert len(pages) >= 4
    for number, page in enumerate(pages, start=1):
        assert "P-0042" in page
        assert whole.report_id in page
        assert whole.digest in page
        assert f"Page {number} of {len(pages)}" in page
    assert "completes report 00000000000000000000000000000000" in pages[0]
    for number in range(200):
        assert re.search(rf"line {number}$", "\n".join(pages), re.MULTILINE)


@pytest.mark.parametrize(
    ("body", "words"), [(ENGLISH, "Custody log: 123456789 entries"), (CHINESE, "监管日志：123456789")]
)
def test_the_state_of_the_custody_log_stands_at_the_foot_whole(tmp_path: Path, body, words: str) -> None:
    root = "0123456789abcdef" * 4
    letterhead = dataclasses.replace(LETTERHEAD, log=(123456789, root))
    page = text_of(draw(report(body), letterhead), tmp_path)
    assert words in page
    assert root in page
    assert "Custody log" not in text_of(draw(report(ENGLISH), LETTERHEAD), tmp_path)


def test_markup_in_a_report_is_text(tmp_path: Path) -> None:
    body = dataclasses.replace(ENGLISH, findings='<b>bold</b> & <img src="x"/> </para> 3 < 4')
    assert '<b>bold</b> & <img src="x"/> </para> 3 < 4' in text_of(draw(report(body), LETTERHEAD), tmp_path)


def test_a_character_without_a_glyph_is_spelt_out(tmp_path: Path) -> None:
    body = dataclasses.replace(ENGLISH, findings="ok \U0001f600")
    assert "ok [U+1F600]" in text_of(draw(report(body), LETTERHEAD), tmp_path)


def test_no_word_is_too_long_for_the_page() -> None:
    body = dataclasses.replace(ENGLISH, findings="x" * 3000, impression="长" * 3000)
    patient = dataclasses.replace(report().patient, name="N" * 300, patient_id="9" * 64)
    assert draw(report(body, patient=patient), LETTERHEAD).startswith(b"%PDF-")


def test_both_languages_have_the_same_words() -> None:
    assert set(WORDS["en"]) == set(WORDS["zh"])


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Zhang^XiaoDong=张^小东", "张小东 (Zhang, XiaoDong)"),
        ("Petrova^Anna^^Dr", "Petrova, Dr Anna"),
        ("Doe", "Doe"),
        ("=王^小明", "王小明"),
        ("", ""),
        ("^^^^^^^", ""),
    ],
)
def test_person_names(name: str, shown: str) -> None:
    assert person_name(name) == shown


def test_dates_times_and_ages() -> None:
    assert date("20261122") == "2026-11-22"
    assert date("unknown") == "unknown"
    assert time("141530.12") == "14:15"
    assert time("") == ""
    assert age("20001123", "20261122") == 25
    assert age("20001122", "20261122") == 26
    assert age("", "20261122") is None
    assert age("20270101", "20261122") is None


def test_runs_are_cut_by_face() -> None:
    assert fonts.markup("a中<") == (
        '<font name="Latin">a</font><font name="Chinese">中</font><font name="Latin">&lt;</font>'
    )
    assert fonts.has_chinese("a中")
    assert not fonts.has_chinese("Иванова")
