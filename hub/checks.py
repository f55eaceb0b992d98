"""What ``telerad doctor -c hub.yaml`` looks at."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from certs.authority import Authority, Issuer
from certs.revocation import until
from gateway import config, doctor
from gateway.clock import Clock, SystemClock
from gateway.doctor import Finding, Level
from gateway.errors import GatewayError
from gateway.trust import read_certificates
from hub.config import HubConfig

ROOT_LIST_WARNING = timedelta(days=30)


def checks(file: Path) -> Iterator[Finding]:
    """Disk, authorities, the root's revocation list, and the certificates the hub made for itself."""
    yield from looked(config.load(file, HubConfig), SystemClock())


def looked(settings: HubConfig, clock: Clock) -> Iterator[Finding]:
    """The same for a configuration that is loaded. Blocking."""
    yield doctor.disk(settings.data, settings.storage.reserve)
    try:
        authority = Authority.open(settings.pki, clock)
    except GatewayError as error:
        yield Finding("authority", Level.FAULT, str(error))
        return
    yield from _authority(authority, clock.now())
    for name in ("server", "receipt", "timestamp"):
        made = settings.data / "keys" / f"{name}.pem"
        if made.exists():
            yield doctor.certificate(name, read_certificates(made)[0], clock.now())
        else:
            yield Finding(name, Level.GOOD, "not made yet; the hub makes it when it starts")


def _authority(authority: Authority, now: datetime) -> Iterator[Finding]:
    for name in Issuer:
        yield doctor.certificate(f"{name.value} CA", authority.certificate(name), now)
    if authority.root_key_is_here:
        words = f"{authority.folder / 'root.key'} is on this machine; move it to a disk in a safe"
        yield Finding("root key", Level.WARNING, words)
    ends = until(authority.folder, Issuer.ROOT.value)
    renew = "renew it with `telerad certs crl` where root.key is"
    if ends is None or ends < now:
        yield Finding("root list", Level.FAULT, f"there is no valid revocation list of the root; {renew}")
    elif ends < now + ROOT_LIST_WARNING:
        yield Finding("root list", Level.WARNING, f"good until {ends:%Y-%m-%d}; {renew}")
    else:
        yield Finding("root list", Level.GOOD, f"good until {ends:%Y-%m-%d}")
