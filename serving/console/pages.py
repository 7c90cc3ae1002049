"""What stands around every page: nobody sees one without a session whose key may, and no error ends without a page."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from features.errors import DataError, RegularsError
from serving.admission import is_this_machine
from serving.answering import runtime_of
from serving.console.sessions import COOKIE, Session, Sessions
from serving.console.visit import Visit
from serving.database import StoreAwayError
from serving.gate import log_defect
from serving.keys import now_utc
from serving.problems import BadRequestError
from serving.scopes import KeyScope

Handler = Callable[[Visit], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]
LOGIN = "/console/login"
RETENTION = frozenset({KeyScope.RETENTION, KeyScope.ADMIN})
ADMIN = frozenset({KeyScope.ADMIN})
_PER_MINUTE_WITHOUT_KEY = 6_000


def page(handler: Handler, *, scopes: frozenset[KeyScope] = RETENTION) -> Endpoint:
    """A page for whoever is logged in with a key of one of those scopes; others are sent to log in, or told why not."""

    async def answer(request: Request) -> Response:
        visit = Visit(request)
        try:
            visit = await visit_of(request)
            if visit.session is None or visit.scope not in RETENTION:
                return _to_login(visit)
            wait = _wait(visit)
            if wait > 0:
                return problem(visit, 429, "", headers={"Retry-After": str(max(1, round(wait + 0.5)))})
            if visit.scope not in scopes:
                return problem(visit, 403, "")
            return await handler(visit)
        except Exception as error:
            return _failed(visit, error)

    return answer


def public(handler: Handler) -> Endpoint:
    """A page for anybody."""

    async def answer(request: Request) -> Response:
        visit = Visit(request)
        try:
            visit = await visit_of(request)
            return await handler(visit)
        except Exception as error:
            return _failed(visit, error)

    return answer


def _failed(visit: Visit, error: Exception) -> Response:
    """The page of an error; of one that nobody foresaw, the log has the place."""
    if isinstance(error, BadRequestError):
        detail = f"{error.field}: {error.detail}" if error.field else error.detail
        return problem(visit, error.status, detail)
    if isinstance(error, StoreAwayError):
        return problem(visit, 503, str(error), headers={"Retry-After": "5"})
    if isinstance(error, DataError):
        return problem(visit, 422, str(error))
    if isinstance(error, RegularsError):
        return problem(visit, 409, str(error))
    # The outermost edge of the console: an agent sees a page, the log the place and the kind alone.
    log_defect(error, visit.request.scope["path_template"], visit.request.scope["asked"].request_id or b"")
    return problem(visit, 500, "")


def problem(visit: Visit, status: int, detail: str, *, headers: dict[str, str] | None = None) -> Response:
    """What went wrong, as a page, or as a note where only a part of a page was asked for."""
    template = "problem_part.html" if visit.is_part else "problem.html"
    said = dict(headers or {})
    if visit.is_part:
        # Wherever the answer was meant to go, the note stands where notes stand.
        said |= {"HX-Retarget": "#notes", "HX-Reswap": "innerHTML"}
    return visit.page(template, status=status, headers=said, code=status, detail=detail)


async def visit_of(request: Request) -> Visit:
    """The request with its session, where the session's key is still in force."""
    token = request.cookies.get(COOKIE)
    if token is None:
        return Visit(request)
    session = await asyncio.to_thread(sessions_of(request).find, token, at=now_utc())
    scope = None if session is None else _scope(request, session)
    return Visit(request) if session is None or scope is None else Visit(request, session, scope)


def sessions_of(request: Request) -> Sessions:
    """The sessions of the shop that is asked."""
    runtime = runtime_of(request)
    return Sessions(runtime.database, tenant=runtime.settings.tenant)


def _scope(request: Request, session: Session) -> KeyScope | None:
    ring = runtime_of(request).ring
    if session.key_id is None:
        return KeyScope.ADMIN if needs_no_key(request) else None
    key = ring.by_id(session.key_id)
    return None if key is None else key.scope


def needs_no_key(request: Request) -> bool:
    """Whether who asks may enter without a key: as with the API, while none was ever made, this machine alone may."""
    address = (request.scope.get("server") or ("",))[0] or ""
    return not runtime_of(request).ring.exist and is_this_machine(address, request.scope["asked"].host)


def _wait(visit: Visit) -> float:
    runtime = visit.runtime
    key = None if visit.session is None or visit.session.key_id is None else runtime.ring.by_id(visit.session.key_id)
    name = "console" if key is None else key.key_id
    per_minute = _PER_MINUTE_WITHOUT_KEY if key is None else key.per_minute
    return runtime.limits.wait(name, per_minute, at=time.monotonic())


def _to_login(visit: Visit) -> Response:
    request = visit.request
    if request.method == "POST":
        to = LOGIN
    else:
        query = f"?{request.url.query}" if request.url.query else ""
        to = f"{LOGIN}?next={quote(request.url.path + query, safe='')}"
    if visit.is_part:
        return Response(status_code=401, headers={"HX-Redirect": LOGIN})
    return RedirectResponse(to, status_code=303)
