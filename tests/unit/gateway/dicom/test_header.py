import time
import zlib
from struct import pack

import pytest
from pydicom.encaps import encapsulate

from gateway.dicom import transfer
from gateway.dicom.attributes import read_attributes
from gateway.dicom.header import read_header
from gateway.dicom.walk import MAX_DEPTH, MAX_VALUE
from tests.doubles.datasets import encode, sample

PLAIN = [transfer.IMPLICIT_LITTLE, transfer.EXPLICIT_LITTLE, transfer.EXPLICIT_BIG]


@pytest.mark.parametrize("syntax", PLAIN)
def test_header_and_exact_pixel_place_in_every_plain_syntax(syntax):
    data = encode(sample(), syntax)
    header = read_header(data, syntax)
    assert header.flaw == ""
    assert header.string("PatientName") == "Sample^王"
    assert header.integer("Rows") == 32
    assert header.integer("SmallestImagePixelValue") == -3
    assert header.dataset.ProcedureCodeSequence[0].CodeValue == "7"
    assert header.pixel_length == 1024
    assert header.pixel_offset == len(data) - 1024
    assert "PixelData" not in header.dataset


def test_pixels_are_never_read():
    data = encode(sample(b"\0" * 4_000_000), transfer.EXPLICIT_LITTLE)
    reads = []

    def read(offset: int, n: int) -> bytes:
        reads.append((offset, min(n, len(data) - offset)))
        return data[offset : offset + n]

    header = read_header(read, transfer.EXPLICIT_LITTLE)
    assert (header.flaw, header.pixel_length) == ("", 4_000_000)
    assert sum(n for _, n in reads) < 40_000


def test_deflated_is_read_through_a_bounded_inflation():
    data = encode(sample(), transfer.DEFLATED_LITTLE)
    header = read_header(data, transfer.DEFLATED_LITTLE)
    assert (header.flaw, header.string("Modality"), header.pixel_length) == ("", "CT", 1024)


def test_a_deflate_bomb_stops_at_the_limit():
    plain = encode(sample(b""), transfer.EXPLICIT_LITTLE)[:-12] + pack(
        "<HH2sHL", 0x0029, 0x1010, b"OB", 0, 200 << 20
    )
    deflater = zlib.compressobj(wbits=-15)
    bomb = (
        deflater.compress(plain)
        + b"".join(deflater.compress(bytes(1 << 20)) for _ in range(200))
        + deflater.flush()
    )
    header = read_header(bomb, transfer.DEFLATED_LITTLE)
    assert "more than there are" in header.flaw
    assert "inflates beyond" in header.flaw
    assert header.string("Modality") == "CT"


def test_damaged_deflate_is_a_flaw():
    assert "inflated" in read_header(b"\xff\xfe\xfd garbage", transfer.DEFLATED_LITTLE).flaw


def test_encapsulated_pixels_have_a_place_and_no_length():
    dataset = sample()
    dataset.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    dataset["PixelData"].is_undefined_length = True
    dataset["PixelData"].VR = "OB"
    data = encode(dataset, transfer.EXPLICIT_LITTLE)
    header = read_header(data, "1.2.840.10008.1.2.4.50")
    assert (header.flaw, header.pixel_length) == ("", None)
    assert data[header.pixel_offset :][:4] == b"\xfe\xff\x00\xe0"


@pytest.mark.parametrize(
    ("keyword", "tag"), [("FloatPixelData", 0x7FE00008), ("DoubleFloatPixelData", 0x7FE00009)]
)
def test_float_pixels_count_as_pixels(keyword, tag):
    dataset = sample()
    del dataset.PixelData
    setattr(dataset, keyword, bytes(64))
    header = read_header(encode(dataset, transfer.EXPLICIT_LITTLE), transfer.EXPLICIT_LITTLE)
    assert (header.pixel_tag, header.pixel_length) == (tag, 64)


def test_no_pixels_and_no_bytes():
    dataset = sample()
    del dataset.PixelData
    header = read_header(encode(dataset, transfer.EXPLICIT_LITTLE), transfer.EXPLICIT_LITTLE)
    assert (header.pixel_tag, header.pixel_offset, header.flaw) == (None, None, "")
    assert read_header(b"", transfer.EXPLICIT_LITTLE).flaw == "no elements"


def test_a_lying_length_is_a_flaw_and_what_came_before_is_kept():
    data = encode(sample(), transfer.EXPLICIT_LITTLE)
    for cut in range(len(data) - 1024, len(data)):
        header = read_header(data[:cut], transfer.EXPLICIT_LITTLE)
        assert "more than there are" in header.flaw
        assert header.integer("Rows") == 32
    lying = data[:-1028] + pack("<L", 0xFFFFFFFE) + data[-1024:]
    assert "claims 4294967294" in read_header(lying, transfer.EXPLICIT_LITTLE).flaw


def nested(depth: int, *, defined: bool) -> bytes:
    inner = b""
    for _ in range(depth):
        if defined:
            item = pack("<HHL", 0xFFFE, 0xE000, len(inner)) + inner
            inner = pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, len(item)) + item
        else:
            item = pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF) + inner + pack("<HHL", 0xFFFE, 0xE00D, 0)
            end = pack("<HHL", 0xFFFE, 0xE0DD, 0)
            inner = pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + item + end
    return inner


@pytest.mark.parametrize("defined", [True, False])
@pytest.mark.parametrize("depth", [MAX_DEPTH, MAX_DEPTH + 1, 198, 199, 20_000])
def test_nesting_bombs(depth, defined):
    name = pack("<HH2sH", 0x0010, 0x0020, b"LO", 2) + b"P1"
    header = read_header(nested(depth, defined=defined) + name, transfer.EXPLICIT_LITTLE)
    assert ("nested deeper" in header.flaw) == (depth > MAX_DEPTH)
    assert header.string("PatientID") == ("P1" if defined or depth <= MAX_DEPTH else "")


def test_a_bad_value_costs_only_itself_and_json_still_works():
    dataset = sample()
    data = encode(dataset, transfer.EXPLICIT_LITTLE)
    bad = data.replace(
        pack("<HH2sH", 0x0028, 0x0010, b"US", 2) + b"\x20\0",
        pack("<HH2sH", 0x0028, 0x0010, b"US", 3) + b"\x20\0\0",
    )
    header = read_header(bad, transfer.EXPLICIT_LITTLE)
    assert "(0028,0010) is no US" in header.flaw
    assert header.integer("Rows") is None
    assert header.integer("Columns") == 16
    assert header.dataset.to_json_dict()


@pytest.mark.parametrize("told", [*PLAIN, "1.2.840.10008.1.2.4.90", "1.2.3.4.5.private"])
@pytest.mark.parametrize("true", PLAIN)
def test_bytes_are_believed_before_the_transfer_syntax(told, true):
    header = read_header(encode(sample(), true), told)
    assert header.integer("Rows") == 32
    assert bool(header.flaw) == (transfer.encoding(told) != transfer.encoding(true))


def test_large_values_are_bulk():
    dataset = sample()
    dataset.EncapsulatedDocument = bytes(MAX_VALUE + 2)
    data = encode(dataset, transfer.EXPLICIT_LITTLE)
    header = read_header(data, transfer.EXPLICIT_LITTLE)
    (bulk,) = header.bulk
    assert (bulk.tag, bulk.vr, bulk.length) == (0x00420011, "OB", MAX_VALUE + 2)
    assert data[bulk.offset - 4 : bulk.offset] == pack("<L", bulk.length)
    assert "EncapsulatedDocument" not in header.dataset


def test_default_charset_reaches_the_names():
    dataset = sample()
    del dataset.SpecificCharacterSet
    dataset.PatientName = "?"
    data = encode(dataset, transfer.EXPLICIT_LITTLE).replace(
        pack("<HH2sH", 0x0010, 0x0010, b"PN", 2) + b"? ",
        pack("<HH2sH", 0x0010, 0x0010, b"PN", 4) + "王东".encode("gb18030"),
    )
    header = read_header(data, transfer.EXPLICIT_LITTLE, default_charset="GB18030")
    assert (header.string("PatientName"), header.charset) == ("王东", "default")


@pytest.mark.parametrize("syntax", PLAIN)
def test_attributes_agree_with_the_header(syntax):
    data = encode(sample(), syntax)
    values, flaw = read_attributes(data, syntax)
    header = read_header(data, syntax)
    assert flaw == ""
    assert values["PatientName"] == "Sample^王"
    assert {word: header.string(word) for word in values} == values


def test_metadata_survives_json():
    data = encode(sample(), transfer.EXPLICIT_LITTLE)
    model = read_header(data, transfer.EXPLICIT_LITTLE).dataset.to_json_dict()
    assert model["00100010"]["Value"] == [{"Alphabetic": "Sample^王"}]


def explicit(number: int, vr: bytes, value: bytes) -> bytes:
    return pack("<HH2sH", 0x0009 + 2 * (number >> 15), 0x1000 + number % (1 << 15), vr, len(value)) + value


def test_attack_06_thousands_of_private_or_flawed_elements_cost_no_time():
    private = b"".join(pack("<HHL", 0x0009, 0x1000 + number, 0) for number in range(9000))
    flawed = pack("<HH2sH", 0x0008, 0x0005, b"CS", 10) + b"ISO_IR 192"
    flawed += b"".join(explicit(number, b"DS", b"x ") for number in range(20_000))
    flawed += b"".join(explicit(number, b"LO", b"\xff\xff") for number in range(20_000, 40_000))
    for data, syntax in ((private, transfer.IMPLICIT_LITTLE), (flawed, transfer.EXPLICIT_LITTLE)):
        began = time.thread_time()
        header = read_header(data, syntax)
        assert time.thread_time() - began < 6
        assert len(header.dataset) >= 9000


def test_private_elements_take_the_vr_of_their_creator():
    value = pack("<HHLH", 0x0019, 0x100A, 2, 7)
    other = pack("<HHLH", 0x0019, 0x110A, 2, 7)
    named = pack("<HHL", 0x0019, 0x0010, 18) + b"SIEMENS MR HEADER "
    known = read_header(named + value + other, transfer.IMPLICIT_LITTLE).dataset
    assert (known[0x0019100A].VR, known[0x0019110A].VR) == ("US", "UN")
    assert read_header(value, transfer.IMPLICIT_LITTLE).dataset[0x0019100A].VR == "UN"
