"""The portal's JSON API over made-up data: what the browser tests talk to, with the hub's own headers.

`python -m tests.doubles.portal_api [PORT]` serves it to look at.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from hub.access.headers import add_headers
from tests.doubles import dicomweb_phantom, portal_cases
from tests.doubles.portal_cases import BODY, now, rfc3339

STATIC = Path(__file__).parents[2] / "hub" / "portal" / "static"
PASSWORD = "correct horse battery"
PASSPHRASE = "signing words"
CODE = "123456"
DELIVERED_AFTER = 1.0  # seconds


def problem(status: int, code: str, message: str, **more: Any) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}, **more}, status=status)


class PortalDouble:
    """One reader (`vega`), one administrator (`root`), eight cases."""

    def __init__(self) -> None:
        self.cases = portal_cases.make_cases(now(), dicomweb_phantom.study_uid())
        self.drafts: dict[int, list[dict[str, Any]]] = {}
        self.reports: dict[int, list[dict[str, Any]]] = {}
        self.leases: dict[int, dict[str, Any]] = {}
        self.talks: dict[int, list[dict[str, Any]]] = {}
        self.language = "en"
        self.sessions: dict[str, str] = {}
        self.enrolled = True  # second factor
        self.fail_saves = False
        self._listeners: set[asyncio.Queue[tuple[str, dict[str, Any]] | None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    # -- session

    def _user(self, request: web.Request) -> str | None:
        return self.sessions.get(request.cookies.get("telerad", ""))

    def _session(self, name: str) -> dict[str, Any]:
        role, shown = ("admin", "Root Admin") if name == "root" else ("reader", "Dr Elena Vega")
        return {
            "user": {"name": name, "display_name": shown, "role": role, "language": self.language},
            "csrf": "made-up",
            "factors": 2 if self.enrolled else 1,
            "second_factor": "enrolled" if self.enrolled else "required",
        }

    async def session(self, request: web.Request) -> web.Response:
        user = self._user(request)
        return (
            web.json_response(self._session(user)) if user else problem(401, "not_logged_in", "log in first")
        )

    async def log_in(self, request: web.Request) -> web.Response:
        given = await request.json()
        if given["username"] not in {"vega", "root"} or given["password"] != PASSWORD:
            return problem(401, "bad_credentials", "name or password is wrong")
        if self.enrolled and given.get("code") is None:
            return problem(401, "code_required", "give the code of your device")
        if self.enrolled and given["code"] != CODE:
            return problem(401, "bad_credentials", "the code is wrong")
        token = f"{given['username']}-session-{len(self.sessions)}"
        self.sessions[token] = given["username"]
        answer = web.json_response(self._session(given["username"]))
        answer.set_cookie("telerad", token, httponly=True, samesite="Strict")
        return answer

    async def log_out(self, request: web.Request) -> web.Response:
        self.sessions.pop(request.cookies.get("telerad", ""), None)
        return web.Response(status=204)

    async def totp(self, request: web.Request) -> web.Response:
        uri = "otpauth://totp/Telerad:vega?secret=JBSWY3DPEHPK3PXP&issuer=Telerad"
        return web.json_response({"secret": "JBSWY3DPEHPK3PXP", "uri": uri})

    async def totp_confirm(self, request: web.Request) -> web.Response:
        if (await request.json())["code"] != CODE:
            return problem(401, "bad_credentials", "the code is wrong")
        self.enrolled = True
        return web.Response(status=204)

    async def set_language(self, request: web.Request) -> web.Response:
        self.language = (await request.json())["language"]
        return web.Response(status=204)

    # -- cases

    async def worklist(self, request: web.Request) -> web.Response:
        user = self._user(request)
        cases = list(self.cases.values())
        if request.query.get("mine"):
            cases = [case for case in cases if case["assignee"] and case["assignee"]["name"] == user]
        return web.json_response({"cases": cases, "now": rfc3339(now())})

    def _detail(self, number: int) -> dict[str, Any]:
        return portal_cases.detail(self.cases[number], self.reports.get(number, []), self.leases.get(number))

    async def case(self, request: web.Request) -> web.Response:
        return web.json_response(self._detail(int(request.match_info["id"])))

    async def open(self, request: web.Request) -> web.Response:
        number = int(request.match_info["id"])
        if number == 4:
            until = rfc3339(now() + timedelta(minutes=12))
            self.leases[4] = {"by": "Dr Kofi Osei", "until": until}
            return problem(409, "refused", "Dr Kofi Osei is reading this study")
        case = self.cases[number]
        if case["state"] == "offered":
            case["state"] = "reading"
        self.leases[number] = {"by": "Dr Elena Vega", "until": rfc3339(now() + timedelta(minutes=15))}
        return web.json_response(self._detail(number))

    async def release(self, request: web.Request) -> web.Response:
        self.leases.pop(int(request.match_info["id"]), None)
        return web.Response(status=204)

    # -- messages

    async def conversation(self, request: web.Request) -> web.Response:
        number = int(request.match_info["id"])
        return web.json_response({"site": self.cases[number]["site"], "messages": self._talk(number)})

    def _talk(self, number: int) -> list[dict[str, Any]]:
        return self.talks.setdefault(number, portal_cases.conversation(number))

    async def say(self, request: web.Request) -> web.Response:
        number, given = int(request.match_info["id"]), await request.json()
        self.hear(number, sender="reader", purpose="message", author="Dr Elena Vega", **given)
        return web.Response(status=204)

    def hear(self, number: int, **more: Any) -> None:
        """Somebody wrote about a case."""
        talk = self._talk(number)
        talk.append(portal_cases.say(len(talk) + 1, **more))
        self.tell("case", {"id": number})

    async def seen(self, request: web.Request) -> web.Response:
        number, upto = int(request.match_info["id"]), (await request.json())["upto"]
        for message in self._talk(number):
            if message["sender"] == "site" and message["number"] <= upto:
                message["seen_at"] = rfc3339(now())
        self.cases[number]["messages"]["unread"] = 0
        return web.Response(status=204)

    async def return_(self, request: web.Request) -> web.Response:
        number, given = int(request.match_info["id"]), await request.json()
        case = self.cases[number]
        told = {"need": given["need"], "text": given["reason"], "author": "Dr Elena Vega"}
        self.hear(number, sender="reader", purpose="request", closed_at=None, came_after=[], **told)
        case["messages"]["asked"] += 1
        case["state"] = "returned"
        self.tell("worklist", {})
        return web.Response(status=204)

    async def complete(self, request: web.Request) -> web.Response:
        case = self.cases[int(request.match_info["id"])]
        reason = (await request.json())["reason"]
        case |= {"complete": True, "arrival": "complete", "progress": None, "completeness": reason}
        case["expected"] = case["instances"]
        self.tell("case", {"id": case["id"]})
        return web.Response(status=204)

    def grow(self, number: int, count: int) -> None:
        """More images of a study that had been complete."""
        case = self.cases[number]
        change = {
            "series_uid": "2.25.1.1", "modality": "CT", "number": 3, "description": "Head 2.0 mm",
            "before": case["instances"], "now": case["instances"] + count, "at": rfc3339(now()),
        }  # fmt: skip
        case["instances"] += count
        case["expected"] = case["instances"]
        case["changes"] = [change, *case.get("changes", [])]
        self.tell("case", {"id": number})

    # -- draft and report

    def _draft(self, number: int) -> dict[str, Any]:
        kept = self.drafts.get(number)
        return kept[-1] if kept else {"revision": 0, "body": dict(BODY), "author": None, "at": None}

    async def draft(self, request: web.Request) -> web.Response:
        return web.json_response(self._draft(int(request.match_info["id"])))

    async def save(self, request: web.Request) -> web.Response:
        if self.fail_saves:
            return problem(503, "unavailable", "the database is locked")
        number, given = int(request.match_info["id"]), await request.json()
        current = self._draft(number)
        if given["base_revision"] != current["revision"]:
            return problem(409, "stale", "another revision was saved meanwhile", current=current)
        saved = {
            "revision": current["revision"] + 1,
            "body": given["body"],
            "author": "vega",
            "at": rfc3339(now()),
        }
        self.drafts.setdefault(number, []).append(saved)
        return web.json_response({"revision": saved["revision"], "at": saved["at"]})

    def save_elsewhere(self, number: int, **body: Any) -> None:
        """What another window of the same reader, or another reader, does."""
        current = self._draft(number)
        revision = current["revision"] + 1
        saved = {"revision": revision, "body": current["body"] | body, "author": "osei", "at": rfc3339(now())}
        self.drafts.setdefault(number, []).append(saved)

    async def sign(self, request: web.Request) -> web.Response:
        number, given = int(request.match_info["id"]), await request.json()
        if given["passphrase"] != PASSPHRASE:
            return problem(409, "refused", "the signing passphrase is wrong")
        if given["revision"] != self._draft(number)["revision"]:
            return problem(409, "stale", "another revision was saved meanwhile", current=self._draft(number))
        return web.json_response(self._sign(number, "report", self._draft(number)["body"]))

    async def addendum(self, request: web.Request) -> web.Response:
        number, given = int(request.match_info["id"]), await request.json()
        if given["passphrase"] != PASSPHRASE:
            return problem(409, "refused", "the signing passphrase is wrong")
        return web.json_response(self._sign(number, "addendum", given["body"]))

    def _sign(self, number: int, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        reports = self.reports.setdefault(number, [])
        signed = portal_cases.report(len(reports) + 1, kind, body, now())
        reports.append(signed)
        case = self.cases[number]
        case["state"] = "reported"
        facts = {"id": signed["id"], "signed_at": signed["signed_at"], "signed_by": "Dr Elena Vega"}
        case["report"] = facts | {"delivery": "queued", "delivered_at": None}
        task = asyncio.create_task(self._deliver(number, signed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return signed

    async def _deliver(self, number: int, signed: dict[str, Any]) -> None:
        await asyncio.sleep(DELIVERED_AFTER)
        portal_cases.deliver(signed, now())
        self.cases[number]["report"] |= {"delivery": "acknowledged", "delivered_at": rfc3339(now())}
        self.tell("delivery", {"case": number, "report": signed["id"]})

    async def report(self, request: web.Request) -> web.Response:
        wanted = request.match_info["id"]
        for report in (each for reports in self.reports.values() for each in reports):
            if report["id"] == wanted:
                return web.json_response(report)
        body = BODY | {"findings": "No haemorrhage.", "impression": "Normal CT of the head."}
        return web.json_response(portal_cases.report(1, "report", body, now() - timedelta(days=600)))

    # -- events, administration, files

    def tell(self, event: str, data: dict[str, Any]) -> None:
        for listener in self._listeners:
            listener.put_nowait((event, data))

    async def events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        queue: asyncio.Queue[tuple[str, dict[str, Any]] | None] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            await response.write(b": hello\n\n")
            while (told := await queue.get()) is not None:
                event, data = told
                await response.write(f"event: {event}\ndata: {json.dumps(data)}\n\n".encode())
        except ConnectionResetError:
            pass  # the browser went away
        finally:
            self._listeners.discard(queue)
        return response

    async def hang_up(self, app: web.Application) -> None:
        for listener in self._listeners:
            listener.put_nowait(None)

    async def admin(self, request: web.Request) -> web.Response:
        if self._session(self._user(request) or "")["user"]["role"] != "admin":
            return problem(403, "not_allowed", "your role may not do this")
        at = rfc3339(now())
        coming = {
            "study_uid": "2.25.99",
            "priority": "stat",
            "received": 940,
            "confirmed": 312,
            "waiting_bytes": 331_000_000,
            "eta_seconds": 250,
            "here": 312,
        }
        begun = {
            "study_uid": "2.25.98",
            "priority": "routine",
            "received": 41,
            "confirmed": 0,
            "waiting_bytes": 9_000_000,
            "eta_seconds": None,
            "here": 0,
        }
        line = {
            "rate": 1_250_000,
            "round_trip": 0.118,
            "congestion": "bbr",
            "streams": 4,
            "stalled": "no byte for 42 s",
        }
        status = line | {"waiting": 2, "waiting_bytes": 41_000_000, "oldest_waiting": at, "version": "0.1.0"}
        edge = {
            "site": "H001",
            "edge": "1",
            "serial": "3f" * 20,
            "last_seen": at,
            "issued_at": at,
            "not_after": rfc3339(now() + timedelta(days=12)),
            "revoked_at": None,
            "revoked_why": None,
            "state": "enrolled",
            "late": False,
            "chain": [],
            "status": status,
            "studies": [coming, begun],
            "returns": [],
        }
        out = {"site": "H002", "state": "revoked", "status": None, "studies": []}
        tables: dict[str, dict[str, Any]] = {
            "edges": {"edges": [edge, edge | out], "codes": [], "now": at},
            "alerts": {"alerts": []},
            "alerts/count": {"alarm": 0, "warning": 0},
            "quarantine": {"quarantine": [{"parcel_id": "0f" * 16, "site": "H003", "reason": "chunk 7: digest differs", "at": at}]},
            "conflicts": {"conflicts": []},
            "rules": {"text": "version: 1\nrules:\n  - name: stat head CT\n", "faults": [{"line": 3, "message": "rule has no group"}]},
        }  # fmt: skip
        return web.json_response(tables[request.match_info["table"]])

    async def page(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        folder, name = (
            (STATIC / "ohif", path.removeprefix("ohif/"))
            if path.startswith("ohif/")
            else (STATIC / "app", path)
        )
        file = (folder / name).resolve()
        if not file.is_relative_to(folder) or not file.is_file():
            file = folder / "index.html"
        return web.FileResponse(file)

    def app(self) -> web.Application:
        app = web.Application()
        app.on_response_prepare.append(add_headers)
        app.on_shutdown.append(self.hang_up)
        case = "/api/cases/{id}"
        app.add_routes(
            [
                web.get("/api/session", self.session),
                web.post("/api/session", self.log_in),
                web.delete("/api/session", self.log_out),
                web.post("/api/session/totp", self.totp),
                web.post("/api/session/totp/confirm", self.totp_confirm),
                web.put("/api/session/language", self.set_language),
                web.get("/api/worklist", self.worklist),
                web.get(case, self.case),
                web.post(case + "/open", self.open),
                web.post(case + "/release", self.release),
                web.post(case + "/return", self.return_),
                web.get(case + "/messages", self.conversation),
                web.post(case + "/messages", self.say),
                web.post(case + "/messages/seen", self.seen),
                web.post(case + "/complete", self.complete),
                web.get(case + "/draft", self.draft),
                web.put(case + "/draft", self.save),
                web.post(case + "/sign", self.sign),
                web.post(case + "/addendum", self.addendum),
                web.get("/api/reports/{id}", self.report),
                web.get("/api/events", self.events),
                web.get("/api/admin/{table:.+}", self.admin),
                *dicomweb_phantom.routes(),
                web.get("/{path:.*}", self.page),
            ]
        )
        return app


async def serve(port: int = 0) -> tuple[web.AppRunner, PortalDouble, str]:
    """Start the double on the loopback; returns what stops it, its state and its address."""
    double = PortalDouble()
    runner = web.AppRunner(double.app(), shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    host, bound = runner.addresses[0][:2]
    return runner, double, f"http://{host}:{bound}"


async def _main() -> None:
    _, _, url = await serve(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main())
