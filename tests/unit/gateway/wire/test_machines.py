"""Sender and receiver: every state × event of the tables, and the turns that matter one by one."""

from __future__ import annotations

import itertools

import pytest

from gateway.errors import Broken, Malformed
from gateway.model import ParcelId, Sha256
from gateway.wire import receiver, sender
from gateway.wire.chunks import ChunkSet, Range
from gateway.wire.messages import Code, Have, Later, Receipt, Refused, Unknown

P = ParcelId("0" * 31 + "1")
DIGESTS = tuple(Sha256(f"{n:064x}") for n in range(1, 4))
FACTS = receiver.Facts(P, Sha256("a" * 64), DIGESTS, 10, 25)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(sender.State, sender.Event)))
def test_the_senders_table_is_total_and_keeps_its_promises(state: sender.State, event: sender.Event) -> None:
    following = sender.TRANSITIONS[state][event]
    if state is sender.State.DONE:
        assert following is None  # nothing undoes a verified receipt
    elif event is sender.Event.GENUINE:
        assert following is sender.State.DONE  # and it ends every other state
    elif state is sender.State.HELD:
        assert following is (sender.State.DOUBTFUL if event is sender.Event.RELEASED else None)
    elif event in (sender.Event.REFUSED, sender.Event.ROTTEN):
        assert following is sender.State.HELD
    else:
        assert following not in (sender.State.DONE, sender.State.HELD)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(receiver.State, receiver.Event)))
def test_the_receivers_table_keeps_its_promises(state: receiver.State, event: receiver.Event) -> None:
    row = receiver.TRANSITIONS[state]
    following = row.get(event)
    if state is receiver.State.DONE:
        assert following is None
    if event is receiver.Event.STORED and following is not None:
        assert following is receiver.State.DONE
    assert following is not receiver.State.ABSENT


def fresh(chunks: int = 3) -> sender.Sender:
    return sender.Sender(P, chunks)


def test_a_fresh_parcel_needs_no_round_trip() -> None:
    one = fresh()
    assert one.unsent == 3
    assert one.handle(sender.Take(1, 2)) == (sender.SendHeader(), sender.SendChunk(0), sender.SendChunk(1))
    assert one.handle(sender.Take(2, 9)) == ()  # another connection must not overtake the header
    assert one.handle(sender.Take(1, 9)) == (sender.SendChunk(2),)
    assert one.unsent == 0
    assert one.handle(sender.Heard(1, Have(P, 3))) == (sender.Arrived(),)
    assert one.handle(sender.Heard(1, Receipt(P, b"r"))) == (sender.Judge(b"r"),)
    assert one.handle(sender.Judged(True)) == (sender.Confirm(b"r"),)
    assert one.state is sender.State.DONE
    assert one.handle(sender.Heard(1, Receipt(P, b"r"))) == ()


def test_two_exchanges_share_the_chunks_and_a_cut_gives_them_back() -> None:
    one = fresh(4)
    one.handle(sender.Take(1, 1))
    one.handle(sender.Heard(1, Have(P, 4, (Range(0, 4),))))
    assert one.handle(sender.Take(2, 2)) == (sender.SendChunk(1), sender.SendChunk(2))
    assert one.handle(sender.Take(1, 9)) == (sender.SendChunk(3),)
    assert one.handle(sender.Take(3, 9)) == ()
    one.handle(sender.Ended(2, clean=False))
    assert one.state is sender.State.DOUBTFUL
    assert one.handle(sender.Take(4, 9)) == (sender.SendAsk(),)
    one.handle(sender.Heard(4, Have(P, 4, (Range(1, 2),))))
    assert one.handle(sender.Take(4, 9)) == (sender.SendChunk(1), sender.SendChunk(2))


def test_what_the_hub_has_is_in_flight_no_more() -> None:
    one = fresh(4)
    one.handle(sender.Take(1, 4))
    assert one.unsent == 0
    one.handle(sender.Heard(1, Have(P, 4, (Range(3, 1),))))
    assert one.unsent == 0
    one.handle(sender.Heard(1, Have(P, 4, (Range(2, 2),))))  # an older word: 2 is sent once more
    assert one.handle(sender.Take(1, 9)) == (sender.SendChunk(2),)


def test_an_announcement_never_answered_is_doubtful() -> None:
    one = fresh()
    one.handle(sender.Take(1, 1))
    one.handle(sender.Ended(1, clean=True))
    assert one.state is sender.State.DOUBTFUL


def test_a_hub_that_lost_all_is_told_again() -> None:
    one = fresh()
    one.handle(sender.Take(1, 3))
    one.handle(sender.Heard(1, Have(P, 3)))
    assert one.state is sender.State.WHOLE
    one.handle(sender.Heard(2, Unknown(P)))
    assert one.handle(sender.Take(3, 1)) == (sender.SendHeader(), sender.SendChunk(0))


def test_what_was_on_its_way_to_a_hub_that_lost_all_goes_again_at_once() -> None:
    """Not only when the exchange that carries it has ended, which may take ten minutes."""
    one = fresh(4)
    one.handle(sender.Take(1, 3))
    one.handle(sender.Heard(1, Have(P, 4, (Range(1, 3),))))
    one.handle(sender.Heard(1, Unknown(P)))
    assert one.unsent == 4
    assert one.carrying == frozenset()
    assert one.handle(sender.Take(1, 9)) == (sender.SendHeader(), *(sender.SendChunk(n) for n in range(4)))


def test_pauses_holds_and_forged_receipts() -> None:
    one = fresh()
    assert one.handle(sender.Heard(1, Later(P, 30, "disk"))) == (sender.Pause(30, "disk"),)
    assert one.state is sender.State.FRESH
    assert one.handle(sender.Heard(1, Refused(P, Code.DAMAGED, ""))) == ()
    (pause,) = one.handle(sender.Heard(1, Refused(P, Code.UNSUPPORTED, "suite 9")))
    assert pause == sender.Pause(None, "suite 9")
    (pause,) = one.handle(sender.Heard(1, Refused(P, 999, "of a later version")))
    assert isinstance(pause, sender.Pause)
    one.handle(sender.Heard(1, Receipt(P, b"x")))
    (pause,) = one.handle(sender.Judged(False, "wrong key"))
    assert isinstance(pause, sender.Pause)
    assert "wrong key" in pause.words
    (hold,) = one.handle(sender.Heard(1, Refused(P, Code.CONFLICT, "two headers")))
    assert hold == sender.Hold("refused by the hub (CONFLICT): two headers")
    assert one.handle(sender.Heard(1, Have(P, 3))) == ()
    assert one.handle(sender.Take(5, 3)) == ()
    one.handle(sender.Released())
    assert one.handle(sender.Take(6, 3)) == (sender.SendAsk(),)


def test_a_hub_that_counts_otherwise_and_rot_are_for_a_person() -> None:
    for event in (
        sender.Heard(1, Have(P, 4)),
        sender.Heard(1, Have(P, 4, (Range(0, 1),))),
        sender.Rotten("x"),
    ):
        one = fresh()
        (hold,) = one.handle(event)
        assert isinstance(hold, sender.Hold)
        assert one.state is sender.State.HELD


def test_a_judgement_without_a_receipt_is_refused() -> None:
    with pytest.raises(Malformed):
        fresh().handle(sender.Judged(True))


def came(index: int, *, claimed: Sha256 | None = None, actual: Sha256 | None = None, size: int = 0) -> object:
    own = DIGESTS[index] if index < 3 else DIGESTS[0]
    return receiver.ChunkCame(index, claimed or own, actual or own, size or FACTS.place(index)[1])


def said(actions: tuple[receiver.Action, ...]) -> list[object]:
    return [action.message for action in actions if isinstance(action, receiver.Answer)]


def test_the_way_in() -> None:
    one = receiver.Receiver(P)
    assert said(one.handle(receiver.Asked())) == [Unknown(P)]
    assert said(one.handle(came(0))) == [Unknown(P)]
    assert one.handle(receiver.Announced(FACTS))[0] == receiver.Keep(FACTS)
    assert said(one.handle(receiver.Announced(FACTS))) == [Have(P, 3, (Range(0, 3),))]
    assert one.handle(came(2)) == (receiver.Write(2),)
    assert one.handle(came(2)) == ()  # doubled while it is being written
    one.handle(receiver.Unwritten((2,)))
    assert one.handle(came(2)) == (receiver.Write(2),)
    assert said(one.handle(receiver.Durable((2,)))) == [Have(P, 3, (Range(0, 2),))]
    assert one.handle(came(2)) == ()
    one.handle(came(0))
    one.handle(came(1))
    assert one.handle(receiver.Durable((0, 1))) == (receiver.Open(), receiver.Answer(Have(P, 3)))
    assert said(one.handle(came(1))) == [Have(P, 3)]
    assert said(one.handle(receiver.Lost((1,)))) == [Have(P, 3, (Range(1, 1),))]
    one.handle(came(1))
    one.handle(receiver.Durable((1,)))
    assert said(one.handle(receiver.Stored(b"r"))) == [Receipt(P, b"r")]
    assert said(one.handle(receiver.Stored(b"other"))) == [Receipt(P, b"r")]  # the first one stands
    assert said(one.handle(receiver.Announced(FACTS))) == [Receipt(P, b"r")]
    assert said(one.handle(came(1))) == [Receipt(P, b"r")]


def test_the_last_chunk_is_short() -> None:
    assert [FACTS.place(index) for index in range(3)] == [(0, 10), (10, 10), (20, 5)]


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (came(0, actual=DIGESTS[1]), Code.DAMAGED),
        (came(0, claimed=DIGESTS[1], actual=DIGESTS[1]), Code.CONFLICT),
        (came(0, size=9), Code.CONFLICT),
        (came(3), Code.CONFLICT),
        (receiver.Announced(receiver.Facts(P, Sha256("b" * 64), DIGESTS, 10, 25)), Code.CONFLICT),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(event: receiver.Input, code: Code) -> None:
    one = receiver.Receiver(P)
    one.handle(receiver.Announced(FACTS))
    refused = said(one.handle(event))[0]
    assert isinstance(refused, Refused)
    assert refused.code == code
    assert said(one.handle(receiver.Asked())) == [Have(P, 3, (Range(0, 3),))]


def test_put_aside_and_taken_up_again() -> None:
    one = receiver.Receiver.restored(FACTS, ChunkSet.full(3), whole=True)
    one.handle(receiver.Failed(Code.QUARANTINED, "SHA-256 differs"))
    assert said(one.handle(receiver.Asked())) == [Refused(P, Code.QUARANTINED, "SHA-256 differs")]
    assert said(one.handle(receiver.Stored(b"r"))) == [Receipt(P, b"r")]


def test_restored() -> None:
    have = ChunkSet(3)
    have.add(1)
    assert receiver.Receiver.restored(FACTS, have).state is receiver.State.RECEIVING
    assert receiver.Receiver.restored(FACTS, have, receipt=b"r").state is receiver.State.DONE
    refused = receiver.Receiver.restored(FACTS, have, refusal=(Code.QUARANTINED, "w"))
    assert refused.state is receiver.State.REFUSED


def test_impossible_events_stop_the_program() -> None:
    with pytest.raises(Broken):
        receiver.Receiver(P).handle(receiver.Stored(b"r"))
    with pytest.raises(Broken):
        receiver.Receiver(P).handle(receiver.Durable((0,)))


def test_what_is_overdue_goes_again_on_another_exchange() -> None:
    one = fresh()
    one.handle(sender.Take(1, 3))
    assert one.carrying == {1}
    assert one.handle(sender.Hedge(1, 9)) == ()  # it is under way there already
    again = one.handle(sender.Hedge(2, 2))
    assert again == (
        sender.SendHeader(),
        sender.SendChunk(0),
        sender.SendChunk(1),
    )  # the header may be lost too
    one.handle(sender.Heard(1, Have(P, 3, (Range(1, 2),))))
    assert one.handle(sender.Hedge(3, 9)) == (sender.SendChunk(1), sender.SendChunk(2))
    assert one.handle(sender.Heard(3, Have(P, 3))) == (sender.Arrived(),)
    assert one.handle(sender.Hedge(4, 9)) == ()
    assert one.carrying == frozenset()


def test_a_broken_hedge_leaves_nothing_behind() -> None:
    one = fresh(1)
    one.handle(sender.Take(1, 1))
    one.handle(sender.Hedge(2, 1))
    one.handle(sender.Ended(2, False))
    assert one.state is sender.State.DOUBTFUL
    one.handle(sender.Ended(1, False))
    assert one.handle(sender.Take(3, 1)) == (sender.SendAsk(),)
