"""The hub's part of the DICOM Conformance Statement: its web services, told from their route tables."""

from __future__ import annotations

from pathlib import Path

from gateway import config
from gateway.conformance.document import Section, Table
from gateway.dicom.names import name_of
from hub.archive.matching import LIMIT, TABLE
from hub.config import HubConfig
from hub.dicomweb import accept, query, routes_query, routes_rendered, routes_retrieve
from hub.dicomweb.routes import PREFIX

SERVICES = {
    "QIDO-RS": routes_query.RESOURCES,
    "WADO-RS": routes_retrieve.RESOURCES,
    "WADO-RS, rendered": routes_rendered.RESOURCES,
}


def part(file: Path) -> Section:
    """Of this configuration. Raises ConfigError or UsageError."""
    settings = config.load(file, HubConfig)
    resources = [(service, "GET", PREFIX + path) for service, paths in SERVICES.items() for path in paths]
    facts = [
        ("address", settings.web.url),
        ("access", "a session or token of the hub; results are limited to the sites its holder may see"),
        ("results", f"{accept.JSON}; {LIMIT} unless limit says otherwise, at most {query.MAX_LIMIT}"),
        ("fuzzymatching", query.NOT_FUZZY),
        ("STOW-RS", "not at the hub: instances come in at an edge"),
    ]
    return Section(
        f"Hub {settings.name}",
        ("The hub keeps what its edges send, byte for byte, and serves it over DICOMweb (PS3.18) by HTTPS.",),
        (Table.of(("what", "value"), facts),),
        (
            Section("Resources", tables=(Table.of(("service", "method", "resource"), resources),)),
            Section(
                "Search attributes",
                tables=(
                    Table.of(
                        ("attribute", "tag", "VR", "level", "matching"),
                        [
                            (
                                one.keyword,
                                f"({one.tag[:4]},{one.tag[4:]})",
                                one.vr,
                                one.level.value,
                                one.kind.value,
                            )
                            for one in TABLE
                        ],
                    ),
                ),
            ),
            Section(
                "Media types",
                (
                    (
                        "Instances are given in the transfer syntax in which they came, or as Explicit VR "
                        "Little Endian where that is asked for and can be made."
                    ),
                ),
                (
                    Table.of(
                        ("transfer syntax", "UID", "media type of its frames"),
                        [(name_of(uid), uid, kind) for uid, kind in accept.FRAMES.items()],
                    ),
                ),
            ),
        ),
    )
