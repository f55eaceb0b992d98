from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from gateway.errors import UsageError
from gateway.model import Priority
from hub.rules.book import RuleBook
from hub.rules.explain import explain
from hub.rules.facts import StudyFacts, born, dicom_date, read_facts
from hub.rules.tree import Unit

HEAD = StudyFacts(
    site="H001",
    priority=Priority.ROUTINE,
    modality=("CT", "SR"),
    body_part=("HEAD",),
    description="CT Schädel nativ",
    series_description=("Scout", "Angio Head 1.0"),
    sex="F",
    birth=date(2010, 11, 23),
    on=date(2026, 11, 22),
    instances=120,
    referring="Meier^Hans",
    institution="Kreiskrankenhaus",
    sending_ae=("CT1",),
    at=datetime(2026, 11, 22, 11, 30, tzinfo=UTC),  # a Sunday; 19:30 in Shanghai
)


def book(when: str, extra: str = "") -> RuleBook:
    text = f"{extra}rules:\n- name: x\n  when: {when}\n  then: {{group: g}}\ndefault: {{group: other}}\n"
    return RuleBook.parse(text.encode(), Path("rules.yaml"))


def holds(when: str, facts: StudyFacts = HEAD, extra: str = "") -> bool:
    return book(when, extra).evaluate(facts).rule == "x"


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("{}", True),
        ("{modality: ct}", True),
        ("{modality: [MR, sr]}", True),
        ("{modality: MR}", False),
        ("{modality: C}", False),
        ("{modality: {contains: C}}", True),
        ("{site: H001}", True),
        ("{site: H002}", False),
        ("{priority: routine}", True),
        ("{priority: [stat, urgent]}", False),
        ("{description: schädel}", True),
        ("{description: SCHÄDEL}", True),
        ("{description: [knie, nativ]}", True),
        ("{description: {equals: nativ}}", False),
        ("{description: {glob: 'ct*nativ'}}", True),
        ("{description: {glob: 'ct*'}}", True),
        ("{description: {glob: 'sch*'}}", False),
        ("{description: {glob: 'CT Sch?del nativ'}}", True),
        ("{description: {regex: 'sch.del'}}", True),
        ("{description: {regex: '^sch'}}", False),
        ("{series_description: {glob: '*angio*head*'}}", True),
        ("{sex: f}", True),
        ("{referring: meier}", True),
        ("{institution: kreis}", True),
        ("{sending_ae: CT1}", True),
        ("{sending_ae: CT}", False),
        ("{age: '< 16y'}", True),
        ("{age: '<= 15y'}", True),
        ("{age: '>= 16y'}", False),
        ("{age: '> 15y'}", False),
        ("{age: '= 15y'}", True),
        ("{age: 180m..191m}", True),
        ("{age: '>= 192m'}", False),
        ("{instances: '> 119'}", True),
        ("{instances: '> 120'}", False),
        ("{instances: '>= 120'}", True),
        ("{instances: 1..119}", False),
        ("{weekday: sun}", True),
        ("{weekday: mon-sat}", False),
        ("{weekday: fri-mon}", True),
        ("{time: '11:30-12:00'}", True),
        ("{time: '11:00-11:30'}", False),
        ("{time: '18:00-07:00'}", False),
        ("{modality: CT, body_part: CHEST}", False),
        ("{all: [{modality: CT}, {body_part: HEAD}]}", True),
        ("{any: [{modality: MR}, {body_part: HEAD}]}", True),
        ("{not: {modality: CT}}", False),
        ("{not: {modality: MR}}", True),
    ],
)
def test_conditions(when: str, expected: bool) -> None:
    assert holds(when) is expected


def test_hours_are_meant_in_the_time_zone() -> None:
    zone = "time_zone: Asia/Shanghai\n"
    assert holds("{time: '18:00-07:00'}", extra=zone)
    assert not holds("{time: '07:00-18:00'}", extra=zone)


def test_what_is_not_known_fits_nothing() -> None:
    nothing = StudyFacts()
    for when in ("{age: '< 16y'}", "{age: '>= 0d'}", "{modality: ''}", "{description: ''}", "{sex: F}"):
        assert not holds(when, nothing), when
    assert holds("{not: {age: '>= 16y'}}", nothing)


def test_the_first_match_decides_and_priority_is_only_raised() -> None:
    rules = RuleBook.parse(
        b"""
rules:
  - {name: a, when: {modality: MR}, then: {group: one}}
  - {name: b, when: {modality: CT}, then: {group: two, priority: urgent, deadline: {urgent: 2h, stat: 1h}}}
  - {name: c, when: {modality: CT}, then: {group: three}}
default: {group: four, deadline: 1d, weight: 2, hold: look at it}
""",
        Path("rules.yaml"),
    )
    found = rules.evaluate(HEAD)
    assert (found.rule, found.group, found.priority) == ("b", "two", Priority.URGENT)
    assert found.deadline == timedelta(hours=2)
    assert found.why == (
        "rule b (rules.yaml:4) matched: modality is CT",
        "priority raised from routine to urgent by rule b",
    )
    stat = rules.evaluate(StudyFacts(modality=("CT",), priority=Priority.STAT))
    assert (stat.priority, stat.deadline) == (Priority.STAT, timedelta(hours=1))
    assert len(stat.why) == 1
    other = rules.evaluate(StudyFacts(modality=("US",)))
    assert (other.rule, other.group, other.weight, other.hold) == ("default", "four", 2, "look at it")
    assert other.why == ("no rule matched; default (rules.yaml:6)", "held for a person: look at it")


def test_the_why_names_only_what_made_it_match() -> None:
    found = book("{any: [{modality: MR}, {body_part: HEAD}], age: '< 16y'}").evaluate(HEAD)
    assert found.why == ("rule x (rules.yaml:2) matched: body part is HEAD; age < 16y (it is 15y)",)


def test_an_explanation_shows_every_clause_with_its_value() -> None:
    answer = explain(book("{modality: MR, age: '< 16y'}").rules, HEAD)
    text = answer.text()
    assert "✗ rule x (rules.yaml:2) does not match" in text
    assert "✗ modality is MR (it is CT, SR)" in text
    assert "✓ age < 16y (it is 15y)" in text
    assert "→ default: group other, priority routine, weight 1" in text
    document = answer.document()
    assert document["decision"]["rule"] == "default"
    assert [part["holds"] for part in document["rules"][0]["parts"]] == [False, True]


def test_rules_after_the_match_are_not_asked() -> None:
    text = b"rules:\n- {name: a, when: {}, then: {group: g}}\n- {name: b, when: {sex: F}, then: {group: h}}\n"
    rules = RuleBook.parse(text + b"default: {group: g}", Path("r.yaml")).rules
    answer = explain(rules, HEAD)
    assert (len(answer.asked), answer.not_asked) == (1, 1)


@pytest.mark.parametrize(
    ("birth", "on", "days", "months", "years"),
    [
        ("2000-02-29", "2001-02-28", 365, 11, 0),
        ("2000-02-29", "2001-03-01", 366, 12, 1),
        ("2026-11-22", "2026-11-22", 0, 0, 0),
        ("2010-11-22", "2026-11-22", 5844, 192, 16),
    ],
)
def test_ages_are_completed_units(birth: str, on: str, days: int, months: int, years: int) -> None:
    facts = StudyFacts(birth=date.fromisoformat(birth), on=date.fromisoformat(on))
    assert [facts.age(unit) for unit in (Unit.DAYS, Unit.MONTHS, Unit.YEARS)] == [days, months, years]
    assert facts.age(Unit.WEEKS) == days // 7


def test_a_birth_after_the_study_is_no_age() -> None:
    assert StudyFacts(birth=date(2027, 1, 1), on=date(2026, 1, 1)).age(Unit.YEARS) is None


def test_facts_of_a_command_line() -> None:
    now = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
    given = {"modality": "CT, SR", "age": "45y", "priority": "STAT", "instances": "7", "site": "H001"}
    facts = read_facts(given, now)
    assert facts.modality == ("CT", "SR")
    assert (facts.priority, facts.instances, facts.site, facts.at) == (Priority.STAT, 7, "H001", now)
    assert facts.age(Unit.YEARS) == 45
    assert read_facts({"at": "2026-11-22T18:30+08:00"}, now).at.astimezone(UTC).hour == 10
    for wrong in (
        {"colour": "x"},
        {"priority": "high"},
        {"age": "45"},
        {"age": "5000y"},
        {"instances": "many"},
        {"at": "noon"},
    ):
        with pytest.raises(UsageError):
            read_facts(wrong, now)


@pytest.mark.parametrize("age", ["0d", "3w", "11m", "1y", "45y", "100y"])
def test_somebody_born_so_has_that_age(age: str) -> None:
    on = date(2026, 3, 31)
    facts = StudyFacts(birth=born(age, on), on=on)
    assert facts.age(Unit(age[-1])) == int(age[:-1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20260228", date(2026, 2, 28)),
        ("2026.02.28", date(2026, 2, 28)),
        ("20260230", None),
        ("", None),
        ("2026", None),
        ("٢٠٢٦٠٢٢٨", None),
    ],
)
def test_dicom_dates(text: str, expected: date | None) -> None:
    assert dicom_date(text) == expected
