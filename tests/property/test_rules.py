"""Rules against an oracle that shares no code with them; patterns against Python's own `re`."""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.model import Priority
from hub.rules.book import RuleBook
from hub.rules.facts import StudyFacts
from hub.rules.language import read
from hub.rules.pattern import MAX_TEXT, PatternError, compile_glob, compile_pattern

MODALITIES = ["CT", "MR", "US"]
PARTS = ["HEAD", "CHEST", ""]
TEXTS = ["", "ct head", "MR knee", "Head CT late"]

facts = st.builds(
    StudyFacts,
    site=st.sampled_from(["H001", "H002"]),
    priority=st.sampled_from(list(Priority)),
    modality=st.lists(st.sampled_from(MODALITIES), max_size=2).map(tuple),
    body_part=st.lists(st.sampled_from(PARTS), max_size=2).map(tuple),
    description=st.sampled_from(TEXTS),
    birth=st.one_of(st.none(), st.dates(date(2000, 1, 1), date(2026, 1, 1))),
    on=st.dates(date(2026, 1, 1), date(2026, 12, 31)),
    instances=st.integers(0, 10),
    at=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)).map(lambda d: d.replace(tzinfo=UTC)),
)

leaves = st.one_of(
    st.fixed_dictionaries({"modality": st.lists(st.sampled_from(MODALITIES), min_size=1)}),
    st.fixed_dictionaries({"body_part": st.sampled_from(["HEAD", "CHEST"])}),
    st.fixed_dictionaries({"site": st.sampled_from(["h001", "H002"])}),
    st.fixed_dictionaries({"priority": st.sampled_from(["stat", "URGENT", "routine"])}),
    st.fixed_dictionaries({"description": st.sampled_from(["head", "CT", "knee"])}),
    st.fixed_dictionaries({"age": st.integers(0, 30).map(lambda n: f"< {n}y")}),
    st.fixed_dictionaries({"instances": st.integers(0, 10).map(lambda n: f">= {n}")}),
    st.fixed_dictionaries(
        {"time": st.tuples(st.integers(0, 11), st.integers(12, 23)).map("{0[0]}:00-{0[1]}:30".format)}
    ),
    st.fixed_dictionaries(
        {"time": st.tuples(st.integers(12, 23), st.integers(0, 11)).map("{0[0]}:00-{0[1]}:30".format)}
    ),
    st.fixed_dictionaries({"weekday": st.lists(st.sampled_from(["mon", "wed", "sun"]), min_size=1)}),
)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"not": inner}),
        st.tuples(inner, inner).map(lambda two: {**two[0], **two[1]}),
    ),
    max_leaves=8,
)


def oracle(condition: dict, study: StudyFacts) -> bool:
    return all(_oracle(name, value, study) for name, value in condition.items())


def _oracle(name: str, value, study: StudyFacts) -> bool:
    if name == "all":
        return all(oracle(one, study) for one in value)
    if name == "any":
        return any(oracle(one, study) for one in value)
    if name == "not":
        return not oracle(value, study)
    wanted = value if isinstance(value, list) else [value]
    if name in ("modality", "body_part"):
        return bool({one.lower() for one in getattr(study, name)} & {one.lower() for one in wanted})
    if name == "site":
        return study.site.lower() == value.lower()
    if name == "priority":
        return study.priority.name.lower() == value.lower()
    if name == "description":
        return value.lower() in study.description.lower()
    if name == "age":
        if study.birth is None:
            return False
        birthday_passed = (study.on.month, study.on.day) >= (study.birth.month, study.birth.day)
        return study.birth <= study.on and study.on.year - study.birth.year - (not birthday_passed) < int(
            value[2:-1]
        )
    if name == "instances":
        return study.instances >= int(value[3:])
    if name == "weekday":
        return f"{study.at:%a}".lower() in wanted
    start, end = ((int(part.split(":")[0]), int(part.split(":")[1])) for part in value.split("-"))
    now = (study.at.hour, study.at.minute)
    return start <= now < end if start < end else not end <= now < start


@given(st.lists(conditions, max_size=4), facts)
@settings(max_examples=300, deadline=None)
def test_rules_decide_as_the_oracle_says(listed: list[dict], study: StudyFacts) -> None:
    rules = [{"name": f"r{n}", "when": c, "then": {"group": f"g{n}"}} for n, c in enumerate(listed)]
    text = json.dumps({"time_zone": "UTC", "rules": rules, "default": {"group": "none"}})
    found = RuleBook.parse(text.encode(), Path("r.yaml")).evaluate(study)
    first = next((n for n, c in enumerate(listed) if oracle(c, study)), None)
    assert found.group == ("none" if first is None else f"g{first}")
    assert found.why


@given(
    st.text()
    | st.recursive(
        st.none() | st.booleans() | st.text(max_size=5),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "rules",
                        "default",
                        "name",
                        "when",
                        "then",
                        "group",
                        "all",
                        "not",
                        "age",
                        "deadline",
                        "prefer",
                        "groups",
                        "time_zone",
                    ]
                ),
                x,
            )
        ),
        max_leaves=20,
    ).map(json.dumps)
)
@settings(max_examples=300, deadline=None)
def test_reading_never_breaks(text: str) -> None:
    reading = read(text.encode("utf-8", "surrogatepass"), file=Path("r.yaml"))
    assert (reading.rules is None) == bool(reading.faults)


patterns = st.recursive(
    st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "^", "$", r"\d", "", "1"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("({0[0]}|{0[1]})".format),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{0,2}", "{1,}"])).map(
            "({0[0]}){0[1]}".format
        ),
    ),
    max_leaves=8,
)


@given(patterns, st.text(alphabet="abAB1\u00e9", max_size=8))
@settings(max_examples=500, deadline=None)
@example("(a|b)*b{2}$", "ababb")
@example("^$", "")
@example("(^a)*b", "ab")
def test_patterns_match_as_python_does(source: str, text: str) -> None:
    expected = re.search(source.replace("$", r"\Z"), text.lower()) is not None
    assert compile_pattern(source).matches(text) is expected


@given(st.text(alphabet="ab*?", max_size=8), st.text(alphabet="abA", max_size=8))
@settings(deadline=None)
def test_globs_match_as_fnmatch_does(source: str, text: str) -> None:
    translated = "".join({"*": ".*", "?": "."}.get(sign, re.escape(sign)) for sign in source)
    assert compile_glob(source).matches(text) is (re.fullmatch(translated, text.lower()) is not None)


@pytest.mark.parametrize("source", ["(a*)*$", "(a|a)*$", "(a+)+$", "(.*.*)*x", "a?" * 60 + "a{60}"])
def test_no_pattern_runs_away(source: str) -> None:
    pattern = compile_pattern(source)
    before = time.process_time()
    pattern.matches("a" * MAX_TEXT + "!")
    assert time.process_time() - before < 5, "Python's own re needs longer than the universe"


@given(st.text(alphabet="ab()[]{}*+?|\\^$.-,12", max_size=20))
@settings(max_examples=500, deadline=None)
def test_no_text_breaks_the_pattern_parser(source: str) -> None:
    with suppress(PatternError):  # anything else would break the hub
        compile_pattern(source).matches("ab12")


def test_patterns_that_need_too_much_are_refused() -> None:
    with pytest.raises(PatternError, match="too much"):
        compile_pattern("((a{50}){50}){50}")
    with pytest.raises(PatternError, match="longer"):
        compile_pattern("a" * 201)
