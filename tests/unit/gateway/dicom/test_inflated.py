"""A deflated dataset read by offset: the same bytes as inflated at once, in less memory."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from gateway.dicom import transfer
from gateway.dicom.transfer import Inflated

PLAIN = b"".join(n.to_bytes(4, "big") for n in range(3 << 20))  # 12 MiB, no two places alike
PACKER = zlib.compressobj(1, zlib.DEFLATED, -15)
PACKED = PACKER.compress(PLAIN) + PACKER.flush()


def packed(offset, n):
    return PACKED[offset : offset + n]


FORWARDS = st.lists(
    st.tuples(st.integers(0, len(PLAIN) + 9), st.integers(0, 1 << 20)), min_size=1, max_size=5
)


@given(places=FORWARDS, kept=st.sampled_from([0, 1000, 1 << 20, 8 << 20, None]))
def test_read_forwards_it_is_all_there(places, kept):
    inflated = Inflated(packed, kept=kept)
    for offset, n in sorted(places):
        assert inflated.read(offset, n) == PLAIN[offset : offset + n]
    assert not inflated.cut
    assert not inflated.damaged


@given(place=st.integers(0, (1 << 20) - 200))
def test_its_beginning_can_be_read_again_and_what_was_let_go_is_not_made_up(place):
    inflated = Inflated(packed, kept=1 << 20)
    assert inflated.read(len(PLAIN) - 5, 9) == PLAIN[-5:]
    assert inflated.read(place, 100) == PLAIN[place : place + 100]
    assert inflated.read(len(PLAIN) - transfer.LATEST, 100) == PLAIN[-transfer.LATEST :][:100]
    assert not inflated.cut
    assert inflated.read(3 << 20, 100) == b""
    assert inflated.cut


def test_no_more_is_held_than_it_says():
    inflated = Inflated(packed, kept=1 << 20)
    most = 0
    for offset in range(0, len(PLAIN), 1 << 19):
        inflated.read(offset, 1)
        most = max(most, len(inflated._plain) + len(inflated._latest))
    assert most <= (1 << 20) + 2 * transfer.LATEST


def test_the_limit_stands_whatever_is_kept():
    for kept in (None, 1000):
        inflated = Inflated(packed, limit=5000, kept=kept)
        assert inflated.read(4990, 100) == PLAIN[4990:5000]
        assert inflated.cut
        assert inflated.read(6000, 1) == b""
