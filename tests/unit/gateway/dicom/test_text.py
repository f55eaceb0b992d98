import encodings.aliases

import pytest

from gateway.dicom.text import Origin, decode, terms

PS3_5_EXAMPLES = [
    # PS3.5 Annexes H, I, J, K and the pydicom charset files: declared, bytes, text
    (
        "\\ISO 2022 IR 87",
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
    (
        "ISO 2022 IR 13\\ISO 2022 IR 87",
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    ),
    (
        "\\ISO 2022 IR 149",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        "Hong^Gildong=洪^吉洞=홍^길동",
    ),
    (
        "\\ISO 2022 IR 58",
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
        "Zhang^XiaoDong=张^小东=",
    ),
    ("ISO_IR 192", "Wang^XiaoDong=王^小東".encode(), "Wang^XiaoDong=王^小東"),
    ("GB18030", "Wang^XiaoDong=王^小东".encode("gb18030"), "Wang^XiaoDong=王^小东"),
    ("ISO_IR 144", "Люкceмбypг".encode("iso8859_5"), "Люкceмбypг"),
    ("ISO_IR 126", "Διονυσιος".encode("iso8859_7"), "Διονυσιος"),
    ("ISO_IR 100", "Äneas^Rüdiger".encode("latin_1"), "Äneas^Rüdiger"),
    (
        "ISO 2022 IR 100\\ISO 2022 IR 144",
        b"Dionysios=B\xfcc^\x1b-L\xbb\xee=B\xfcc",
        "Dionysios=Büc^Лю=Büc",
    ),
]


@pytest.mark.parametrize(("declared", "value", "text"), PS3_5_EXAMPLES)
def test_declared_sets_decode_as_the_standard_shows(declared, value, text):
    decoded = decode(value, terms(declared), name=True)
    assert (decoded.text, decoded.origin, decoded.damaged) == (text, Origin.DECLARED, False)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("ISO IR 192", "192"),
        ("ISO-IR_100", "100"),
        ("iso_2022_ir 87", "+87"),
        ("gb18030 ", "GB18030"),
        ("utf-8", "192"),
    ],
)
def test_misspelt_terms_are_understood(written, meant):
    assert terms(written) == (meant,)


def test_no_term_is_no_declaration():
    assert terms(None) == terms("") == terms(b"  ") == terms("\\") == ()


def test_ascii_needs_no_decision():
    assert decode(b"Doe^John", terms("ISO_IR 144")).origin is Origin.PLAIN


def test_default_charset_is_taken_where_none_is_declared():
    decoded = decode("王^小东".encode("gb18030"), (), "GB18030")
    assert (decoded.text, decoded.origin) == ("王^小东", Origin.DEFAULT)


@pytest.mark.parametrize(
    ("value", "codec"),
    [("王^小东".encode(), "utf_8"), ("王^小东".encode("gb18030"), "gb18030"), (b"M\xfcller", "latin_1")],
)
def test_undeclared_bytes_are_detected_and_said_to_be(value, codec):
    decoded = decode(value)
    assert (decoded.text, decoded.codec, decoded.origin) == (value.decode(codec), codec, Origin.DETECTED)


def test_utf8_declared_latin1_is_suspect():
    assert decode("Müller".encode(), terms("ISO_IR 100")).suspect
    assert not decode("Müller".encode("latin_1"), terms("ISO_IR 100")).suspect


@pytest.mark.parametrize(("default", "origin"), [(None, Origin.DETECTED), ("GBK", Origin.DEFAULT)])
def test_a_term_that_nobody_knows_declares_nothing_and_is_suspect(default, origin):
    decoded = decode("王^小东".encode("gbk"), terms("LOCAL"), default, name=True)
    assert (decoded.text, decoded.origin, decoded.suspect) == ("王^小东", origin, True)


def test_a_disproved_declaration_falls_back_to_the_usual_set_of_the_sender():
    decoded = decode("王^小东".encode("gb18030"), terms("ISO_IR 192"), "GB18030")
    assert (decoded.text, decoded.origin, decoded.suspect) == ("王^小东", Origin.DEFAULT, True)


def test_undecodable_bytes_stand_as_replacement_characters_and_are_flagged():
    decoded = decode(b"abc\xff\xfe", terms("ISO_IR 192"))
    assert decoded.damaged
    assert "\ufffd" in decoded.text


def test_a_backslash_inside_a_gb18030_character_does_not_split_a_name():
    value = "倈^倈".encode("gbk")
    assert b"\x5c" in "誠\\".encode("gbk")
    assert decode(value, terms("GB18030")).text == "倈^倈"


HOSTILE = (b"\xff\xfe..a.", b"\xffa-\xff", b"\xff-aaaa", b"..\xc3", b"\xff\\u12", b"\xff\\N{x}", b"\xff" * 70)


@pytest.mark.parametrize("default", [None, "GB18030"])
def test_no_name_of_a_python_codec_raises_whatever_the_bytes(default):
    for term in {
        *encodings.aliases.aliases,
        *encodings.aliases.aliases.values(),
        "idna",
        "punycode",
        "undefined",
    }:
        for value in HOSTILE:
            assert decode(value, terms(term), default).text
            assert decode(value, terms("ISO_IR 100"), term).text


def test_what_is_no_character_set_declares_nothing():
    for term in ("PUNYCODE", "IDNA", "unicode_escape", "raw_unicode_escape", "base64", "rot13"):
        assert decode(b"M\xfcller", terms(term)).origin is Origin.DETECTED


def test_unknown_terms_and_escapes_never_raise():
    for declared in ("KLINGON", "ISO_IR 9999", "ISO 2022 IR 58\\XYZ"):
        assert decode(b"a\xe9\x1b%Gb\x1b", terms(declared)).text
