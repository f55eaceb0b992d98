"""Every route of the portal with its policy, in one table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from hub.access import roles
from hub.access.access import Access
from hub.access.emergency import Emergency
from hub.access.middleware import Handler, guarded
from hub.access.oidc import SingleSignOn
from hub.access.roles import Policy
from hub.archive.archive import Archive
from hub.assign.worklist import Worklist
from hub.audit.search import AuditSearch
from hub.dialogue.desk import Dialogue
from hub.evidence import EvidenceRoom
from hub.fleet.desk import FleetDesk
from hub.portal.deeds import Deeds
from hub.portal.events import EventRoutes, Notifier
from hub.portal.routes_account import AccountRoutes
from hub.portal.routes_admin import AdminRoutes
from hub.portal.routes_alerts import AlertRoutes
from hub.portal.routes_audit import AuditRoutes
from hub.portal.routes_cases import CaseRoutes
from hub.portal.routes_dialogue import DialogueRoutes
from hub.portal.routes_fleet import FleetRoutes
from hub.portal.routes_oidc import OidcRoutes
from hub.portal.routes_reports import ReportRoutes
from hub.portal.routes_session import SessionRoutes
from hub.portal.static import STATIC, StaticRoutes
from hub.record import Trail
from hub.reports.desk import Desk
from hub.rules.book import RuleBook

CASE = r"/api/cases/{id:\d{1,12}}"
REPORT = r"/api/reports/{id:[0-9a-f]{32}}"


@dataclass(frozen=True, slots=True)
class Route:
    """One route: who may, what, where, how."""

    policy: Policy
    method: str
    path: str
    handler: Handler


def portal_routes(
    worklist: Worklist,
    desk: Desk,
    access: Access,
    archive: Archive,
    rules: RuleBook,
    evidence: EvidenceRoom,
    *,
    trail: Trail,
    audit: AuditSearch,
    emergency: Emergency,
    fleet: FleetDesk,
    sso: SingleSignOn | None = None,
    static: Path = STATIC,
) -> list[web.RouteDef]:
    """The portal's routes, each behind its policy.

    Args:
        worklist: the cases.
        desk: drafts and reports.
        access: who is asking.
        archive: its database is looked at for what changed and for what an administrator is shown.
        rules: in force.
        evidence: the way of every study.
        trail: where deeds are noted.
        audit: the auditor's questions.
        emergency: access to a study beyond one's reach.
        fleet: where the edges are let in and put out.
        sso: single sign-on, if the hub has it.
        static: the built front end and viewer.
    """
    notifier = Notifier(archive.database, archive.clock)
    deeds = Deeds(trail, archive.database, archive.clock)
    table = [
        *_session(SessionRoutes(access)),
        *_account(AccountRoutes(access)),
        *_sign_on(OidcRoutes(access, sso)),
        *_cases(CaseRoutes(access, worklist, desk, deeds, archive.clock, evidence)),
        *_dialogue(DialogueRoutes(access, Dialogue(archive.database, archive.custody, archive.clock))),
        *_reports(ReportRoutes(access, worklist, desk, deeds)),
        *_audit(AuditRoutes(access, audit, emergency, deeds)),
        Route(roles.WATCH, "GET", "/api/events", EventRoutes(access, worklist, notifier).stream),
        *_admin(AdminRoutes(archive.database, rules)),
        *_fleet(FleetRoutes(access, archive.database, fleet, archive.clock)),
        *_alerts(AlertRoutes(access, archive.database, archive.custody, trail, archive.clock)),
        *_static(StaticRoutes(static)),
    ]
    return [
        web.route(route.method, route.path, guarded(access, route.policy, route.handler)) for route in table
    ]


def _session(to: SessionRoutes) -> list[Route]:
    return [
        Route(roles.SESSION, "GET", "/api/session", to.show),
        Route(roles.PUBLIC, "POST", "/api/session", to.log_in),
        Route(roles.SESSION, "DELETE", "/api/session", to.log_out),
        Route(roles.PUBLIC, "POST", "/api/session/passkey/options", to.begin_passkey),
        Route(roles.PUBLIC, "POST", "/api/session/passkey", to.log_in_with_passkey),
        Route(roles.OWN_FACTORS, "POST", "/api/session/totp", to.begin_factor),
        Route(roles.OWN_FACTORS, "POST", "/api/session/totp/confirm", to.confirm_factor),
        Route(roles.SESSION, "PUT", "/api/session/language", to.set_language),
    ]


def _account(to: AccountRoutes) -> list[Route]:
    return [
        Route(roles.SESSION, "GET", "/api/account", to.show),
        Route(roles.SESSION, "POST", "/api/session/step-up/options", to.begin_step_up),
        Route(roles.SESSION, "POST", "/api/session/step-up", to.step_up),
        Route(roles.WORKLIST, "DELETE", r"/api/sessions/{id:[0-9a-f]{64}}", to.end_session),
        Route(roles.OWN_FACTORS, "POST", "/api/passkeys/options", to.begin_passkey),
        Route(roles.OWN_FACTORS, "POST", "/api/passkeys", to.add_passkey),
        Route(roles.OWN_FACTORS, "DELETE", r"/api/passkeys/{id:[A-Za-z0-9_-]{1,700}}", to.remove_passkey),
        Route(roles.OWN_FACTORS, "POST", "/api/recovery", to.renew_recovery),
    ]


def _sign_on(to: OidcRoutes) -> list[Route]:
    return [
        Route(roles.PUBLIC, "GET", "/api/login", to.ways),
        Route(roles.PUBLIC, "GET", "/api/oidc/login", to.begin),
        Route(roles.PUBLIC, "GET", "/api/oidc/callback", to.finish),
    ]


def _audit(to: AuditRoutes) -> list[Route]:
    return [
        Route(roles.AUDITING, "GET", "/api/audit", to.search),
        Route(roles.AUDITING, "GET", "/api/audit/events.csv", to.sheet),
        Route(roles.EMERGENCY, "POST", "/api/break-glass", to.break_glass),
        Route(roles.OVERSIGHT, "GET", "/api/break-glass", to.emergencies),
    ]


def _cases(to: CaseRoutes) -> list[Route]:
    return [
        Route(roles.WORKLIST, "GET", "/api/worklist", to.worklist),
        Route(roles.WORKLIST, "GET", CASE, to.show),
        Route(roles.WORKLIST, "GET", f"{CASE}/custody", to.custody),
        Route(roles.READING, "POST", f"{CASE}/open", to.open),
        Route(roles.READING, "POST", f"{CASE}/release", to.release),
        Route(roles.READING, "POST", f"{CASE}/return", to.return_),
        Route(roles.COMPLETING, "POST", f"{CASE}/complete", to.complete),
    ]


def _dialogue(to: DialogueRoutes) -> list[Route]:
    return [
        Route(roles.REPORTS, "GET", f"{CASE}/messages", to.show),
        Route(roles.READING, "POST", f"{CASE}/messages", to.say),
        Route(roles.READING, "POST", f"{CASE}/messages/seen", to.seen),
    ]


def _reports(to: ReportRoutes) -> list[Route]:
    return [
        Route(roles.READING, "GET", f"{CASE}/draft", to.draft),
        Route(roles.READING, "PUT", f"{CASE}/draft", to.save),
        Route(roles.SIGNING, "POST", f"{CASE}/sign", to.sign),
        Route(roles.SIGNING, "POST", f"{CASE}/addendum", to.addendum),
        Route(roles.REPORTS, "GET", REPORT, to.report),
        Route(roles.REPORTS, "GET", f"{REPORT}/pdf", to.pdf),
    ]


def _admin(to: AdminRoutes) -> list[Route]:
    return [
        Route(roles.RECORDS, "GET", "/api/admin/quarantine", to.quarantined),
        Route(roles.RECORDS, "GET", "/api/admin/conflicts", to.conflicts),
        Route(roles.RECORDS, "GET", "/api/admin/rules", to.rules),
    ]


def _fleet(to: FleetRoutes) -> list[Route]:
    return [
        Route(roles.RECORDS, "GET", "/api/admin/edges", to.edges),
        Route(roles.FLEET, "POST", "/api/admin/edges/revoke", to.revoke),
        Route(roles.FLEET, "POST", "/api/admin/codes", to.invite),
        Route(roles.FLEET, "POST", "/api/admin/codes/withdraw", to.withdraw),
        Route(roles.FLEET, "POST", "/api/admin/returns", to.decide),
    ]


def _alerts(to: AlertRoutes) -> list[Route]:
    return [
        Route(roles.RECORDS, "GET", "/api/admin/alerts", to.show),
        Route(roles.RECORDS, "GET", "/api/admin/alerts/count", to.count),
        Route(roles.ADMINISTRATION, "POST", r"/api/admin/alerts/{id:\d{1,12}}/acknowledge", to.acknowledge),
    ]


def _static(to: StaticRoutes) -> list[Route]:
    return [
        Route(roles.PUBLIC, "GET", "/ohif", to.viewer_folder),
        Route(roles.PUBLIC, "GET", "/ohif/{path:.*}", to.viewer),
        Route(roles.PUBLIC, "GET", "/{path:.*}", to.portal),
    ]
