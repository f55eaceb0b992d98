"""Messages between technician and reader: what is let through, and that it reads back as it was."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import canonical
from gateway.envelope.inner import Notice
from gateway.errors import Malformed
from gateway.message import FROM_SITE, LONGEST, Purpose, SiteMessage, Subject, Told, clean, digest

ID = "0123456789abcdef" * 2
AT = "2026-11-22T09:00:00.000000Z"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("  two\r\nlines\rthree ", "two\nlines\nthree"),
        ("bell\x07 nul\x00 escape\x1b[31m", "bell nul escape[31m"),
        ("a\u202egnp.exe\u202c b\u2066c", "agnp.exe bc"),
        ("e\u0301", "\u00e9"),
        ("many\n\n\n\n\nlines", "many\n\nlines"),
        ("张^小东 <b>&", "张^小东 <b>&"),
        ("\ud800half", "half"),
        ("👩\u200d⚕️", "👩\u200d⚕️"),
    ],
)
def test_a_text_is_cleaned(given, kept):
    assert clean(given) == kept


@pytest.mark.parametrize("text", ["", " \n ", "\x00\x07", "\u202e", "x" * (LONGEST + 1)])
def test_nothing_and_too_much_are_refused(text):
    with pytest.raises(Malformed):
        clean(text)


def test_what_is_done_needs_no_words():
    assert clean(" \x00", may_be_empty=True) == ""


@given(st.text(max_size=300))
def test_cleaning_twice_is_cleaning_once_and_leaves_no_control(text):
    kept = clean(text, may_be_empty=True)
    assert clean(kept, may_be_empty=True) == kept
    assert not [one for one in kept if unicodedata.category(one) in ("Cc", "Cs") and one not in "\n\t"]
    canonical.dump({"text": kept})  # can always travel


@given(
    st.sampled_from(sorted(FROM_SITE)), st.text(min_size=1, max_size=200), st.binary(min_size=16, max_size=16)
)
def test_a_message_reads_back_from_its_notice(purpose, text, ident):
    try:
        made = SiteMessage.made(id=ident.hex(), study="1.2.3", purpose=purpose, text=text, at=AT)
    except Malformed:
        assert not clean(text, may_be_empty=True)
        return
    notice = made.notice()
    carried = canonical.load(canonical.dump({"kind": notice.kind, "body": dict(notice.body)}))
    assert SiteMessage.read(Notice.read(carried)) == made


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "x"},
        {"id": ID.upper()},
        {"study": "1.2.3; drop"},
        {"study": "1" * 65},
        {"purpose": "request"},  # only readers ask
        {"purpose": "shout"},
        {"text": ""},
        {"text": 7},
        {"at": "yesterday"},
        {"more": "x"},
    ],
)
def test_what_is_no_message_is_refused(changed):
    body = {"id": ID, "study": "1.2.3", "purpose": "answer", "text": "yes", "at": AT} | changed
    with pytest.raises(Malformed):
        SiteMessage.read(Notice("message", body))


def test_the_digest_hides_short_texts():
    assert digest(ID, "done") != digest(ID[::-1], "done")
    assert len(digest(ID, "done")) == 64


TOLD = {
    "number": 7,
    "id": ID,
    "study": "1.2.3",
    "sender": "reader",
    "purpose": "request",
    "need": "images",
    "text": "more",
    "author": "Dr Ann",
    "at": AT,
    "seen": False,
    "waits": True,
}


def test_what_the_hub_tells_is_read_and_more_of_it_ignored():
    assert Told.read(TOLD | {"colour": "red"}).purpose == Purpose.REQUEST
    for name in TOLD:
        with pytest.raises(Malformed):
            Told.read({key: value for key, value in TOLD.items() if key != name})
        with pytest.raises(Malformed):
            Told.read(TOLD | {name: None})
    with pytest.raises(Malformed):
        Told.read(TOLD | {"purpose": "shout"})
    with pytest.raises(Malformed):
        Told.read([])
    with pytest.raises(Malformed):
        Subject.read({"patient_name": "x"})
