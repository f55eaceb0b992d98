"""Builds single sign-on from the configuration."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

from gateway.clock import Clock
from gateway.database import Database
from gateway.errors import UsageError
from gateway.private_file import read_private
from hub.access.flows import Flows
from hub.access.oidc import Provider, SingleSignOn, check_provider
from hub.access.outbound import Outbound
from hub.config import HubConfig
from hub.standing import Standing

CALLBACK = "/api/oidc/callback"


def single_sign_on(
    settings: HubConfig, flows: Flows, database: Database, clock: Clock, standing: Standing
) -> SingleSignOn | None:
    """Single sign-on, if the configuration has it. Raises UsageError if what it says cannot be."""
    told = settings.access.oidc
    if told is None:
        return None
    try:
        secret = (
            read_private(told.client_secret, "client secret").decode().strip() if told.client_secret else ""
        )
        context = ssl.create_default_context(cafile=told.ca)
        hosts = (urlsplit(told.issuer).netloc, *told.hosts)
        outbound = Outbound(hosts, told.networks, context)
    except (OSError, ValueError) as error:
        raise UsageError(f"access.oidc: {error}") from error
    provider = Provider(
        issuer=told.issuer,
        client_id=told.client_id,
        client_secret=secret,
        redirect=settings.web.url.rstrip("/") + CALLBACK,
        link_claim=told.link_claim or "",
        trust_factors=told.trust_factors,
        label=told.label,
    )
    check_provider(provider)
    return SingleSignOn(provider, outbound, flows, database, clock, standing)
