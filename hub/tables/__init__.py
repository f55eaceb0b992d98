"""The rows in which the hub's stations meet. Stations never import one another; they share these.

``intake`` writes arrivals and receipts, ``archive`` studies and instances, ``assign`` readers and cases,
``reports`` drafts and reports, ``downlink`` deliveries, ``fleet`` edges and tokens, ``access`` users and
sessions, ``audit`` what people did, ``dialogue`` messages; ``told`` holds what edges say of studies.
``alert`` holds what a person must look at. Every one of them adds to ``custody``. Times are RFC 3339 text
in UTC of fixed width (`gateway.clock.rfc3339`), so they sort as text in every database.
"""

from hub.tables import account, alert, arrival, audit, case, custody, fleet, message, report, study, told
from hub.tables.schema import VERSION, metadata

__all__ = [
    "VERSION",
    "account",
    "alert",
    "arrival",
    "audit",
    "case",
    "custody",
    "fleet",
    "message",
    "metadata",
    "report",
    "study",
    "told",
]
