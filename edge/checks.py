"""What ``telerad doctor -c edge.yaml`` looks at."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from edge.acquire.worklist import Worklist
from edge.config import Destination, DestinationKind, EdgeConfig, OrderList
from edge.dicom_node import Node
from edge.downlink.deliver_dicom import DicomDelivery
from edge.hub_client import HubClient
from edge.identity import FOLDER, EdgeIdentity
from edge.proxy import Proxy
from gateway import config, doctor
from gateway.clock import SystemClock
from gateway.doctor import Finding, Level
from gateway.errors import GatewayError

HUB_SECONDS = 20.0


def checks(file: Path) -> Iterator[Finding]:
    """Disk, identity, certificate, hub, clock, in this order, since each leans on those before; RIS, PACS."""
    settings = config.load(file, EdgeConfig)
    yield doctor.disk(settings.data, settings.spool.reserve)
    try:
        identity = EdgeIdentity.load(settings.data / FOLDER, settings.suites)
    except GatewayError as error:
        yield Finding("identity", Level.FAULT, str(error))
        return
    yield Finding("identity", Level.GOOD, f"edge {identity.edge} of site {identity.site}")
    yield doctor.certificate("certificate", identity.certificate, SystemClock().now())
    hub, offset = asyncio.run(ask(identity, Proxy.configured(settings.uplink)))
    yield hub
    yield doctor.clock(offset)
    if settings.acquire.worklist is not None:
        yield worklist(settings.acquire.worklist, settings.ingest.ae_title)
    for one in settings.destinations:
        if one.kind is DestinationKind.DICOM:
            yield pacs(one, settings.ingest.ae_title)


def worklist(config: OrderList, calling: str) -> Finding:
    """Whether the RIS gives its orders when it is asked for them, as the edge asks. Names are not shown.

    Args:
        config: of the RIS.
        calling: our AE title.
    """
    asked = Worklist(config, calling, SystemClock())
    asked.look()
    if asked.fault:
        return Finding("worklist", Level.FAULT, asked.fault)
    node = Node(config.host, config.port, config.ae_title)
    count = len(asked.orders())
    return Finding("worklist", Level.GOOD, f"{node.place} answers; orders around today: {count}")


def pacs(config: Destination, calling: str) -> Finding:
    """Whether a PACS would take a report, asked without sending one.

    Args:
        config: of the destination.
        calling: our AE title.
    """
    title, host, port = config.ae_title or "", config.host or "", config.port or 0
    try:
        taken = DicomDelivery(config.name, host, port, title, calling, config.tls).takes()
    except GatewayError as error:
        return Finding(config.name, Level.FAULT, str(error))
    if not taken:
        return Finding(config.name, Level.FAULT, f"{title} accepts neither a structured report nor a PDF")
    place = Node(host, port, title).place
    return Finding(config.name, Level.GOOD, f"{place} answers and takes {' and '.join(taken)}")


async def ask(identity: EdgeIdentity, proxy: Proxy | None = None) -> tuple[Finding, timedelta | None]:
    """Whether the hub lets us in, in its words if not; and its clock minus ours."""
    async with HubClient(identity, SystemClock(), idle_timeout=HUB_SECONDS, proxy=proxy) as client:
        try:
            await client.read("GET", "/v1/keys")
            found = Finding("hub", Level.GOOD, f"{identity.line_url} answers and lets this edge in")
        except GatewayError as error:
            found = Finding("hub", Level.FAULT, str(error))
        return found, client.clock_offset
