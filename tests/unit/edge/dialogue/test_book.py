"""Conversations in the edge's memory: what is unread, what waits, what is still on its way."""

from __future__ import annotations

from edge.dialogue import book as module
from edge.dialogue.book import Book
from gateway.message import SiteMessage, Subject, Told

STUDY = "1.2.3"
SUBJECT = Subject(
    patient_name="Muster^Max", patient_id="P1", accession="A1", description="CT head", priority="stat"
)


def told(number: int, sender: str = "reader", purpose: str = "message", **more: object) -> Told:
    ident = f"{number:032x}"
    values = {"need": "", "author": "Dr Ann", "seen": False, "waits": purpose == "request", "study": STUDY}
    at = f"2026-11-22T09:00:{number:02}.000000Z"
    return Told.read(
        {"number": number, "id": ident, "sender": sender, "purpose": purpose, "text": "words", "at": at}
        | values
        | more
    )


def ours(purpose: str = "answer", ident: int = 99) -> SiteMessage:
    at = "2026-11-22T09:01:00.000000Z"
    return SiteMessage.made(id=f"{ident:032x}", study=STUDY, purpose=purpose, text="yes", at=at)


def test_unread_until_somebody_looks():
    book = Book()
    book.learn([told(1), told(2, "site")], {STUDY: SUBJECT})
    assert (book.about(STUDY).unread, book.about(STUDY).subject) == (1, SUBJECT)
    assert book.look(STUDY) == 1
    assert book.look(STUDY) is None
    assert book.about(STUDY).unread == 0
    book.learn([told(1)], {})  # asked for again before the hub had heard of it
    assert book.about(STUDY).unread == 0
    book.learn([told(3)], {})
    assert book.about(STUDY).unread == 1
    assert book.look(STUDY) == 3


def test_a_request_waits_until_our_answer_is_written_and_after():
    book = Book()
    book.learn([told(1, purpose="request")], {})
    assert book.about(STUDY).waits
    book.add(ours("message", 98))
    assert book.about(STUDY).waits, "a message is no answer"
    book.add(ours())
    assert not book.about(STUDY).waits
    assert [line.at_hub for line in book.about(STUDY).lines] == [True, False, False]
    book.learn([told(2, "site", "answer", id=f"{99:032x}")], {})
    assert not book.about(STUDY).waits
    assert [line.at_hub for line in book.about(STUDY).lines] == [True, True, False]
    book.learn([told(3, purpose="request")], {})
    assert [line.waits for line in book.about(STUDY).lines] == [False, False, True, False]


def test_what_happened_to_older_messages_is_taken_over():
    book = Book()
    book.learn([told(1, purpose="request"), told(2, "site")], {})
    book.update(STUDY, f"{1:032x}", seen=True, waits=False)  # closed by the report
    book.update(STUDY, f"{2:032x}", seen=True, waits=False)
    book.update("9.9", f"{2:032x}", seen=True, waits=False)
    assert not book.about(STUDY).waits
    assert [line.seen for line in book.about(STUDY).lines] == [True, True]


def test_all_that_is_open_replaces_what_was_known():
    book = Book()
    book.learn([told(1, purpose="request")], {}, newest=7)
    assert book.newest == 7
    book.learn([told(9, study="1.2.4")], {})
    assert book.newest == 9
    book.add(ours())
    book.learn([told(9, study="1.2.4")], {}, newest=9)
    assert [one.study_uid for one in book.all()] == ["1.2.4", STUDY], "ours is still on its way"
    assert book.knows(f"{99:032x}")
    assert not book.knows(f"{1:032x}")


def test_what_needs_somebody_comes_first():
    book = Book()
    book.learn(
        [
            told(1, purpose="request", study="1.1", seen=True),
            told(2, study="1.2"),
            told(3, "site", study="1.3"),
        ],
        {},
    )
    assert [one.study_uid for one in book.all()] == ["1.1", "1.2", "1.3"]


def test_quiet_conversations_are_forgotten_the_oldest_first(monkeypatch):
    monkeypatch.setattr(module, "MOST_STUDIES", 2)
    book = Book()
    book.learn([told(number, study=f"1.{number}", seen=True) for number in range(1, 5)], {})
    assert {one.study_uid for one in book.all()} == {"1.3", "1.4"}
    book.learn([told(number, study=f"2.{number}") for number in range(5, 9)], {})
    assert len(book.all()) == 4, "what is unread is never forgotten"
