from __future__ import annotations

from pathlib import Path

import pytest

from tests.doubles.portal_hub import portal_hub

BROTLI = b"\x0b\x02\x80hello\x03"  # "hello"
FILES = {
    "app/index.html": b"<!doctype html>portal",
    "app/icon.svg": b"<svg/>",
    "app/assets/index-AbCd1234.js": b"hello",
    "app/assets/index-AbCd1234.js.br": BROTLI,
    "ohif/index.html": b"<!doctype html>viewer",
    "ohif/app.bundle.0123456789abcdef.js": b"hello",
    "ohif/0123456789abcdef.wasm": b"\0asm",
    "ohif/app-config.js": b"config",
    "THIRD-PARTY-NOTICES.txt": b"notices",
    "secret.txt": b"no",
}


@pytest.fixture
async def get(tmp_path: Path):
    for name, content in FILES.items():
        path = tmp_path / "static" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    async with portal_hub(tmp_path) as portal:
        browser = portal.browser()

        async def fetch(path: str, **headers: str):
            async with browser.raw("GET", path, headers=headers) as response:
                return response, await response.read()

        yield fetch


@pytest.mark.parametrize(
    ("path", "content", "caching"),
    [
        ("/", b"<!doctype html>portal", "no-cache"),
        ("/cases/17", b"<!doctype html>portal", "no-cache"),
        ("/icon.svg", b"<svg/>", "no-cache"),
        ("/assets/index-AbCd1234.js", b"hello", "immutable"),
        ("/ohif/", b"<!doctype html>viewer", "no-cache"),
        ("/ohif/viewer?StudyInstanceUIDs=1.2.3", b"<!doctype html>viewer", "no-cache"),
        ("/ohif/app.bundle.0123456789abcdef.js", b"hello", "immutable"),
        ("/ohif/0123456789abcdef.wasm", b"\0asm", "immutable"),
        ("/ohif/app-config.js", b"config", "no-cache"),
        ("/THIRD-PARTY-NOTICES.txt", b"notices", None),
    ],
)
async def test_files_and_pages(get, path: str, content: bytes, caching: str | None) -> None:
    response, body = await get(path)
    assert (response.status, body) == (200, content)
    if caching:
        assert caching in response.headers["Cache-Control"]


async def test_content_types(get) -> None:
    for path, kind in (
        ("/ohif/0123456789abcdef.wasm", "application/wasm"),
        ("/icon.svg", "image/svg+xml"),
        ("/", "text/html"),
    ):
        assert (await get(path))[0].content_type == kind
    script = (await get("/assets/index-AbCd1234.js"))[0].content_type
    assert script in ("text/javascript", "application/javascript")  # as this machine's table has it


@pytest.mark.parametrize(
    "path",
    ["/missing.js", "/assets/none.js", "/ohif/none.js", "/secret.txt", "/../secret.txt", "/%2e%2e/secret.txt",
     "/ohif/..%2fsecret.txt", "/ohif/../secret.txt", "/assets/index-AbCd1234.js.br"],
)  # fmt: skip
async def test_what_is_not_listed_is_not_there(get, path: str) -> None:
    response, body = await get(path)
    assert response.status == 404
    assert body != b"no"


async def test_the_compressed_file_goes_to_whom_it_suits(get) -> None:
    response, body = await get("/assets/index-AbCd1234.js", **{"Accept-Encoding": "br"})
    assert response.headers["Content-Encoding"] == "br"
    assert body == b"hello"
    response, body = await get("/assets/index-AbCd1234.js", **{"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in response.headers


async def test_each_application_has_its_own_policy(get) -> None:
    portal = (await get("/"))[0].headers["Content-Security-Policy"]
    assert "script-src 'self';" in portal
    assert "unsafe" not in portal
    assert "frame-ancestors 'none'" in portal
    viewer = (await get("/ohif/viewer"))[0].headers["Content-Security-Policy"]
    assert "frame-ancestors 'self'" in viewer
    assert "'unsafe-inline'" not in viewer.partition("script-src")[2].partition(";")[0]


async def test_the_viewer_without_its_slash(get) -> None:
    response, _ = await get("/ohif")
    assert (response.status, response.headers["Location"]) == (301, "/ohif/")


async def test_a_checkout_without_a_build_says_so(tmp_path: Path) -> None:
    async with portal_hub(tmp_path) as portal, portal.browser().raw("GET", "/") as response:
        assert response.status == 503
        assert "not built" in await response.text()
