"""Whatever waits: what is signed together fits together, and nothing is passed over."""

from hypothesis import given
from hypothesis import strategies as st

from edge.spool.grouping import AGAIN, MIDDLE, MOST, PLAIN, SMALL, group, lead
from edge.spool.item import SpoolItem
from edge.spool.kept import Kept, instance_number
from edge.spool.states import State
from gateway.model import ParcelId, Priority

STUDIES = st.sampled_from(["A", "B", "", None])


def item_of(number, priority=Priority.ROUTINE, size=500_000):
    return SpoolItem(
        parcel_id=ParcelId(f"{number:032x}"),
        state=State.RECEIVED,
        sealed_size=size,
        chunk_count=1,
        instances=1,
        priority=priority,
        modality="",
        received_at="",
    )


@st.composite
def waiting(draw):
    sizes = st.one_of(st.integers(16, 300_000), st.integers(16, 3 << 20))
    row = st.tuples(st.sampled_from(Priority), STUDIES, sizes, st.sampled_from("12"), st.integers(-5, 40))
    rows = draw(st.lists(row, min_size=1, max_size=120))
    rows.sort(key=lambda row: row[0])
    items = [item_of(number, row[0], row[2]) for number, row in enumerate(rows)]
    kept = {
        item.parcel_id: Kept(b"", study, f"{study}.{series}" if study else "", number)
        for item, (_, study, _, series, number) in zip(items, rows, strict=True)
        if study is not None
    }
    return items, kept


def half(item):
    return item.sealed_size / 2


@given(waiting(), st.integers(1, 8 << 20))
def test_what_travels_together(found, target):
    items, kept = found
    chosen = group(items, kept.get, target, half)
    assert chosen.items[0] is items[0]
    places = [items.index(item) for item in chosen.items]
    assert places == sorted(set(places))
    if len(chosen.items) == 1:
        return
    study = kept[items[0].parcel_id].study
    assert study
    assert {kept[item.parcel_id].study for item in chosen.items} == {study}
    assert len({item.priority for item in chosen.items}) == 1
    assert all(item.sealed_size < SMALL for item in chosen.items)
    assert sum(map(half, chosen.items)) <= target
    assert sum(item.sealed_size for item in chosen.items) <= PLAIN
    assert len(chosen.items) <= MOST


@given(waiting(), st.integers(1, 8 << 20))
def test_everything_is_signed_and_no_notice_overtakes(found, target):
    items, kept = found
    left, order, begun = list(items), [], {}
    while left:
        ahead = lead(left, kept.get, begun)
        if ahead is None:
            chosen = group(left, kept.get, target, half).items
        else:
            one = kept[ahead[0].parcel_id]
            assert ahead[1] > begun.get(one.series, 0)
            begun[one.series] = ahead[1]
            chosen = (ahead[0],)
        order += chosen
        left = [item for item in left if item not in chosen]
    assert sorted(order, key=lambda item: item.parcel_id) == items
    for notice in (item for item in items if item.parcel_id not in kept):
        before = {item.parcel_id for item in order[: order.index(notice)]}
        assert {item.parcel_id for item in items[: items.index(notice)]} <= before


@given(waiting(), st.integers(1, 8 << 20))
def test_it_is_full_only_if_nothing_later_could_join(found, target):
    items, kept = found
    chosen = group(items, kept.get, target, half)
    if chosen.full or len(chosen.items) == len(items):
        return
    study = kept[items[0].parcel_id].study
    assert sum(map(half, chosen.items)) < target
    assert not [
        item
        for item in items
        if item not in chosen.items
        and item.parcel_id in kept
        and kept[item.parcel_id].study == study
        and item.priority == items[0].priority
        and item.sealed_size < SMALL
    ]


def test_the_first_and_the_middle_of_each_series_go_ahead():
    items = [item_of(number) for number in range(3 * MIDDLE)]
    numbers = [7 * number % (2 * MIDDLE) for number in range(2 * MIDDLE)]
    kept = {item.parcel_id: Kept(b"", "A", "A.1", numbers[at]) for at, item in enumerate(items[: 2 * MIDDLE])}
    kept |= {item.parcel_id: Kept(b"", "A", "A.2") for item in items[2 * MIDDLE :]}
    begun = {}
    found = []
    while ahead := lead(items, kept.get, begun):
        one, again = ahead
        found.append((kept[one.parcel_id].series, kept[one.parcel_id].number))
        begun[kept[one.parcel_id].series] = again
        items.remove(one)
    assert found == [("A.1", 0), ("A.1", MIDDLE), ("A.2", None)]
    assert begun["A.1"] == AGAIN * (2 * MIDDLE - 1)


def test_instance_numbers_as_they_are_written():
    assert [instance_number(text) for text in ("12 ", "-3", "", "1.5", "x", "\u0661", "9" * 13)] == [
        12,
        -3,
        None,
        None,
        None,
        None,
        None,
    ]
