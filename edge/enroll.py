"""Joining a hub: a one-time token and the root's pin (one code, `gateway.invitation`) against a certificate.

1. Fetch the root without verifying anything, and compare its key with the pin that the operator was
   given by another way. Nothing of ours has been sent yet.
2. Connect anew, verified against that root, and only then send the token and the certificate request.
3. Check that the certificate we got is for our key, under that root; keep everything in one step.

The key waits in ``data/enrolment.key`` until then: if the answer is lost, the same command with
the same token sends the same key and gets the same certificate.
"""

from __future__ import annotations

import hmac
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
from cryptography import x509

from edge.diagnosis import hub_time
from edge.identity import FOLDER, Addresses, EdgeIdentity, device_pem, stored_hub, stored_key_set
from edge.proxy import Proxy, through
from gateway import durable, keyfile, tls
from gateway.certificate import read_pem
from gateway.clock import Clock, SystemClock, rfc3339
from gateway.errors import Malformed, NotAllowed, Refused, Unavailable, Unverified, UsageError
from gateway.invitation import Invitation
from gateway.keyset import read_key_set
from gateway.request import DeviceKeys
from gateway.trust import Purpose, Trust, pem, spki_pin
from gateway.unreached import why, why_not_trusted, wrong_time

__all__ = ["Invitation", "ask_web", "enroll", "fetch_root", "pending_keys"]

CONNECT_SECONDS = 15.0
ANSWER_SECONDS = 60.0
MAX_ANSWER = 1 << 20

_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS, sock_read=ANSWER_SECONDS)


async def enroll(
    invitation: Invitation, data: Path, clock: Clock, *, again: bool = False, proxy: Proxy | None = None
) -> EdgeIdentity:
    """Enrol this edge and return its identity.

    Args:
        invitation: from the hub's administrator.
        data: the edge's data folder.
        clock: the edge's.
        again: an identity that is there already is kept aside instead of being an error.
        proxy: to go through; None: straight to the hub.

    Raises:
        UsageError: this edge is enrolled already.
        Unverified: the root does not have the pin, or what the hub answered does not hold.
        NotAllowed: the token is unknown, used or expired.
        Unavailable: the hub cannot be reached.
    """
    target = data / FOLDER
    if target.exists() and not again:
        raise UsageError(f"this edge is enrolled already ({target}); with --again it enrols anew")
    durable.make_folder(data)
    root = await fetch_root(invitation, proxy)
    keys = pending_keys(data / "enrolment.key")
    body = {"token": invitation.token, **keys.request()}
    answer = await ask_web(invitation.hub, "POST", "/enroll", [root], body, proxy)
    _keep(target, keys, root, invitation.hub, answer, clock)
    durable.remove(data / "enrolment.key")
    return EdgeIdentity.load(target)


async def fetch_root(invitation: Invitation, proxy: Proxy | None = None) -> x509.Certificate:
    """The hub's root, known to be the right one by its pin.

    Raises:
        Unverified: it is another.
        Unavailable: the hub cannot be reached.
    """
    answer = await ask_web(invitation.hub, "GET", "/enroll/ca", [], None, proxy)
    root = _certificates(answer, "root")[0]
    found, wanted = spki_pin(root), invitation.pin.lower()
    if not hmac.compare_digest(found.removeprefix("sha256:"), wanted.removeprefix("sha256:")):
        raise Unverified(
            f"the hub at {invitation.hub} shows a root with the pin {found}, not {wanted}: it is another hub,"
            " or somebody stands in between. Nothing was sent. Compare the pin with the hub's administrator"
        )
    return root


def pending_keys(file: Path) -> DeviceKeys:
    """The keys a request was or will be made for: kept until its answer is, so that it can be repeated."""
    if not file.exists():
        fresh = DeviceKeys.new()
        keyfile.store(file, fresh.first, fresh.second)
    second = keyfile.load_second(file)
    return DeviceKeys(keyfile.load_p256(file), second or DeviceKeys.new().second)


def _keep(
    target: Path,
    keys: DeviceKeys,
    root: x509.Certificate,
    hub: str,
    answer: dict[str, Any],
    clock: Clock,
) -> None:
    """Check the hub's answer and write the identity folder, whole or not at all."""
    now = clock.now()
    # the hub has just proved itself under the pinned root, so the others that it names are believed
    roots = (root, *(one for one in _certificates(answer, "root") if one != root))
    trust, chain = Trust(roots), _certificates(answer, "chain")
    who = trust.identify(chain, Purpose.DEVICE, now)
    if chain[0].public_key() != keys.first.public_key():
        raise Unverified("the hub's certificate is for another key than this edge's")
    statement = str(answer.get("key_set", "")).encode()
    read_key_set(statement, trust, now)
    addresses = Addresses(hub.rstrip("/"), str(answer.get("line_url", "")).rstrip("/"))
    draft = Path(tempfile.mkdtemp(prefix=".identity-", dir=target.parent))
    try:
        durable.create(draft / "device.pem", device_pem(keys, chain), mode=0o600)
        durable.create(draft / "root.pem", pem(roots), mode=0o644)
        durable.create(draft / "hub.json", stored_hub(addresses, who, now), mode=0o644)
        durable.create(draft / "keys.json", stored_key_set(statement, now), mode=0o600)
        if target.exists():
            aside = target.with_name(f"{FOLDER}.until-{rfc3339(now).replace(':', '')}")
            target.rename(aside)
        draft.rename(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    durable.sync_folder(target.parent)


def _certificates(answer: dict[str, Any], name: str) -> tuple[x509.Certificate, ...]:
    return read_pem(str(answer.get(name, "")).encode(), f"{name!r} in the hub's answer")


async def ask_web(
    hub: str,
    method: str,
    path: str,
    roots: Sequence[x509.Certificate],
    body: dict[str, str] | None,
    proxy: Proxy | None,
) -> dict[str, Any]:
    """One request to a hub's web port, which needs no certificate of ours.

    Args:
        hub: its web address.
        method: such as ``POST``.
        path: such as ``/enroll``.
        roots: by which it must prove its name; none: whoever answers will do, as a pin is looked at then.
        body: sent as JSON.
        proxy: to go through.

    Returns:
        The JSON object of its answer.

    Raises:
        Unavailable: it cannot be reached, or says so.
        Unverified: it does not prove its name.
        NotAllowed, Refused: in its words.
        Malformed: no JSON object.
    """
    url = hub.rstrip("/") + path
    context = tls.web_client_context(roots) if roots else tls.unverified_client_context()
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.request(
                method, url, json=body, ssl=context, allow_redirects=False, **through(proxy)
            ) as response,
        ):
            data = await response.content.read(MAX_ANSWER)
            while len(data) < MAX_ANSWER and (more := await response.content.read(MAX_ANSWER - len(data))):
                data += more
            status = response.status
    except aiohttp.ClientConnectorCertificateError as error:
        there = await hub_time(hub, roots, proxy) if wrong_time(error) else None
        words = why_not_trusted(error, SystemClock().now(), there)  # TLS judges by the machine's clock
        raise Unverified(f"the hub at {hub} does not prove its name: {words}") from error
    except aiohttp.ClientHttpProxyError as error:
        assert proxy is not None  # noqa: S101  # who else would have answered CONNECT
        raise Unavailable(proxy.words(error.status, hub)) from error
    except aiohttp.ClientConnectorError as error:
        raise Unavailable(f"the hub at {hub} cannot be reached: {why(error)}") from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Unavailable(f"the hub at {hub} cannot be reached: {error or type(error).__name__}") from error
    return _read_answer(hub, status, data)


def _read_answer(hub: str, status: int, data: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(data)
    except ValueError as error:
        raise Malformed(f"{hub} answered with status {status} and no JSON; is it a telerad hub?") from error
    if not isinstance(answer, dict):
        raise Malformed(f"{hub} answered with JSON that is no object")
    if status in (200, 202):
        return answer
    words = str(answer.get("error", {}).get("message", f"status {status}"))
    if status >= 500:
        raise Unavailable(f"the hub says: {words}")
    raise (NotAllowed if status == 403 else Refused)(f"the hub says: {words}")
