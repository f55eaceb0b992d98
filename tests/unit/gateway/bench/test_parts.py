"""What a bench makes, finds and reads, without running one."""

from __future__ import annotations

import argparse
import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread

from gateway.bench import desk, ingest, peers, senders, studies
from gateway.bench.link import Loopback, Side, find_wan, open_link, received
from gateway.bench.pour import pour
from gateway.bench.sampling import read_packed
from gateway.errors import Unavailable, UsageError


def test_a_ct_study_in_parts_is_what_a_scanner_sends(tmp_path: Path) -> None:
    study = studies.ct(tmp_path, 5, "r", parts=2)
    assert [len(list(part.iterdir())) for part in sorted(tmp_path.iterdir())] == [3, 2]
    read = [dcmread(file) for file in study.files]
    assert {(one.Rows, one.Columns, one.BitsAllocated) for one in read} == {(512, 512, 16)}
    assert {str(one.StudyInstanceUID) for one in read} == {study.uid}
    assert len({str(one.SOPInstanceUID) for one in read}) == study.count == 5
    assert study.size > 5 * 512 * 512 * 2


def test_slices_beyond_the_computed_ones_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "DISTINCT", 2)
    study = studies.ct(tmp_path, 6, "r")
    assert len({dcmread(file).PixelData for file in study.files}) == 6


def test_small_mr_are_32_to_131_kb(tmp_path: Path) -> None:
    study = studies.mr(tmp_path, 8, "r")
    read = [dcmread(file) for file in study.files]
    assert {one.Rows for one in read} == set(studies.MR_SIDES)
    assert len({str(one.SeriesInstanceUID) for one in read}) == len(studies.MR_SIDES)
    assert len({one.PixelData for one in read}) == 8


def test_one_big_instance_is_whole(tmp_path: Path) -> None:
    study = studies.big(tmp_path, 2_000_000, "r")
    dataset = dcmread(study.files[0])
    assert dataset.NumberOfFrames == 3
    assert len(dataset.PixelData) == 3 * 512 * 512 * 2


def test_a_users_folder_is_sent_under_new_uids_and_stays_as_it_was(tmp_path: Path) -> None:
    given = studies.ct(tmp_path / "given", 2, "r")
    before = [file.read_bytes() for file in given.files]
    copied = studies.copied(given.folder, tmp_path / "copied", "again")
    assert copied.uid != given.uid
    assert copied.size == pytest.approx(given.size, abs=200)
    assert [file.read_bytes() for file in given.files] == before
    linked = studies.spread(given.folder, tmp_path / "linked", 2)
    assert (linked.uid, linked.count, linked.size) == (given.uid, given.count, given.size)


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    for make in (studies.of_folder, lambda folder: studies.copied(folder, tmp_path / "x", "r")):
        with pytest.raises(UsageError, match="no DICOM"):
            make(tmp_path)


def test_peers_that_are_missing_are_told_in_plain_words(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found, missing = ingest.peer_receivers(Loopback())
    assert found == []
    assert all("not installed" in words and "apt install" in words for words in missing)
    assert not peers.orthanc_installed()
    assert senders.chosen(None) == "pynetdicom"
    with pytest.raises(UsageError, match="not installed"):
        senders.chosen("storescu")


def test_without_a_simulator_it_is_loopback_and_said(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("TELERAD_WAN", raising=False)
    monkeypatch.chdir(tmp_path)
    link, how = open_link(None)
    assert isinstance(link, Loopback)
    assert "not found" in how
    assert "not simulated" in how
    with pytest.raises(UsageError, match="no wan program"):
        find_wan(tmp_path / "nowhere")


def test_a_simulator_that_fails_is_said_in_its_words(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    broken = tmp_path / "wan"
    broken.write_text("import sys; sys.exit('no /dev/net/tun here')")
    monkeypatch.setenv("TELERAD_WAN", str(broken))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    link, how = open_link(None)
    assert isinstance(link, Loopback)
    assert "no /dev/net/tun here" in how
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "root" in open_link(None)[1]
    with link.inside(Side.HUB):
        assert link.sent() == 0


def test_bytes_of_the_link_leave_loopback_out(tmp_path: Path) -> None:
    table = tmp_path / "dev"
    table.write_text(
        "Inter-|   Receive\n face |bytes    packets\n"
        "    lo: 900 1 0 0 0 0 0 0 900 1 0 0 0 0 0 0\n  wanb: 1234 2 0 0 0 0 0 0 55 2 0 0 0 0 0 0\n"
    )
    assert received(str(table)) == 1234


def test_what_the_edge_coded_is_read_from_its_log(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    event = {"event": "packed", "timestamp": now.isoformat(), "parcel": "p", "plain": 9, "coded": 4}
    lines = [
        json.dumps(event | {"ways": {"jxl": 2}, "instances": 2, "seconds": 0.1}),
        json.dumps(event | {"ways": {}, "instances": 3, "seconds": 0.1}),
        json.dumps(event | {"ways": {}, "instances": 0, "seconds": 0.1}),
        json.dumps({"event": "listening", "timestamp": now.isoformat()}),
        '{"event": "packed", "timest',
    ]
    log = tmp_path / "edge.log"
    log.write_text("\n".join(lines))
    found = list(read_packed(log, now.timestamp() - 5))
    assert [(one.plain, one.coded, one.ways) for one in found] == [
        (9, 4, {"jxl": 2}),
        (9, 4, {"as received": 3}),
    ]
    assert found[0].at == pytest.approx(5, abs=0.01)
    assert list(read_packed(log, now.timestamp() + 5)) == []


def test_sizes_and_rates_are_written_as_in_the_configuration() -> None:
    assert desk.size("2GB") == 2_000_000_000
    assert desk.rate("384 kbit") == 384_000
    with pytest.raises(argparse.ArgumentTypeError):
        desk.rate("fast")


def test_pouring_sends_that_many_different_instances(tmp_path: Path, storage) -> None:
    port, seen = storage
    told: list[int] = []
    tenths = pour("127.0.0.1", port, "ANY", 40, 3, told.append)
    assert sum(told) == len({uid for uid, _ in seen}) == len(seen) == 40
    assert all(size == 256 for _, size in seen)
    assert len(tenths) == 10
    assert tenths == sorted(tenths)


def test_pouring_tells_what_went_wrong() -> None:
    with pytest.raises(Unavailable):
        pour("127.0.0.1", 1, "ANY", 10, 1, lambda _: None)


def test_a_sender_tells_an_answer_that_is_no_success(tmp_path: Path, storage) -> None:
    port, seen = storage
    study = studies.ct(tmp_path, 2, "r", parts=2)
    parts = sorted(study.folder.iterdir())
    senders.store("pynetdicom", parts, "127.0.0.1", port, "ANY")
    assert len(seen) == 2
    with pytest.raises(Unavailable, match=str(0xA700)):
        senders.store("pynetdicom", parts, "127.0.0.1", port, "ANY", calling="FULL")
    with pytest.raises(Unavailable, match="0xA700"):
        pour("127.0.0.1", port, "FULL", 10, 1, lambda _: None)


@pytest.fixture
def storage():
    """A stock pynetdicom receiver: its port, and (SOP Instance UID, pixel bytes) of what came."""
    from pynetdicom import AE, AllStoragePresentationContexts, evt

    def called(event) -> str:
        return event.assoc.requestor.primitive.called_ae_title.strip()

    seen: list[tuple[str, int]] = []
    lock = threading.Lock()

    def store(event) -> int:
        if "FULL" in (event.assoc.requestor.ae_title.strip(), called(event)):
            return 0xA700
        dataset = event.dataset
        assert dataset.SOPInstanceUID == event.request.AffectedSOPInstanceUID
        with lock:
            seen.append((str(dataset.SOPInstanceUID), len(dataset.PixelData)))
        return 0

    entity = AE()
    entity.supported_contexts = AllStoragePresentationContexts
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    yield server.server_address[1], seen
    server.shutdown()
