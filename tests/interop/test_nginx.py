"""Through a real nginx: TLS handed through as a stream, and as an HTTP reverse proxy that closes connections.

As a reverse proxy it calls the hub with a device's certificate of its own (``http``), or forwards the edge's
in a header (``forward``). ``TELERAD_NGINX_INSTANCES=5000 pytest -s`` for the long run.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from edge.identity import Addresses
from gateway.trust import pem
from hub.tables.study import instances
from tests.doubles.edges import Edge, edge_of
from tests.doubles.lines import LineHub, line_hub
from tests.doubles.ports import free_ports

INSTANCES = int(os.environ.get("TELERAD_NGINX_INSTANCES", "400"))
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")

STREAM = """
stream {{
    server {{ listen 127.0.0.1:{port}; proxy_pass 127.0.0.1:{hub}; proxy_timeout 10m; tcp_nodelay on; }}
}}
"""
HTTP = """
http {{
    log_format told '$connection $connection_requests $status $request';
    access_log {folder}/access.log told;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {server}/server.pem; ssl_certificate_key {server}/server.key;
        ssl_protocols TLSv1.3; ssl_client_certificate {folder}/roots.pem; ssl_verify_client on;
        ssl_verify_depth 3; keepalive_requests 3; client_max_body_size 0;
        location / {{
            proxy_pass https://127.0.0.1:{hub}; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_request_buffering off; proxy_buffering off; proxy_read_timeout 90s;
            proxy_ssl_protocols TLSv1.3; {who}
        }}
    }}
}}
"""
WHO = {
    "http": "proxy_ssl_certificate {device}; proxy_ssl_certificate_key {device};",
    "forward": """proxy_set_header X-SSL-Client-Cert $ssl_client_escaped_cert;
            proxy_set_header Client-Cert "";""",
}
HEAD = """
daemon off; error_log {folder}/error.log; pid {folder}/nginx.pid; worker_processes 1;
events {{ worker_connections 256; }}
"""


@pytest.fixture
async def hub(tmp_path: Path, mode: str) -> AsyncIterator[LineHub]:
    line = {"trusted_proxies": ("127.0.0.1",), "client_cert_header": "X-SSL-Client-Cert"}
    async with line_hub(tmp_path, line=line if mode == "forward" else {}) as running:
        yield running


@asynccontextmanager
async def nginx(hub: LineHub, edge: Edge, folder: Path, mode: str) -> AsyncIterator[None]:
    """One in front of the hub, as the edge's way there."""
    folder.mkdir()
    (port,) = free_ports(1)
    authority = hub.small.keys.authority
    known = [authority.root, *(one for one in authority.trust.roots if one != authority.root)]
    device_chain = edge.identity.device_file.read_bytes()
    (folder / "roots.pem").write_bytes(pem(known) + device_chain[device_chain.index(b"-----BEGIN CERT") :])
    facts = {
        "folder": folder,
        "port": port,
        "hub": urlsplit(hub.small.config.line.url).port,
        "server": hub.small.keys.folder,
        "device": edge.identity.device_file,
    }
    facts["who"] = WHO.get(mode, "").format(**facts)
    head = HEAD + ("user root;\n" if os.geteuid() == 0 else "")
    load = f"load_module {MODULE};\n" if mode == "stream" else ""
    (folder / "nginx.conf").write_text(load + (head + (STREAM if mode == "stream" else HTTP)).format(**facts))
    assert NGINX is not None
    command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf")]
    process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE)
    try:
        for _ in range(100):
            assert process.returncode is None, (folder / "error.log").read_text()
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                break
        edge.identity.addresses = Addresses(hub.small.config.web.url, f"https://localhost:{port}")
        yield
    finally:
        process.terminate()
        await process.wait()


async def _indexed(hub: LineHub) -> list[str]:
    async with hub.small.database.reading() as connection:
        return [row.sha256 for row in await connection.execute(select(instances.c.sha256))]


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
@pytest.mark.timeout(300 + INSTANCES)
@pytest.mark.parametrize("mode", ["stream", "http", "forward"])
async def test_every_instance_arrives_through_it(
    hub: LineHub, tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if mode != "stream":  # many short exchanges, so that it closes connections again and again
        monkeypatch.setattr("edge.uplink.pacing.MIN_EXCHANGE", 8 << 10)
        monkeypatch.setattr("edge.uplink.pacing.MAX_EXCHANGE", 8 << 10)
    if mode == "stream" and not MODULE.exists():
        pytest.skip("nginx has no stream module here")
    async with (
        edge_of(hub, tmp_path / "edge", line=False) as edge,
        nginx(hub, edge, tmp_path / "nginx", mode),
    ):
        began = time.monotonic()
        sent = [number.to_bytes(4, "big") + os.urandom(2000) for number in range(INSTANCES)]
        for number, data in enumerate(sent[: INSTANCES // 2]):
            await asyncio.to_thread(edge.receive, number, data)
        edge.open_line()
        for number, data in enumerate(sent[INSTANCES // 2 :], INSTANCES // 2):
            await asyncio.to_thread(edge.receive, number, data)
        received = time.monotonic()
        await edge.emptied(120 + INSTANCES / 10)
        arrived = time.monotonic()
        assert sorted(await _indexed(hub)) == sorted(hashlib.sha256(data).hexdigest() for data in sent)
        assert edge.uplink.link.online
        print(f"{mode}: {INSTANCES} instances, {len(await hub.rows())} parcels; received in"
              f" {received - began:.1f} s, all at the hub {arrived - received:.1f} s later")  # fmt: skip
        if mode != "stream":
            said = (tmp_path / "nginx/access.log").read_text().splitlines()
            connections = {line.split()[0] for line in said}
            print(f"{len(said)} requests over {len(connections)} connections")
            assert len(said) > 6, "too few requests for nginx to close a connection between them"
            assert len(connections) > 2
