"""Attacks on the listener's TLS (row 3); its deadline is among the others in test_attacks_deadlines.py."""

import socket
import ssl
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge.config import DicomTls, Ingest
from gateway.errors import UsageError
from tests.doubles.listeners import listening
from tests.unit.edge.ingest.test_attacks import connect, serves, stock


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dicom test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    (folder / "c.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "k.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder


def client_context(folder, *, own):
    context = ssl.create_default_context(cafile=str(folder / "c.pem"))
    context.check_hostname = False
    if own:
        context.load_cert_chain(folder / "c.pem", folder / "k.pem")
    return context


@pytest.mark.usefixtures("both_ways")
def test_attack_03_tls_takes_known_senders_and_silent_ones_block_nobody(tmp_path, certificate):
    files = (certificate / "c.pem", certificate / "k.pem")
    config = Ingest(open=True, tls=DicomTls(*files, client_ca=certificate / "c.pem"), max_associations=30)
    with listening(tmp_path, config) as world:
        silent = [connect(world.listener.port) for _ in range(15)]
        started = time.monotonic()
        assert serves(world, tls_args=(client_context(certificate, own=True), None))
        assert time.monotonic() - started < 3
        assert not serves(world, tls_args=(client_context(certificate, own=False), None))
        for client in silent:
            client.close()


def test_attack_03_one_silent_client_blocks_the_stock_server(certificate):
    with stock(certificate) as port, connect(port) as silent:
        time.sleep(0.2)
        with (
            socket.create_connection(("127.0.0.1", port), timeout=1) as plain,
            pytest.raises(TimeoutError),
        ):
            client_context(certificate, own=True).wrap_socket(plain)
        silent.shutdown(socket.SHUT_RDWR)


def test_attack_03_wrong_tls_files_are_told_at_start(tmp_path):
    with (
        pytest.raises(UsageError, match=r"ingest\.tls"),
        listening(tmp_path, Ingest(tls=DicomTls(tmp_path / "no", tmp_path / "no"))),
    ):
        pass
