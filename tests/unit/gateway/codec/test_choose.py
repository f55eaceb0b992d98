"""The choice follows link, CPU and image; raw is never beaten by something slower."""

from __future__ import annotations

import random
import time

import imagecodecs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codec import WAYS, plan
from gateway.codec.choose import choose
from gateway.codec.chooser import Chooser, code
from gateway.codec.figures import FRESH, START, Figures
from gateway.codec.plan import STRIP
from gateway.codec.way import RAW, Way, parse
from gateway.dicom import transfer
from gateway.errors import Malformed
from tests.doubles.images import Image, encapsulated, reader

CT_RATIO = {
    "raw": 1,
    "zstd-1": 2.17,
    "zstd-3": 2.36,
    "jxl-1": 3.75,
    "htj2k": 4.16,
    "jpegls": 4.53,
    "jxl-3": 5.2,
    "zstd-9": 2.6,
    "zstd-19": 2.9,
    "jxl-7": 5.38,
}
CT_WAYS = [way for way in WAYS if way.name in CT_RATIO]
MBIT = 1e6 / 8


def on_ct(link: float, cores: float = 1, size: int = 525_000, waiting: int = 300_000_000, busy: float = 0):
    return choose(
        CT_WAYS,
        size=size,
        waiting=waiting,
        link=link,
        cores=cores,
        busy=busy,
        speed=lambda way: START[way.name],
        ratio=lambda way: CT_RATIO[way.name],
    )


@pytest.mark.parametrize(
    ("mbit", "cores", "name"),
    [
        (0.256, 1, "jxl-7"),
        (2, 1, "jxl-7"),
        (20, 1, "jxl-3"),
        (70, 1, "jpegls"),
        (100, 1, "htj2k"),
        (100, 4, "jxl-3"),
        (300, 1, "jxl-1"),
        (1000, 4, "htj2k"),
        (1000, 1, "zstd-1"),
        (10_000, 1, "raw"),
    ],
)
def test_the_faster_the_line_the_lighter_the_codec(mbit, cores, name):
    choice = on_ct(mbit * MBIT, cores)
    assert choice.way.name == name
    assert choice.why.startswith(f"{name} ends in ")
    assert choice.best.way == choice.way


def test_the_cpu_is_not_worked_hard_for_little():
    """MR: a per cent and a half less for twice the work."""
    ratios = {"jxl-5": 2.86, "jxl-7": 2.91}

    def chosen(link: float) -> str:
        return choose(
            [Way("jxl", 5), Way("jxl", 7)],
            size=73_000,
            waiting=73_000_000,
            link=link,
            cores=2,
            speed=lambda way: {"jxl-5": 4.4e6, "jxl-7": 2.3e6}[way.name],
            ratio=lambda way: ratios[way.name],
        ).way.name

    assert (chosen(10 * MBIT), chosen(0.384 * MBIT)) == ("jxl-5", "jxl-7")


@pytest.mark.parametrize("busy", [0, 5, 100, 10_000])
def test_a_long_queue_is_no_reason_to_send_more(busy):
    assert on_ct(10 * MBIT, size=130_000, waiting=0, busy=busy).best.ratio > 3


def test_what_is_coded_whole_before_it_is_sent_goes_uncoded_on_a_line_that_would_be_done_by_then():
    def chosen(piece: int) -> Way:
        return choose(
            [Way("jxl", 1)],
            size=64 << 20,
            link=(64 << 20) / 2.5,  # uncoded 2.5 s; coding takes 1.5 s, then sending 1.25 s
            cores=1,
            piece=piece,
            speed=lambda _: (64 << 20) / 1.5,
            ratio=lambda _: 2.0,
        ).way

    assert (chosen(STRIP), chosen(64 << 20)) == (Way("jxl", 1), RAW)


def test_what_cannot_be_sooner_is_not_probed():
    asked = []

    def ratio(way: Way) -> float:
        asked.append(way.name)
        return CT_RATIO[way.name]

    choose(
        CT_WAYS,
        size=1 << 20,
        link=300 * MBIT,
        cores=1,
        speed=lambda way: START[way.name],
        ratio=ratio,
    )
    assert "jxl-1" in asked
    assert not {"jxl-7", "zstd-19", "jxl-3", "raw"} & set(asked)


POSITIVE = st.floats(1, 1e10)


@given(
    figures=st.dictionaries(st.sampled_from(WAYS[1:]), st.tuples(POSITIVE, st.floats(0.01, 1000))),
    size=st.integers(0, 1 << 40),
    waiting=st.integers(0, 1 << 40),
    link=st.floats(0, 1e11),
    cores=st.floats(0, 256),
)
def test_never_later_than_raw_nor_than_any_other(figures, size, waiting, link, cores):
    choice = choose(
        list(figures),
        size=size,
        waiting=waiting,
        link=link,
        cores=cores,
        speed=lambda way: figures[way][0],
        ratio=lambda way: figures[way][1],
    )
    raw = next(each for each in choice.estimates if each.way == RAW)
    total = max(size + waiting, 1)
    assert raw.ends == pytest.approx(total / max(link, 1))
    assert choice.best.ends <= raw.ends
    assert all(choice.best.costs(total) * 0.98 <= each.costs(total) for each in choice.estimates)
    # no way that was left out could have been sooner: its coding alone takes longer
    pieces = max(1, round(total / min(max(size, 1), STRIP)))
    for way in set(figures) - {each.way for each in choice.estimates}:
        assert total / (figures[way][0] * max(min(cores, pieces), 0.1)) >= choice.best.ends * 0.999


def test_names():
    assert {way.name: parse(way.name) for way in WAYS} == {way.name: way for way in WAYS}
    assert (parse("zstd").level, parse("jxl").level) == (3, 3)
    with pytest.raises(Malformed, match="no codec 'jxl-9'"):
        parse("jxl-9")


# -- figures -----------------------------------------------------------------------------------------


def test_figures_follow_what_is_measured():
    figures, way = Figures(), Way("jxl", 3)
    assert figures.speed("CT", way) == START["jxl-3"]
    assert figures.ratio("CT", way) is None
    figures.observe("CT", way, 1_000_000, 200_000, 0.1)
    assert figures.speed("CT", way) == pytest.approx(10e6)
    assert figures.speed("MR", way) == pytest.approx(10e6)
    assert figures.ratio("CT", way) == 5
    assert figures.ratio("MR", way) is None
    for _ in range(60):
        figures.observe("CT", way, 1_000_000, 500_000, 0.05)
    assert figures.speed("CT", way) == pytest.approx(20e6, rel=0.01)
    assert figures.ratio("CT", way) == pytest.approx(2, rel=0.01)
    assert set(figures.table()) == {"CT", ""}
    assert figures.table()["CT"]["jxl-3"]["ratio"] == pytest.approx(2, rel=0.01)


def test_a_ratio_grows_stale():
    figures, way = Figures(), Way("jxl", 3)
    figures.observe("CT", way, 100_000, 50_000, 0)
    assert [figures.ratio("CT", way) for _ in range(FRESH)] == [2.0] * FRESH
    assert figures.ratio("CT", way) is None
    figures.observe("CT", way, 100_000, 50_000, 0)
    assert figures.ratio("CT", way) == 2


def test_empty_and_small_work_does_not_spoil_the_speed():
    figures, way = Figures(), Way("htj2k")
    figures.observe("CT", way, 0, 10, 1)
    figures.observe("CT", way, 100, 50, 1)
    assert figures.speed("CT", way) == START["htj2k"]


# -- chooser -----------------------------------------------------------------------------------------


def timer():
    """A clock on which all work takes no time, so that speeds stay those of `START`."""
    return lambda: 0.0


def picked(chooser: Chooser, data: bytes, syntax: str, link: float) -> str:
    found = plan(reader(data), syntax)
    return chooser.choose(reader(data), len(data), found, link=link, cores=1, waiting=10**8).way.name


def test_the_content_decides():
    slow = 2 * MBIT
    ct = Image(rows=512, columns=512, low=0, high=3000, noise=4).dataset
    chart = Image(rows=512, columns=512).head + b"".join(
        (bytes([255, 255]) if row % 31 else bytes([0, 15])) * 512 for row in range(512)
    )
    chooser = Chooser(timer=timer())
    assert picked(chooser, ct, transfer.EXPLICIT_LITTLE, slow).startswith(("jxl", "jpegls"))
    other = Chooser(timer=timer())
    assert picked(other, chart, transfer.EXPLICIT_LITTLE, slow).startswith(("zstd", "jxl"))
    bits = Image(allocated=1, rows=512, columns=512).dataset
    assert picked(chooser, bits, transfer.EXPLICIT_LITTLE, slow) == "raw"  # random bits
    assert picked(chooser, b"text " * 50_000, transfer.EXPLICIT_LITTLE, slow).startswith("zstd")


def test_an_image_that_shrinks_is_seen_among_those_that_did_not():
    noise = Image(rows=512, columns=512).head + random.Random(0).randbytes(512 * 512 * 2)
    ct = Image(rows=512, columns=512, low=0, high=3000, noise=4).dataset
    chooser = Chooser(timer=timer())
    for _ in range(3):
        assert picked(chooser, noise, transfer.EXPLICIT_LITTLE, 10 * MBIT) == "raw"
    assert picked(chooser, ct, transfer.EXPLICIT_LITTLE, 10 * MBIT).startswith(("jxl", "jpegls", "htj2k"))


def test_a_single_urgent_image_is_not_kept_waiting_by_probes_of_slow_ways():
    ct = Image(rows=512, columns=512, low=0, high=3000, noise=4).dataset
    chooser = Chooser(timer=timer())
    chooser.choose(reader(ct), len(ct), plan(reader(ct), transfer.EXPLICIT_LITTLE), link=10 * MBIT, cores=2)
    probed = set().union(*chooser.figures.table().values())
    assert "jpegls" in probed
    assert not {"zstd-19", "jxl-7"} & probed


def test_probes_of_planes_and_jpeg_files():
    chooser = Chooser(timer=timer())
    planar = Image(rows=200, columns=200, samples=3, allocated=8, planar=1, high=255, photometric="RGB")
    for syntax in (transfer.EXPLICIT_LITTLE, transfer.EXPLICIT_BIG):
        found = picked(chooser, planar.dataset, syntax, MBIT)
        assert found.startswith(("jxl", "jpegls", "htj2k"))
    file = imagecodecs.jpeg8_encode(Image(rows=400, columns=400, allocated=8, high=255).words[0, :, :, 0])
    data = encapsulated(bytes(file), bytes(file), syntax_head=Image(allocated=8).head[:-12])
    assert picked(chooser, data, "1.2.840.10008.1.2.4.50", MBIT) == "jpeg-jxl"
    assert picked(chooser, data, "1.2.840.10008.1.2.4.50", 1e9) == "raw"


def test_empty_and_unreadable_bytes_have_a_choice():
    chooser = Chooser(timer=time.perf_counter)
    for data in (b"", b"\0", b"\xff" * 100, Image().head):
        assert picked(chooser, data, transfer.EXPLICIT_LITTLE, MBIT)


def test_code_gives_what_a_decoder_reads():
    out: list[bytes] = []
    data = Image().dataset
    assert code(data, parse("htj2k"), plan(reader(data), transfer.EXPLICIT_LITTLE), out.append) == {}
    assert 0 < sum(map(len, out)) < len(data)
