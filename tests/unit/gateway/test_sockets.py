"""Sockets for long lines: what the kernel offers is used, what it does not offer is no error."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from gateway import sockets

OFFERED = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")
BBR = OFFERED.exists() and "bbr" in OFFERED.read_text().split()


def test_a_socket_and_what_it_accepts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        before = sockets.congestion_of(listening)
        sockets.for_long_lines(listening)
        with socket.create_connection(listening.getsockname()) as there, listening.accept()[0] as here:
            assert sockets.congestion_of(here) == ("bbr" if BBR else before)
            assert here.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            assert here.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == sockets.UNSENT_LOW
            there.sendall(b"x")
            assert here.recv(1) == b"x"


def test_what_the_kernel_does_not_offer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "CONGESTION", b"nothing")
    with socket.socket() as made:
        before = sockets.congestion_of(made)
        sockets.for_long_lines(made)
        assert sockets.congestion_of(made) == before


@pytest.mark.parametrize(
    ("most", "grown", "fixed"),
    [("212992", "4096 16384 4194304", False), ("4194304", "4096 16384 4194304", True), (None, "", False)],
)
def test_a_fixed_buffer_only_where_it_is_the_larger_one(
    most: str | None, grown: str, fixed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if most is not None:
        (tmp_path / "core").mkdir()
        (tmp_path / "ipv4").mkdir()
        (tmp_path / "core/wmem_max").write_text(most)
        (tmp_path / "ipv4/tcp_wmem").write_text(grown)
    monkeypatch.setattr(sockets, "_NET", tmp_path)
    assert sockets._fixed_beats_growing.__wrapped__("core/wmem_max", "ipv4/tcp_wmem") is fixed


def test_what_the_kernel_tells_of_a_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        with socket.create_connection(listening.getsockname()) as there, listening.accept()[0] as here:
            sent = 0
            for _ in range(20):
                there.sendall(b"x" * 1000)
                sent += len(here.recv(1000))
            there.sendall(b"x")
            assert here.recv(1) == b"x"
            found = sockets.info_of(there)
            assert found is not None
            assert sent <= found.acknowledged <= 20_002  # the SYN counts as one
            assert 0 < found.round_trip < 1
            assert found.unsent == 0
            assert found.sent >= 20
            assert found.delivery > 0
            assert sent <= found.delivered <= 20_002 + 20 * 65_536  # in whole segments
        assert sockets.info_of(there) is None


def test_a_connection_is_held_to_a_rate_and_let_go_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        with socket.create_connection(listening.getsockname()) as there, listening.accept()[0]:
            for rate, told in ((125_000, 125_000), (None, sockets.UNPACED)):
                sockets.limit(there, rate)
                data = there.getsockopt(socket.SOL_SOCKET, sockets._SO_MAX_PACING_RATE, 8)
                assert int.from_bytes(data, sys.byteorder) == told
        sockets.limit(there, 1)  # closed: nothing to hold back any more


@pytest.mark.skipif(not BBR, reason="this kernel has no BBR")
def test_bbr_begins_anew_and_goes_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        sockets.for_long_lines(listening)
        with socket.create_connection(listening.getsockname()) as there, listening.accept()[0] as here:
            sockets.for_long_lines(there)
            for _ in range(50):  # so much that BBR has done looking
                for _ in range(20):
                    there.sendall(b"x" * 10_000)
                    here.recv(10_000, socket.MSG_WAITALL)
            before = sockets.info_of(there)
            assert before is not None
            sockets.begin_anew(there)
            after = sockets.info_of(there)
            assert after is not None
            assert sockets.congestion_of(there) == "bbr"
            assert (before.found > 0, after.found) == (True, 0)
            assert after.acknowledged == before.acknowledged
            there.sendall(b"x")
            assert here.recv(1) == b"x"
        sockets.begin_anew(there)  # closed: nothing begins any more


@pytest.mark.skipif(not BBR, reason="this kernel has no BBR")
def test_what_bbr_has_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as there:
        sockets.for_long_lines(there)
        there.connect(listening.getsockname())
        here, _ = listening.accept()
        with here:
            fresh = sockets.info_of(there)
            assert fresh is not None
            assert fresh.found == 0
            for _ in range(50):
                there.sendall(b"x" * 1000)
                here.recv(1000)
            found = sockets.info_of(there)
            assert found is not None
            assert found.found > 0
