"""Security headers for every answer of the web port.

The portal's own pages run nothing but their own files. OHIF sets inline styles and
starts workers from blobs, and its JPEG 2000 and JPEG-LS decoders, which run in workers, build
functions from strings: so a looser policy holds under ``/ohif/`` alone, ``eval`` only where a
script is itself the root, that is in a worker. A PDF may be shown in a frame of
our own page; nothing else of the API is a document at all.
"""

from __future__ import annotations

from aiohttp import web

PORTAL_CSP = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; frame-src 'self'; worker-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_OHIF = (
    "worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'self'"
)
OHIF_CSP = f"default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; {_OHIF}"
OHIF_WORKER_CSP = f"default-src 'self'; script-src 'self' 'unsafe-eval' 'wasm-unsafe-eval'; {_OHIF}"
DATA_CSP = "default-src 'none'; frame-ancestors 'none'; sandbox"
PDF_CSP = "frame-ancestors 'self'"

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """An ``on_response_prepare`` signal."""
    for name, value in _ALWAYS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Content-Security-Policy", _csp(request.path, response.content_type))
    if request.path.startswith("/api/"):
        response.headers.setdefault("Cache-Control", "no-store")
    if request.secure and not request.host.startswith(_LOOPBACK):
        # not on loopback: a browser would then refuse the other programs a developer runs there
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    response.headers.popall("Server", None)


def _csp(path: str, content_type: str) -> str:
    if path.startswith("/ohif/"):
        return OHIF_CSP if content_type == "text/html" else OHIF_WORKER_CSP
    if path.startswith(("/api/", "/dicomweb/")):
        return PDF_CSP if content_type == "application/pdf" else DATA_CSP
    return PORTAL_CSP
