from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hub.assign.policy import Candidate, Licence, Need, choose, obstacle

NEED = Need(group="neuro", site="H001", weight=1, today="2026-11-22")


def reader(name: str, **values) -> Candidate:
    return Candidate(name=name, display_name=f"Dr {name.upper()}", **values)


def test_the_least_loaded_is_chosen_and_every_other_is_explained() -> None:
    choice = choose(
        NEED,
        [
            reader("a", available=False),
            reader("b", licence=Licence(every_site=False, here=True, until="2026-10-01")),
            reader("c", load=3),
            reader("d", load=5),
            reader("e", load=50),
            reader("f", licence=Licence(every_site=False)),
        ],
    )
    assert choice.reader is not None
    assert choice.reader.name == "c"
    assert choice.why == (
        "Dr A skipped: away",
        "Dr B skipped: licence for H001 ended 2026-10-01",
        "Dr E skipped: at capacity: load 50 of 50, the case weighs 1",
        "Dr F skipped: no licence for H001",
        "Dr C chosen: load 3 is the least of 3, 5",
    )


def test_a_licence_holds_through_its_last_day() -> None:
    licence = Licence(every_site=False, here=True, until="2026-11-22")
    assert obstacle(NEED, reader("a", licence=licence)) is None
    tomorrow = Need(group="neuro", site="H001", weight=1, today="2026-11-23")
    assert obstacle(tomorrow, reader("a", licence=licence)) == "licence for H001 ended 2026-11-22"


def test_among_equals_the_longest_without_a_case() -> None:
    choice = choose(
        NEED, [reader("a", waited_since="2026-11-22T09"), reader("b", waited_since="2026-11-22T08")]
    )
    assert choice.reader is not None
    assert choice.reader.name == "b"
    assert "among equals" in choice.why[-1]


def test_the_preferred_comes_first_if_they_can() -> None:
    need = Need("neuro", "H001", 1, "2026-11-22", prefer=("x", "b"))
    assert choose(need, [reader("a"), reader("b", load=9)]).why == ("Dr B chosen: preferred by the rule",)
    away = choose(need, [reader("a"), reader("b", available=False)])
    assert away.reader is not None
    assert away.reader.name == "a"


def test_nobody_is_told_as_nobody() -> None:
    assert choose(NEED, []).why == ("group neuro has no reader",)
    choice = choose(NEED, [reader("a", available=False)])
    assert choice.reader is None
    assert choice.why == ("Dr A skipped: away", "no reader of group neuro can be given this case now")
    without = Need("neuro", "H001", 1, "2026-11-22", without=("a",))
    assert choose(without, [reader("a")]).reader is None


candidates = st.lists(
    st.builds(
        Candidate,
        name=st.sampled_from("abcdefgh"),
        display_name=st.just("Dr"),
        available=st.booleans(),
        capacity=st.integers(0, 6),
        load=st.integers(0, 6),
        licence=st.builds(
            Licence,
            every_site=st.booleans(),
            here=st.booleans(),
            until=st.sampled_from([None, "2026-11-21", "2026-11-22"]),
        ),
    ),
    unique_by=lambda one: one.name,
)


@given(candidates, st.integers(1, 3))
def test_who_is_chosen_can_and_nobody_who_can_has_less(found: list[Candidate], weight: int) -> None:
    need = Need("g", "H001", weight, "2026-11-22")
    choice = choose(need, found)
    fit = [
        one
        for one in found
        if one.available
        and one.load + weight <= one.capacity
        and (one.licence.every_site or (one.licence.here and one.licence.until != "2026-11-21"))
    ]
    assert (choice.reader in fit) if fit else (choice.reader is None)
    if choice.reader is not None:
        assert choice.reader.load == min(one.load for one in fit)
    assert len(choice.why) == len(found) - len(fit) + 1
