"""What ``telerad doctor -c hub.yaml`` looks at."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from certs.authority import Authority, Issuer
from certs.revocation import until
from gateway import config, doctor, failed
from gateway.clock import Clock, SystemClock
from gateway.database import is_file, looking, shown_url
from gateway.doctor import Finding, Level
from gateway.errors import GatewayError
from gateway.trust import read_certificates
from hub.config import HubConfig
from hub.intake import faults
from hub.tables.alert import alerts

ROOT_LIST_WARNING = timedelta(days=30)


def checks(file: Path) -> Iterator[Finding]:
    """Disk, authorities, root's list, the hub's own certificates, its database, disks that fail."""
    settings = config.load(file, HubConfig)
    yield from looked(settings, SystemClock())
    yield from database(settings)


def database(settings: HubConfig) -> Iterator[Finding]:
    """Whether it can be read, and which alerts of a failing disk stand in it."""
    shown = shown_url(settings.database_url)
    if is_file(settings.database_url) and not Path(shown).exists():
        yield Finding("database", Level.GOOD, "not made yet; the hub makes it when it starts")
        return
    try:
        words = asyncio.run(_standing(settings.database_url))
    except Exception as error:
        said = failed.told(error, failed.Kept(shown))
        if said is None:
            raise
        yield Finding("database", Level.FAULT, str(said))
        return
    yield Finding("database", Level.GOOD, f"{shown} can be read")
    for one in words:
        yield Finding("intake", Level.FAULT, f"{one}; the portal says what to do, under Alerts")


async def _standing(url: str) -> list[str]:
    here = alerts.c
    query = select(here.words).where(here.kind.in_(faults.KINDS), here.ended_at.is_(None))
    async with looking(url) as connection:
        return list((await connection.execute(query.order_by(here.id))).scalars())


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
