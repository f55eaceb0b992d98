"""Receive segments: group commit, use over again, a failing disk, and what a crash leaves."""

import errno
import os
import struct
import threading
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.spool import record as records
from edge.spool import segment as segment_module
from edge.spool.aligned import PAGE, Buffers
from edge.spool.record import Record
from edge.spool.segment import scan
from edge.spool.segments import Segments
from gateway.errors import ResourceError, StorageFull
from gateway.model import ParcelId

SIZE = 1 << 20


def name(number):
    return ParcelId(f"{number:032x}")


def content(number, size=5000):
    return bytes([number % 251]) * size + b"end"


def add(made, number, data=None, note=b"{}"):
    record = Record()
    data = content(number) if data is None else data
    record.add(data)
    try:
        made.add(name(number), note, record)
    finally:
        record.close()


@pytest.fixture(params=[True, False], ids=["past the cache", "through the cache"])
def made(tmp_path, request):
    made = Segments(tmp_path / "segments", SIZE, spares=2, direct=request.param)
    yield made
    made.close()


def reopened(segments, known=()):
    again = Segments(segments.folder, SIZE, spares=2)
    return again, {one.parcel: one for one in again.recover(set(known).__contains__)}


def read(segments, parcel):
    place = segments.place(parcel)
    return place.path.read_bytes()[place.offset : place.offset + place.length]


def test_what_was_added_is_found_again_and_what_was_taken_is_not(made):
    for n in range(5):
        add(made, n)
    made.take([name(1), name(3), name(77)])
    assert Segments(made.folder).waiting() == 3
    again, found = reopened(made)
    assert set(found) == {name(0), name(2), name(4)}
    assert read(again, name(4)) == content(4)
    again.close()


def test_a_record_with_a_key_of_its_own_as_older_programs_wrote_it_is_read(made):
    add(made, 1)
    place = made.place(name(1))
    assert place is not None
    at = place.offset - records.HEAD_SIZE
    (found,) = scan(place.path)
    key = os.urandom(16)
    with place.path.open("r+b") as file:
        file.seek(at)
        data = file.read(found.end - at)
        tagged = data[96:] + data[48:96] + at.to_bytes(8, "big")
        tag = AESGCM(key).encrypt(bytes(12), b"", tagged)
        file.seek(at + 16)
        file.write(tag + key)
    assert [one.whole for one in scan(place.path)] == [True]
    with place.path.open("r+b") as file:
        file.seek(at + 32)
        file.write(os.urandom(16))
    assert [one.whole for one in scan(place.path)] == [False]


def test_segments_are_used_over_and_over(made):
    for n in range(2000):
        add(made, n, content(n, 20_000))
        made.take([name(n)])
    files = list(made.folder.glob("*.seg"))
    assert len(files) <= 3
    assert sum(file.stat().st_size for file in files) <= 3 * SIZE
    again, found = reopened(made)
    assert found == {}
    again.close()


def test_a_record_of_an_earlier_life_never_comes_back(made):
    """Even if the mark that it was taken had been lost."""
    for n in range(300):
        add(made, n)
    made.take(map(name, range(300)))
    for path in made.folder.glob("*.seg"):
        path.write_bytes(path.read_bytes().replace(b"TAKEN\0\0\0", bytes(8)))
    while len({found.parcel for path in made.folder.glob("*.seg") for found in scan(path)} & {name(0)}):
        add(made, 1000)  # until the first file has begun anew
        made.take([name(1000)])
    lives = [found.parcel for path in made.folder.glob("*.seg") for found in scan(path)]
    assert name(0) not in lives


@pytest.mark.parametrize("made", [False], indirect=True)
def test_one_sync_serves_all_who_wait(made, monkeypatch):
    add(made, 0)
    real, syncs, gate = os.fdatasync, [], threading.Event()

    def slow(handle):
        syncs.append(handle)
        gate.wait(5)
        real(handle)

    monkeypatch.setattr(segment_module.os, "fdatasync", slow)
    threads = [threading.Thread(target=add, args=(made, n)) for n in range(1, 17)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 20
    while made._active._written < 17 and time.monotonic() < deadline:
        time.sleep(0.001)
    gate.set()
    for thread in threads:
        thread.join()
    assert len(syncs) <= 3
    assert len(made.places()) == 17


@pytest.mark.parametrize("call", ["pwritev", "fdatasync"])
@pytest.mark.parametrize(("code", "kind"), [(errno.ENOSPC, StorageFull), (errno.EIO, ResourceError)])
def test_a_disk_that_fails_costs_that_item_alone(made, monkeypatch, call, code, kind):
    if call == "fdatasync" and made._direct:
        pytest.skip("past the cache the write itself is durable")
    add(made, 0)

    def fails(*_):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(segment_module.os, call, fails)
        with pytest.raises(kind):
            add(made, 1)
    add(made, 2)
    assert {parcel for parcel, _ in made.places()} == {name(0), name(2)}
    again, found = reopened(made)
    assert set(found) >= {name(0), name(2)}
    again.close()


def test_after_a_failed_sync_nothing_more_is_trusted_to_that_file(made, monkeypatch):
    add(made, 0)
    first = made.place(name(0)).path

    def fails(*_):
        raise OSError(errno.EIO, "no")

    with monkeypatch.context() as patch:
        patch.setattr(segment_module.os, "pwritev" if made._direct else "fdatasync", fails)
        with pytest.raises(ResourceError):
            add(made, 1)
    add(made, 2)
    assert made.place(name(2)).path != first
    made.take([name(0)])
    assert not first.exists()


def test_a_mark_that_cannot_be_written_leaves_the_item(made, monkeypatch):
    add(made, 0)

    def fails(_):
        raise OSError(errno.EIO, "no")

    with monkeypatch.context() as patch:
        patch.setattr(segment_module.os, "fdatasync", fails)
        with pytest.raises(OSError, match="no"):
            made.take([name(0)])
    assert read(made, name(0)) == content(0)
    made.take([name(0)])
    assert made.places() == []


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 3 * PAGE), min_size=1, max_size=8),
    torn=st.integers(0, 7),
    cut=st.floats(0, 0.999),
    zeros=st.booleans(),
)
def test_a_torn_record_costs_no_other(tmp_path_factory, sizes, torn, cut, zeros):
    """Of a record being written at the power cut, any part may be missing: cut off, or never written."""
    made = Segments(tmp_path_factory.mktemp("s"), SIZE, spares=1)
    for n, size in enumerate(sizes):
        add(made, n, os.urandom(size))
    torn %= len(sizes)
    place = made.place(name(torn))
    begin = place.offset - place.offset % PAGE
    length = place.offset + place.length - begin
    kept = int(length * cut)
    data = bytearray(place.path.read_bytes())
    lost = bytes(length - kept) if zeros else os.urandom(length - kept)
    changed = data[begin + kept : begin + length] != lost
    data[begin + kept : begin + length] = lost
    place.path.write_bytes(data)
    again, found = reopened(made)
    expected = {name(n) for n in range(len(sizes))} - ({name(torn)} if changed else set())
    assert set(found) == expected
    again.close()
    made.close()


def test_a_damaged_first_page_loses_nothing(made):
    for n in range(3):
        add(made, n)
    (path,) = made.folder.glob("*.seg")
    with path.open("r+b") as file:
        file.write(b"?" * 100)
    again, found = reopened(made)
    assert set(found) == {name(0), name(1), name(2)}
    again.close()


def test_a_segment_that_never_had_a_life_is_not_read_through(made, monkeypatch):
    """Or a start would read gigabytes of zeros."""
    made.prepare(1)
    (path,) = made.folder.glob("*.seg")
    looked = []
    read = records.read
    monkeypatch.setattr(records, "read", lambda *args: looked.append(args) or read(*args))
    assert list(scan(path)) == []
    assert looked == []


def test_what_was_kept_is_found_though_the_life_of_its_segment_was_lost(made):
    """A disk that lied of the first page, and tore the first record: the beginning is looked at all the same."""
    made.prepare(1)
    (path,) = made.folder.glob("*.seg")
    new = path.read_bytes()[:PAGE]
    for n in range(3):
        add(made, n)
    with path.open("r+b") as file:
        file.write(new + bytes(PAGE))
    again, found = reopened(made)
    assert set(found) == {name(1), name(2)}
    again.close()


def test_what_was_half_written_ahead_is_not_used(made):
    made.prepare(2)
    first, second = sorted(made.folder.glob("*.seg"))
    os.truncate(first, SIZE // 2)
    again, _ = reopened(made)
    assert again.ready == 1
    assert list(made.folder.glob("*.seg")) == [second]
    again.close()


@pytest.mark.parametrize("way", ["lease", "add"])
def test_a_segment_whose_life_cannot_begin_keeps_no_file_and_no_handle(made, monkeypatch, way):
    made.prepare(2)
    handles = sum(1 for _ in Path("/proc/self/fd").iterdir())

    def fails(segment, *, lent=False):
        raise OSError(errno.EIO, "disk")

    monkeypatch.setattr(segment_module.Segment, "begin", fails)
    for _ in range(5):
        with pytest.raises(ResourceError):
            made.lease() if way == "lease" else add(made, 1)
    assert list(made.folder.glob("*.seg")) == []
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == handles - 2


def first_form(life, at, number, note, data):
    """A record as versions before this one wrote it."""
    ident, length = bytes.fromhex(name(number)), len(data)
    tag = AESGCM(life).encrypt(at.to_bytes(12, "big"), b"", ident + struct.pack(">Q", length) + note + data)
    head = struct.pack("<8s8s16s16sLQ16s", b"TGSEGREC", bytes(8), life, ident, len(note), length, tag)
    return head + note + data


def test_what_an_older_version_left_is_found(made):
    add(made, 0)
    path, life = made.place(name(0)).path, os.urandom(16)
    whole = first_form(life, PAGE, 1, b'{"a":1}', content(1))
    torn = first_form(life, 3 * PAGE, 2, b"{}", content(2))[:-1] + b"?"
    taken = first_form(life, 6 * PAGE, 3, b"{}", b"x").replace(bytes(8), b"TAKEN\0\0\0", 1)
    old = path.with_name("00000099.seg")
    with old.open("wb") as file:
        file.write(b"TGSEG001" + life)
        for at, data in ((PAGE, whole), (3 * PAGE, torn), (6 * PAGE, taken)):
            file.seek(at)
            file.write(data)
        file.truncate(SIZE)
    again, found = reopened(made)
    assert set(found) == {name(0), name(1)}
    assert found[name(1)].note == b'{"a":1}'
    assert read(again, name(1)) == content(1)
    again.take([name(1)])
    assert not [one for one in scan(old) if not one.taken and one.whole]
    again.close()


def test_a_record_that_outgrows_its_buffer_is_the_same(made):
    pieces = [os.urandom(size) for size in (1, 1 << 19, 300_000, 7)]
    record = Record()
    for piece in pieces * 4:
        record.add(piece)
    assert bytes(record.part(1, 1 << 19)) == pieces[1]
    made.add(name(1), b"{}", record)
    record.close()
    with pytest.raises(ValueError, match="closed"):
        record.room(1)
    assert read(made, name(1)) == b"".join(pieces * 4)
    again, found = reopened(made)
    assert found[name(1)].whole
    again.close()


def test_a_segment_that_cannot_be_written_ahead_takes_no_room(made, monkeypatch):
    def full(segment):
        raise OSError(errno.EDQUOT, "quota")

    monkeypatch.setattr(segment_module.Segment, "fill", full)
    for _ in range(3):
        with pytest.raises(OSError, match="quota"):
            made.prepare(1)
    assert made.ready == 0
    assert list(made.folder.glob("*.seg")) == []


def test_a_buffer_is_never_given_to_two():
    buffers, taken = Buffers(least=4096, keep=8192), []
    first = buffers.take(1)
    buffers.give(first)
    taken = [buffers.take(4096) for _ in range(3)]
    assert taken[0] is first
    assert len({id(one) for one in taken}) == 3
    for one in taken:
        buffers.give(one)
    assert len(buffers._free) == 2


def test_a_segment_begins_its_life_with_nothing_in_the_page_cache(made):
    """Else every write past the cache would have to let go of its pages first."""
    made.prepare(1)
    add(made, 0)
    handle = os.open(made.place(name(0)).path, os.O_RDONLY)
    try:
        os.preadv(handle, [bytearray(PAGE)], SIZE - PAGE, os.RWF_NOWAIT)
    except BlockingIOError:
        return
    except OSError:
        pytest.skip("this file system does not tell what is cached")
    finally:
        os.close(handle)
    pytest.fail("the zeros of `fill` are still cached")
