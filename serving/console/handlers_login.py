"""Logging in and out, and how the pages look."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Literal

from msgspec import Meta, Struct
from starlette.responses import RedirectResponse, Response

from serving.console.assets import assets
from serving.console.forms import as_type, asked_of, read_form
from serving.console.pages import RETENTION, needs_no_key, sessions_of
from serving.console.sessions import COOKIE, LASTS
from serving.console.visit import LANGUAGE_COOKIE, THEME_COOKIE, Visit
from serving.exchange import with_validator

HOME = "/console/at-risk"
#: Guessing a key is out of reach; this keeps a broken script from filling the log of the database.
_LOGINS_PER_MINUTE = 60
_YEAR = 365 * 24 * 3600
Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f-][^\x00-\x1f]*$")]


class _Entry(Struct, frozen=True):
    next: Annotated[str, Meta(max_length=4000)] = HOME


class _Login(Struct, frozen=True):
    name: Name | None = None
    key: Annotated[str, Meta(max_length=200)] = ""
    next: Annotated[str, Meta(max_length=4000)] = HOME


class _Looks(Struct, frozen=True):
    language: Literal["en", "zh"] | None = None
    theme: Literal["auto", "light", "dark"] | None = None
    back: Annotated[str, Meta(max_length=4000)] = HOME


async def start(_: Visit) -> Response:
    """GET /console: to the list."""
    return RedirectResponse(HOME, status_code=303)


async def form(visit: Visit) -> Response:
    """GET /console/login."""
    to = within(asked_of(visit.request, _Entry).next)
    if visit.session is not None and visit.scope in RETENTION:
        return RedirectResponse(to, status_code=303)
    return _form(visit, to=to)


async def log_in(visit: Visit) -> Response:
    """POST /console/login: a session for whoever shows a key that may."""
    given = await read_form(visit.request)
    runtime = visit.runtime
    if runtime.limits.wait("console-logins", _LOGINS_PER_MINUTE, at=time.monotonic()) > 0:
        return _form(visit, to=HOME, fault="Too many attempts. Wait a minute.", status=429)
    asked = as_type(given, _Login)
    to = within(asked.next)
    key = runtime.ring.find(asked.key)
    if not needs_no_key(visit.request):
        if key is None:
            return _form(visit, to=to, name=asked.name, fault="This key is not known, or was revoked.", status=401)
        if key.scope not in RETENTION:
            fault = "This key is for the shop's site. The console needs one of scope retention or admin."
            return _form(visit, to=to, name=asked.name, fault=fault, status=403)
    name = asked.name or (key.name if key is not None else "") or "agent"
    sessions = sessions_of(visit.request)
    token = await asyncio.to_thread(sessions.open, None if key is None else key.key_id, name=name, at=visit.now)
    answer = RedirectResponse(to, status_code=303)
    answer.set_cookie(
        COOKIE,
        token,
        max_age=int(LASTS.total_seconds()),
        path="/console",
        httponly=True,
        samesite="strict",
        secure=visit.request.url.scheme == "https",
    )
    return answer


def _form(visit: Visit, *, to: str, name: str | None = None, fault: str = "", status: int = 200) -> Response:
    open_to_all = needs_no_key(visit.request)
    no_keys = not visit.runtime.ring.exist
    return visit.page(
        "login.html", status=status, next=to, name=name or "", fault=fault, needs_no_key=open_to_all, no_keys=no_keys
    )


def within(address: str) -> str:
    """The address where it is a page of the console; else where the console starts. Nobody is sent to another site."""
    return address if address.startswith("/console/") and "\\" not in address else HOME


async def log_out(visit: Visit) -> Response:
    """POST /console/logout: the session is worth nothing any more."""
    await visit.form(_Looks)
    if visit.session is not None:
        await asyncio.to_thread(sessions_of(visit.request).close, visit.session)
    answer = RedirectResponse("/console/login", status_code=303)
    answer.delete_cookie(COOKIE, path="/console", httponly=True, samesite="strict")
    return answer


async def looks(visit: Visit) -> Response:
    """POST /console/looks: the language and the theme, kept in this browser."""
    asked = as_type(await read_form(visit.request), _Looks)
    answer = RedirectResponse(within(asked.back), status_code=303)
    for cookie, value in ((LANGUAGE_COOKIE, asked.language), (THEME_COOKIE, asked.theme)):
        if value is not None:
            answer.set_cookie(cookie, value, max_age=_YEAR, path="/console", httponly=True, samesite="strict")
    return answer


async def static(visit: Visit) -> Response:
    """GET /console/static/…: a file of the console's own."""
    found = assets().get(visit.request.path_params["name"])
    if found is None:
        return visit.page("problem.html", status=404, code=404, detail="")
    return with_validator(visit.request, found.content, kind=found.kind, of_shop=False)


async def nowhere(visit: Visit) -> Response:
    """GET /console/…: what is not there."""
    return visit.page("problem.html", status=404, code=404, detail="")
