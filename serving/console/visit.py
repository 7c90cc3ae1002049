"""One request to the console: who asks, in which language, and what an answer to them is made with."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from serving.answering import runtime_of
from serving.console.forms import as_type, read_form
from serving.console.sessions import Session
from serving.console.templates import render
from serving.console.words import LANGUAGES
from serving.keys import now_utc
from serving.languages import preferred
from serving.outcomes import Contacts
from serving.problems import BadRequestError
from serving.runtime import Runtime
from serving.scopes import KeyScope
from serving.state import State

T = TypeVar("T")
LANGUAGE_COOKIE, THEME_COOKIE = "regulars_language", "regulars_theme"
THEMES = ("auto", "light", "dark")


@dataclass(frozen=True)
class Visit:
    """A request, whoever sent it. `session` and `scope` are None before the login."""

    request: Request
    session: Session | None = None
    scope: KeyScope | None = None

    @property
    def runtime(self) -> Runtime:
        """The parts of the server."""
        return runtime_of(self.request)

    @property
    def shop(self) -> str:
        """The shop's name, where the server has several and who asks is logged in to one."""
        return "" if self.session is None else self.runtime.settings.tenant or ""

    @property
    def state(self) -> State:
        """The scoring that answers now."""
        return self.runtime.holder.state

    @property
    def contacts(self) -> Contacts:
        """What came of contacts, as far as this server knows."""
        return self.runtime.contacts

    @property
    def who(self) -> str:
        """The agent, as they call themselves."""
        return "" if self.session is None else self.session.name

    @property
    def now(self) -> datetime:
        """The moment in UTC, without a zone."""
        return now_utc()

    @property
    def lang(self) -> str:
        """The language chosen, else the one the browser prefers."""
        chosen = self.request.cookies.get(LANGUAGE_COOKIE, "")
        return chosen if chosen in LANGUAGES else preferred(self.request.headers.get("accept-language", ""))

    @property
    def theme(self) -> str:
        """The theme chosen; `auto` follows the system."""
        chosen = self.request.cookies.get(THEME_COOKIE, "")
        return chosen if chosen in THEMES else THEMES[0]

    @property
    def is_part(self) -> bool:
        """Whether the page's script asks for a part of a page, and not the browser for a whole one."""
        return self.request.headers.get("hx-request") == "true"

    @property
    def may_administer(self) -> bool:
        """Whether the key may change which models answer."""
        return self.scope is KeyScope.ADMIN

    async def form(self, kind: type[T]) -> T:
        """The form sent. Raises BadRequestError for a wrong field, and where no page of this session made it."""
        given = await read_form(self.request)
        sent = given.get("csrf") or self.request.headers.get("x-csrf-token", "")
        if self.session is None or not self.session.is_from_its_page(sent):
            raise BadRequestError("This form is not of your session. Load the page again, then send it.", status=403)
        return as_type(given, kind)

    async def refresh_contacts(self) -> None:
        """Take up what was just written, so that the next page shows it."""
        await asyncio.to_thread(self.runtime.refresh_contacts)

    def page(
        self, template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: object
    ) -> Response:
        """A page or a part of one."""
        text = render(template, self, **values)
        return HTMLResponse(text, status_code=status, headers=dict(headers or {}))

    def go(self, to: str) -> Response:
        """Send the browser to another page of the console, after a form."""
        if self.is_part:
            return Response(status_code=204, headers={"HX-Redirect": to})
        return RedirectResponse(to, status_code=303)
