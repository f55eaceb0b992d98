"""The line's TLS, over memory: who gets in, who does not, and that nothing is resumed."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from certs.authority import Authority, Issued, Issuer
from gateway import durable, keyfile, tls
from gateway.errors import Unverified, UsageError
from gateway.trust import pem
from tests.doubles.hand_clock import HandClock
from tests.doubles.requests import request


@dataclass
class Files:
    chain: Path
    key: Path


@dataclass
class Bench:
    folder: Path
    clock: HandClock
    authority: Authority

    def files(self, name: str, issued: Issued, key) -> Files:
        files = Files(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        durable.create(files.chain, pem(issued.chain))
        keyfile.store(files.key, key)
        return files

    def device(self, authority: Authority | None = None, **options: timedelta) -> Files:
        key = keyfile.new()
        issued = (authority or self.authority).issue_device(request(key), "H001", "1", **options)
        return self.files(f"device{len(list(self.folder.iterdir()))}", issued, key)

    def server(self) -> ssl.SSLContext:
        key = keyfile.new()
        files = self.files("server", self.authority.issue_server(key.public_key(), ["hub.test"]), key)
        known = [self.authority.root, self.authority.certificate(Issuer.DEVICE)]
        return tls.line_server_context(files.chain, files.key, known)

    def client(self, files: Files) -> ssl.SSLContext:
        return tls.line_client_context(files.chain, files.key, [self.authority.root])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    clock = HandClock()
    folder = tmp_path / "files"
    folder.mkdir()
    return Bench(folder, clock, Authority.create(tmp_path / "pki", clock))


def shake(
    client: ssl.SSLContext,
    server: ssl.SSLContext,
    name: str = "hub.test",
    session: ssl.SSLSession | None = None,
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """A handshake through memory, and one message each way. Raises what either end raises."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(down, up, server_hostname=name, session=session)
    far = server.wrap_bio(up, down, server_side=True)
    waiting = [near, far]
    while waiting:
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                pass
    far.write(b"hello")
    assert near.read() == b"hello"  # also takes in any session ticket
    return near, far


def test_the_hub_learns_which_edge_calls(bench: Bench) -> None:
    near, far = shake(bench.client(bench.device()), bench.server())
    assert near.version() == "TLSv1.3"
    now = bench.clock.now()
    assert tls.peer_identity(far, bench.authority.trust, now).site == "H001"


def test_a_session_cannot_be_resumed(bench: Bench) -> None:
    client, server = bench.client(bench.device()), bench.server()
    near, _ = shake(client, server)
    assert near.session is None or not near.session.has_ticket
    again, _ = shake(client, server, session=near.session)
    assert not again.session_reused


def test_the_check_above_would_see_a_resumption(bench: Bench) -> None:
    client, server = bench.client(bench.device()), bench.server()
    server.num_tickets, server.options = 2, server.options & ~ssl.OP_NO_TICKET
    near, _ = shake(client, server)
    again, _ = shake(client, server, session=near.session)
    assert again.session_reused


def test_tls_1_2_is_refused(bench: Bench) -> None:
    client = bench.client(bench.device())
    client.minimum_version = client.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match="UNSUPPORTED_PROTOCOL"):
        shake(client, bench.server())


def test_no_certificate_is_refused(bench: Bench) -> None:
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN"):
        shake(tls.web_client_context([bench.authority.root]), bench.server())


def test_another_authoritys_device_is_refused(bench: Bench, tmp_path: Path) -> None:
    other = Authority.create(tmp_path / "other", bench.clock)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(bench.client(bench.device(other)), bench.server())


def test_an_expired_device_is_refused(bench: Bench) -> None:
    files = bench.device(life=timedelta(seconds=-60))
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        shake(bench.client(files), bench.server())


def test_a_person_is_no_device(bench: Bench) -> None:
    key = keyfile.new()
    files = bench.files("person", bench.authority.issue_person(key.public_key(), "P", "p@q.org"), key)
    with pytest.raises(ssl.SSLCertVerificationError, match="purpose"):
        shake(bench.client(files), bench.server())


def test_a_hub_of_another_name_is_refused(bench: Bench) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake(bench.client(bench.device()), bench.server(), name="other.test")


def test_a_hub_of_another_root_is_refused(bench: Bench, tmp_path: Path) -> None:
    other = Authority.create(tmp_path / "other", bench.clock)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(tls.web_client_context([other.root]), bench.server())


def test_a_new_certificate_is_shown_at_once(bench: Bench) -> None:
    server, client = bench.server(), bench.client(bench.device())
    key = keyfile.new()
    files = bench.files("next", bench.authority.issue_server(key.public_key(), ["new.test"]), key)
    tls.load_certificate(server, files.chain, files.key)
    shake(client, server, name="new.test")


def test_browsers_may_use_tls_1_2(bench: Bench) -> None:
    key = keyfile.new()
    files = bench.files("web", bench.authority.issue_server(key.public_key(), ["hub.test"]), key)
    client = tls.web_client_context([bench.authority.root])
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    near, far = shake(client, tls.web_server_context(files.chain, files.key))
    assert near.version() == "TLSv1.2"
    with pytest.raises(Unverified, match="showed no certificate"):
        tls.peer_identity(far, bench.authority.trust, bench.clock.now())


def test_unfit_files_are_told(bench: Bench) -> None:
    one, two = bench.device(), bench.device()
    with pytest.raises(UsageError, match="cannot use the certificate"):
        tls.line_client_context(one.chain, two.key, [bench.authority.root])
    with pytest.raises(UsageError, match="cannot use the certificate"):
        tls.web_server_context(bench.folder / "absent.pem", one.key)
