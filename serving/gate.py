"""What every request passes before its handler: who asks, whether they may, how often; and what answers carry."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Awaitable, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import problems
from serving.admission import Admission, read_headers
from serving.database import StoreAwayError
from serving.metrics import OTHER
from serving.request_ids import new_id
from serving.route_table import ApiRoute
from serving.runtime import Runtime

log = logging.getLogger("regulars.serving")
_METHODS = frozenset({"GET", "HEAD", "POST"})
_PAGE_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_CONSOLE_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    b"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_EVERYWHERE = [(b"x-content-type-options", b"nosniff")]
_PAGES = [
    *_EVERYWHERE,
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", _PAGE_POLICY),
    (b"x-frame-options", b"DENY"),
]
_CONSOLE = [
    *_EVERYWHERE,
    (b"cache-control", b"private, no-store"),
    # Without a referrer, a browser names no origin with a form, and the form would be refused as foreign.
    (b"referrer-policy", b"same-origin"),
    (b"content-security-policy", _CONSOLE_POLICY),
    (b"x-frame-options", b"DENY"),
]
_ASSETS = [*_EVERYWHERE, (b"cache-control", b"public, max-age=86400")]
PRIVATE = [*_EVERYWHERE, (b"cache-control", b"private, no-store")]
_KEPT = [*_EVERYWHERE, (b"cache-control", b"private, no-cache")]  # kept by a client that asks each time (ETag)


class Gate:
    """The ASGI application: finds each request's route, and counts and times it under the route's template.

    What has no route of the table goes to `other`. Starlette's own router and middleware would cost as much as most
    answers.
    """

    def __init__(self, other: ASGIApp, *, runtime: Runtime, routes: Sequence[ApiRoute]) -> None:
        self.other = other
        self.runtime = runtime
        self.admission = Admission(runtime)
        self.metrics = runtime.metrics
        self.logs_all = runtime.settings.log_requests
        self.exact = {route.path: route for route in routes if "{" not in route.path}
        self.patterns = [(compile_path(route.path)[0], route) for route in routes if "{" in route.path]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http":
            await self.other(scope, receive, send)
            return
        started = time.perf_counter()
        route, parameters = self.route(scope["path"])
        template = OTHER if route is None else route.path
        asked = read_headers(scope["headers"])
        request_id = asked.request_id or new_id().encode()
        extra = [*_headers_for(scope["path"]), (b"x-request-id", request_id)]
        scope.update(path_template=template, path_params=parameters, asked=asked, runtime=self.runtime)
        status = 0

        def watched(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *extra]
            return send(message)

        try:
            address = (scope.get("server") or ("",))[0] or ""
            refusal = self.admission.refusal(scope["method"], address, route, asked)
            if refusal is not None:
                self.metrics.refused.labels(why=refusal.why).inc()
                answer = problems.respond(refusal.status, refusal.detail, headers=refusal.headers)
                await answer(scope, receive, watched)
            elif route is None:
                await self.other(scope, receive, watched)
            else:
                answer = await self._answer(route, scope, receive)
                await answer(scope, receive, watched)
        except Exception as error:
            # The outermost edge: whatever a handler missed is one failed request, and its text may hold data of a
            # customer, so the log gets the place and the kind alone.
            log_defect(error, template, request_id)
            if not status:
                await problems.respond(500, "A defect of the server; its log has the details.")(scope, receive, watched)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else OTHER
            strategy, seconds = scope.get("strategy", ""), time.perf_counter() - started
            self.metrics.count(template, method, status, strategy, seconds)
            if self.logs_all:
                _log_request(template, method, status, strategy, seconds, request_id)

    @staticmethod
    async def _answer(route: ApiRoute, scope: Scope, receive: Receive) -> Response:
        method = scope["method"]
        if method != route.method and not (method == "HEAD" and route.method == "GET"):
            allowed = "GET, HEAD" if route.method == "GET" else route.method
            return problems.respond(405, f"{method} is not answered there.", headers={"Allow": allowed})
        try:
            return await route.handler(Request(scope, receive))
        except problems.BadRequestError as error:
            return problems.respond(error.status, error.detail, field=error.field)
        except StoreAwayError as error:
            detail = f"Not kept: {error}. Send it again later." if route.method == "POST" else f"{error}."
            return problems.respond(503, detail, headers={"Retry-After": "5"})

    def route(self, path: str) -> tuple[ApiRoute | None, dict[str, str]]:
        """The route of a path, whatever the method, and what stands in its places."""
        found = self.exact.get(path)
        if found is not None:
            return found, {}
        for pattern, route in self.patterns:
            match = pattern.match(path)
            if match:
                return route, match.groupdict()
        return None, {}


def _headers_for(path: str) -> list[tuple[bytes, bytes]]:
    if path.startswith("/v1/customers/at-risk"):
        return _KEPT
    if path.startswith("/v1/"):
        return PRIVATE
    if path.startswith("/console"):
        return _ASSETS if path.startswith("/console/static/") else _CONSOLE
    return _PAGES if path.startswith("/docs") or path == "/" else _EVERYWHERE


def log_defect(error: Exception, template: str, request_id: bytes) -> None:
    """One entry of the log, without the error's text: it may hold data of a customer."""
    where = "".join(traceback.format_tb(error.__traceback__))
    fields = {"request_id": request_id.decode(), "route": template, "where": where}
    log.error("a defect: %s at %s", type(error).__name__, template, extra={"fields": fields})


def _log_request(template: str, method: str, status: int, strategy: str, seconds: float, request_id: bytes) -> None:
    fields = {
        "request_id": request_id.decode(),
        "route": template,
        "method": method,
        "status": status,
        "strategy": strategy,
        "ms": round(seconds * 1000, 3),
    }
    log.info("answered", extra={"fields": fields})
