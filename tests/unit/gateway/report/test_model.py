from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Malformed
from gateway.report.model import Body, Kind, Report
from gateway.report.text import MAX_SECTION, clean
from tests.doubles.report import CHINESE, ENGLISH, report

VECTOR = Path(__file__).parents[3] / "vectors/report/report-1.json"
VECTOR_SHA256 = "8bcc801c6b910180b400bc9adbcc867d89fda8b4d69d7c88e296e9ed1bc04f0e"
ENGLISH_BODY = json.loads(report(ENGLISH).to_bytes())["body"]
PATIENT = json.loads(report(ENGLISH).to_bytes())["patient"]


def test_the_golden_vector_is_what_this_program_writes() -> None:
    whole = Report.from_bytes(VECTOR.read_bytes())
    assert whole == report(CHINESE)
    assert whole.to_bytes() == VECTOR.read_bytes()
    assert whole.digest == VECTOR_SHA256


TEXT = st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs", "Cf"]))


@given(st.builds(Body, TEXT, TEXT, TEXT, TEXT, TEXT, st.booleans()))
def test_every_body_survives_the_way_there_and_back(body: Body) -> None:
    whole = report(body)
    assert Report.from_bytes(whole.to_bytes()) == whole


@given(st.text())
def test_cleaned_text_can_always_be_signed(text: str) -> None:
    body = Body.from_input({"findings": text})
    assert report(body).to_bytes()
    assert clean(body.findings) == body.findings


def test_cleaning_keeps_every_ordinary_character() -> None:
    text = "Δ < 5 HU\n\tострая 硬膜外血肿 é"
    assert clean(text) == text
    assert clean("a\r\nb\rc\u2028d") == "a\nb\nc\nd"
    assert clean("safe\u202edetrevni\x00\x1b[31m") == "safedetrevni[31m"


@pytest.mark.parametrize(
    "change",
    [
        {"format": "telerad-report/2"},
        {"version": 0},
        {"version": True},
        {"version": 2},
        {"kind": "addendum"},
        {"kind": "letter"},
        {"supersedes": "0" * 32},
        {"report_id": "x" * 32},
        {"signed_at": "yesterday"},
        {"site": "../H001"},
        {"extra": 1},
        {"body": {}},
        {"body": {**ENGLISH_BODY, "findings": "a\u202eb"}},
        {"body": {**ENGLISH_BODY, "critical": "no"}},
        {"body": {**ENGLISH_BODY, "language": "xx"}},
        {"patient": {**PATIENT, "name": "a\nb"}},
        {"patient": []},
    ],
)
def test_what_the_format_does_not_know_is_refused(change: dict[str, object]) -> None:
    value = {**json.loads(report(ENGLISH).to_bytes()), **change}
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(Malformed):
        Report.from_bytes(text)


def test_a_missing_field_and_loose_json_are_refused() -> None:
    data = report(ENGLISH).to_bytes()
    assert b'"site":"H001",' in data
    with pytest.raises(Malformed):
        Report.from_bytes(data.replace(b'"site":"H001",', b""))
    with pytest.raises(Malformed, match="canonical"):
        Report.from_bytes(data + b" ")


def test_limits_hold() -> None:
    assert Body(findings="x" * MAX_SECTION).said
    with pytest.raises(Malformed, match="findings"):
        Body(findings="x" * (MAX_SECTION + 1))
    with pytest.raises(Malformed):
        Body.from_input({"findigns": "x"})
    with pytest.raises(Malformed):
        Body.from_input("text")
    assert not Body(clinical_question="why", findings="  \n").said


def test_an_addendum_names_its_predecessor() -> None:
    addendum = report(ENGLISH, version=2, kind=Kind.ADDENDUM, supersedes="0" * 32)
    assert Report.from_bytes(addendum.to_bytes()) == addendum
