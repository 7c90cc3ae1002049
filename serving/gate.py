"""What every request passes before its handler: who asks, whether they may, how often; and what answers carry."""

from __future__ import annotations

import logging
import re
import time
import traceback
from collections.abc import Sequence
from typing import NamedTuple

from starlette.responses import Response
from starlette.routing import Route, compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import problems
from serving.keys import ApiKey
from serving.metrics import OTHER
from serving.request_ids import new_id
from serving.route_table import ApiRoute
from serving.runtime import Runtime

log = logging.getLogger("regulars.serving")
_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|\[?::1\]?|::ffff:127(\.\d{1,3}){3}")
_GIVEN_ID = re.compile(rb"[A-Za-z0-9_.-]{1,64}")
_PAGE_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_EVERYWHERE = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
_PAGES = [*_EVERYWHERE, (b"content-security-policy", _PAGE_POLICY), (b"x-frame-options", b"DENY")]
_PRIVATE = [*_EVERYWHERE, (b"cache-control", b"private, no-store")]
_KEPT = [*_EVERYWHERE, (b"cache-control", b"private, no-cache")]  # kept by a client that asks each time (ETag)


class Refusal(NamedTuple):
    """Why a request is not answered."""

    status: int
    why: str  # a label of the metrics
    detail: str
    headers: dict[str, str] | None = None


class Asked(NamedTuple):
    """What of the headers decides."""

    key: str | None
    host: str
    origin: str | None
    request_id: bytes | None


class Gate:
    """An ASGI application around another; it counts and times each request under its route's template."""

    def __init__(self, app: ASGIApp, *, runtime: Runtime, routes: Sequence[ApiRoute]) -> None:
        self.app = app
        self.runtime = runtime
        self.metrics = runtime.metrics
        self.exact: dict[str, list[ApiRoute]] = {}
        self.patterns: list[tuple[re.Pattern[str], ApiRoute]] = []
        for route in routes:
            if "{" in route.path:
                self.patterns.append((compile_path(route.path)[0], route))
            else:
                self.exact.setdefault(route.path, []).append(route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        route = self.route(scope["path"])
        template = scope["path_template"] = OTHER if route is None else route.path
        asked = _asked(scope)
        request_id = asked.request_id or new_id().encode()
        extra = [*_headers_for(scope["path"]), (b"x-request-id", request_id)]
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *extra]
            await send(message)

        try:
            refusal = self.refusal(scope, route, asked)
            if refusal is None:
                await self.app(scope, receive, watched)
            else:
                self.metrics.refused.labels(why=refusal.why).inc()
                answer = problems.respond(refusal.status, refusal.detail, headers=refusal.headers)
                await answer(scope, receive, watched)
        except Exception as error:
            # The outermost edge: whatever a handler missed is one failed request, and its text may hold data of a
            # customer, so the log gets the place and the kind alone.
            _log_defect(error, template, request_id)
            if not status:
                await _defect()(scope, receive, watched)
        finally:
            method = scope["method"] if scope["method"] in {"GET", "HEAD", "POST"} else OTHER
            self.metrics.requests.labels(route=template, method=method, status=status).inc()
            self.metrics.seconds.labels(route=template, strategy=scope.get("strategy", "")).observe(
                time.perf_counter() - started
            )

    def route(self, path: str) -> ApiRoute | None:
        """The route of a path, whatever the method."""
        found = self.exact.get(path)
        if found is not None:
            return found[0]
        for pattern, route in self.patterns:
            if pattern.match(path):
                return route
        return None

    def refusal(self, scope: Scope, route: ApiRoute | None, asked: Asked) -> Refusal | None:
        """Why the request may not pass; None when it may."""
        if asked.origin is not None and scope["method"] not in ("GET", "HEAD", "OPTIONS") and self._foreign(asked):
            return Refusal(403, "origin", "Pages of that origin may not call this; see the setting cors_origins.")
        if route is None or not route.scopes:
            return None
        ring = self.runtime.ring
        if not ring.exist:
            return self._without_keys(scope, asked)
        if asked.key is None:
            challenge = {"WWW-Authenticate": 'Bearer realm="regulars"'}
            return Refusal(401, "no_key", "A key is needed: Authorization: Bearer KEY, or X-API-Key: KEY.", challenge)
        key = ring.find(asked.key)
        if key is None:
            challenge = {"WWW-Authenticate": 'Bearer realm="regulars", error="invalid_token"'}
            return Refusal(401, "wrong_key", "The key is not known, or was revoked.", challenge)
        return self._limits(key, route)

    def _limits(self, key: ApiKey, route: ApiRoute) -> Refusal | None:
        wait = self.runtime.limits.wait(key.key_id, key.per_minute, at=time.monotonic())
        if wait > 0:
            seconds = str(max(1, round(wait + 0.5)))
            detail = f"The key asks more than {key.per_minute} times a minute. Wait {seconds} s."
            return Refusal(429, "rate", detail, {"Retry-After": seconds})
        if key.scope not in route.scopes:
            allowed = ", ".join(sorted(scope.value for scope in route.scopes))
            return Refusal(403, "scope", f"A key of scope '{key.scope}' may not ask this; needed: {allowed}.")
        return None

    @staticmethod
    def _without_keys(scope: Scope, asked: Asked) -> Refusal | None:
        """With no key made yet, only this machine is answered, and only by its own name (a page elsewhere could
        have its own name point here).
        """
        address = (scope.get("server") or ("",))[0]
        name = re.sub(r":\d+$", "", asked.host)
        if _LOOPBACK.fullmatch(address or "") and _LOOPBACK.fullmatch(name):
            return None
        detail = "No key exists yet, so only this machine is answered. Make one:  regulars keys create --scope site"
        return Refusal(401, "no_keys", detail, {"WWW-Authenticate": 'Bearer realm="regulars"'})

    def _foreign(self, asked: Asked) -> bool:
        origin = asked.origin or ""
        return origin not in self.runtime.settings.cors_origins and origin.partition("://")[2] != asked.host


def _asked(scope: Scope) -> Asked:
    key: str | None = None
    host, origin, request_id = "", None, None
    for name, value in scope["headers"]:
        if name == b"authorization":
            kind, _, given = value.decode("latin-1").partition(" ")
            if kind.lower() == "bearer":
                key = given.strip()
        elif name == b"x-api-key":
            key = value.decode("latin-1").strip()
        elif name == b"host":
            host = value.decode("latin-1")
        elif name == b"origin":
            origin = value.decode("latin-1")
        elif name == b"x-request-id" and _GIVEN_ID.fullmatch(value):
            request_id = value
    return Asked(key, host, origin, request_id)


def _headers_for(path: str) -> list[tuple[bytes, bytes]]:
    if path.startswith("/v1/customers/at-risk"):
        return _KEPT
    if path.startswith("/v1/"):
        return _PRIVATE
    return _PAGES if path.startswith("/docs") or path == "/" else _EVERYWHERE


def _log_defect(error: Exception, template: str, request_id: bytes) -> None:
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error("a defect: %s at %s, request %s\n%s", type(error).__name__, template, request_id.decode(), where)


def _defect() -> Response:
    return problems.respond(500, "A defect of the server; its log has the details.")


def starlette_routes(routes: Sequence[ApiRoute]) -> list[Route]:
    """The table as Starlette routes, in its order: the first that fits answers."""
    return [Route(route.path, route.handler, methods=[route.method]) for route in routes]
