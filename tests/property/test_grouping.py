"""Whatever waits: what is signed together fits together, and nothing is passed over."""

from hypothesis import given
from hypothesis import strategies as st

from edge.spool.grouping import FIRST, MOST, SMALL, group
from edge.spool.item import SpoolItem
from edge.spool.states import State
from gateway.model import ParcelId, Priority

STUDIES = st.sampled_from(["A", "B", None])


@st.composite
def waiting(draw):
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(Priority),
                STUDIES,
                st.one_of(st.integers(16, 300_000), st.integers(16, 3 << 20)),
            ),
            min_size=1,
            max_size=120,
        )
    )
    rows.sort(key=lambda row: row[0])
    items = [
        SpoolItem(
            parcel_id=ParcelId(f"{number:032x}"),
            state=State.RECEIVED,
            sealed_size=size,
            chunk_count=1,
            instances=1,
            priority=priority,
            modality="",
            received_at="",
        )
        for number, (priority, _, size) in enumerate(rows)
    ]
    return items, {item.parcel_id: row[1] for item, row in zip(items, rows, strict=True)}


@given(waiting(), st.sets(st.sampled_from("AB")), st.integers(1, 8 << 20))
def test_what_travels_together(found, begun, target):
    items, studies = found
    chosen = group(items, studies.get, begun, target)
    assert chosen.items[0] is items[0]
    places = [items.index(item) for item in chosen.items]
    assert places == sorted(set(places))
    if len(chosen.items) == 1:
        return
    study = studies[items[0].parcel_id]
    assert study is not None
    assert {studies[item.parcel_id] for item in chosen.items} == {study}
    assert len({item.priority for item in chosen.items}) == 1
    assert all(item.sealed_size < SMALL for item in chosen.items)
    assert sum(item.sealed_size for item in chosen.items) <= target
    assert len(chosen.items) <= (MOST if study in begun else FIRST)


@given(waiting(), st.sets(st.sampled_from("AB")), st.integers(1, 8 << 20))
def test_all_is_signed_in_the_end_and_a_notice_never_before_its_images(found, begun, target):
    items, studies = found
    left, order = list(items), []
    while left:
        chosen = group(left, studies.get, begun, target)
        order += chosen.items
        begun.add(studies[chosen.items[0].parcel_id] or "")
        left = [item for item in left if item not in chosen.items]
    assert sorted(order, key=lambda item: item.parcel_id) == items
    for notice in (item for item in items if studies[item.parcel_id] is None):
        before = {item.parcel_id for item in order[: order.index(notice)]}
        assert {item.parcel_id for item in items[: items.index(notice)]} <= before


@given(waiting(), st.sets(st.sampled_from("AB")), st.integers(1, 8 << 20))
def test_it_is_full_only_if_nothing_later_could_join(found, begun, target):
    items, studies = found
    chosen = group(items, studies.get, begun, target)
    study = studies[items[0].parcel_id]
    if chosen.full or len(chosen.items) == len(items):
        return
    size = sum(item.sealed_size for item in chosen.items)
    assert study in begun
    assert size < target
    assert not [
        item
        for item in items
        if item not in chosen.items
        and studies[item.parcel_id] == study
        and item.priority == items[0].priority
        and item.sealed_size < SMALL
    ]
