from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.model import Priority
from hub.rules.book import RuleBook, RuleFaults
from hub.rules.language import read

ROOT = Path(__file__).parents[4]
FILE = Path("rules.yaml")


def faults(text: str) -> list[tuple[int, str]]:
    return [(fault.line, fault.message) for fault in read(text.encode(), file=FILE).faults]


def one(when: str) -> list[tuple[int, str]]:
    return faults(f"rules:\n- name: x\n  when: {when}\n  then: {{group: g}}\ndefault: {{group: g}}\n")


def test_the_example_has_no_fault_and_no_warning() -> None:
    reading = read((ROOT / "rules.example.yaml").read_bytes(), file=FILE)
    assert reading.notes == ()
    assert reading.rules is not None
    assert len(reading.rules.rules) == 7


def test_every_fault_is_told_with_its_line() -> None:
    text = """\
time_zone: Mars/Olympus
rules:
  - name: a
    when: {modalty: CT}
    then: {group: g, priority: high}
  - name: a
    when: {age: "16"}
    then: {deadline: soon, weight: 0}
  - when: {time: "25:00-26:00", weekday: someday}
    then: {group: g}
  - name: default
    when: [modality]
    then: g
defaults: {group: g}
"""
    told = faults(text)
    lines = [line for line, _ in told]
    assert lines == sorted(lines)
    words = "\n".join(f"{line}: {message}" for line, message in told)
    for expected in (
        "1: time_zone 'Mars/Olympus' is not known",
        "4: 'modalty' is not known in a condition; did you mean 'modality'?",
        "5: priority must be stat, urgent, routine or prior, not 'high'",
        "6: there is another rule 'a' on line 3",
        "7: age must be a comparison",
        "8: rule a: group is missing",
        "8: deadline must be a time span",
        "8: weight must be a whole number",
        "9: the rule has no 'name'",
        "9: time must be a span",
        "9: weekday must be of mon",
        "11: a rule's name is",
        "12: a list needs 'all:' or 'any:'",
        "13: rule default must be a mapping",
        "14: 'defaults' is not known in a rule file; did you mean 'default'?",
        "1: default is missing",
    ):
        assert expected in words
    assert len(told) == 16


@pytest.mark.parametrize(
    "when",
    [
        "{}",
        "{modality: CT}",
        "{modality: [CT, MR], site: H001}",
        "{modality: {equals: CT}}",
        "{description: {glob: 'CT*'}}",
        "{description: {regex: '^ct.{2,5}(a|b)+$'}}",
        "{age: '< 16y'}",
        "{age: 3m..24m}",
        "{age: 18..65y}",
        "{instances: 1..5}",
        "{instances: '>= 800'}",
        "{time: 18:00-07:00}",
        "{weekday: fri-mon}",
        "{not: {any: [{priority: stat}, {all: [{sex: F}, {age: '= 0d'}]}]}}",
    ],
)
def test_what_the_language_has(when: str) -> None:
    assert one(when) == []


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("{modality: []}", "list is empty"),
        ("{modality: {like: CT}}", "'like' is not known in modality"),
        ("{modality: {glob: a, regex: b}}", "say one of"),
        ("{modality: null}", "must be a single value"),
        ("{modality: [[CT]]}", "must be a single value"),
        ("{priority: high}", "compared with stat"),
        ("{priority: {glob: s*}}", "compared with stat"),
        ("{description: {regex: '(a'}}", "never closed"),
        ("{description: {regex: '(?=a)'}}", "look-around"),
        ("{description: {regex: 'a\\1'}}", "not known here"),
        ("{age: 3m..2y}", "must be a comparison"),
        ("{age: 24m..3m}", "must be a comparison"),
        ("{age: '< 16'}", "must be a comparison"),
        ("{instances: '< 16y'}", "must be a comparison"),
        ("{time: 07:00-07:00}", "must be a span"),
        ("{time: 24:30-07:00}", "must be a span"),
        ("{all: {modality: CT}}", "needs a list"),
        ("{any: []}", "needs a list"),
        ("{not: [CT]}", "a list needs"),
        ("CT", "must be a mapping"),
        ("{not: " * 25 + "{}" + "}" * 25, "nested more than"),
    ],
)
def test_what_it_has_not(when: str, words: str) -> None:
    told = one(when)
    assert [line for line, _ in told] == [3] * len(told)
    assert len(told) == 1
    assert words in told[0][1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("rules: [\n", "is not YAML"),
        ("rules: &a []\ndefault: *a\n", "aliases"),
        ("rules: []\nrules: []\n", "given twice"),
        ("- 1", "must be a mapping"),
        ("rules: {}\ndefault: {group: g}", "rules must be a list"),
        ("rules: []", "default is missing"),
        ("default: {group: g}", "rules is missing"),
        ("rules: []\ndefault: {group: ''}", "group's name"),
        ("rules: []\ndefault: {group: g, deadline: {soon: 1h}}", "'soon' is not known"),
        ("rules: []\ndefault: {group: g, deadline: 0h}", "time span"),
        ("rules: []\ndefault: {group: g, eval: x}", "'eval' is not known"),
    ],
)
def test_files_that_are_no_rules(text: str, words: str) -> None:
    assert any(words in message for _, message in faults(text)), faults(text)


def warnings(text: str) -> list[str]:
    reading = read(text.encode(), file=FILE)
    assert reading.rules is not None, reading.faults
    return [f"{note.line}: {note.message}" for note in reading.notes]


def test_what_is_probably_not_meant_is_a_warning() -> None:
    told = warnings(
        """\
groups: {neuro: [], chest: [dr.x]}
rules:
  - {name: all, when: {}, then: {group: brain}}
  - {name: late, when: {time: "18:00-07:00"}, then: {group: chest}}
default: {group: chest}
"""
    )
    assert told == [
        "1: group neuro has no reader",
        "3: group brain is not among the groups declared above",
        "4: never reached: rule all above matches every study",
        "4: time or weekday without time_zone: UTC is meant",
    ]


def test_what_an_action_says() -> None:
    book = RuleBook.parse(
        b"rules: []\ndefault: {group: g, priority: urgent, deadline: {stat: 30m, urgent: 2h}, weight: 3, "
        b"prefer: [a, b], hold: why}\n",
        FILE,
    )
    action = book.rules.default
    assert action.deadlines == {Priority.STAT: timedelta(minutes=30), Priority.URGENT: timedelta(hours=2)}
    assert (action.priority, action.weight, action.prefer, action.hold) == (
        Priority.URGENT,
        3,
        ("a", "b"),
        "why",
    )


def test_a_wrong_file_names_every_fault(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("rules: [{name: a}]\n")
    with pytest.raises(RuleFaults) as told:
        RuleBook.load(file)
    assert len(told.value.faults) == 3
    assert f"{file}:1: " in str(told.value)
    with pytest.raises(ConfigError):
        RuleBook.load(tmp_path / "none.yaml")
