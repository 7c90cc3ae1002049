"""A browser without a window: keeps cookies, follows redirects, fills the forms that a page of the console has."""

from __future__ import annotations

import asyncio
import html
import re
from urllib.parse import urlsplit

import httpx
from starlette.types import ASGIApp


class Browser:
    """One visitor of an application in this process."""

    def __init__(self, app: ASGIApp, *, lang: str = "en", base: str = "http://localhost") -> None:
        self.app, self.base = app, base
        self.cookies = httpx.Cookies()
        self.headers = {"Accept-Language": lang}
        self.page: httpx.Response

    def send(self, method: str, path: str, **what: object) -> httpx.Response:
        """One request, with the cookies of those before, redirects not followed."""
        return asyncio.run(self._send(method, path, **what))

    async def _send(self, method: str, path: str, **what: object) -> httpx.Response:
        transport = httpx.ASGITransport(self.app)
        headers = {**self.headers, **what.pop("headers", {})}
        async with httpx.AsyncClient(transport=transport, base_url=self.base, cookies=self.cookies) as client:
            answer = await client.request(method, path, headers=headers, **what)
            self.cookies = client.cookies
            return answer

    def get(self, path: str, **what: object) -> httpx.Response:
        """The page, redirects followed."""
        self.page = self.send("GET", path, **what)
        return self._followed()

    def post(self, path: str, fields: dict[str, object] | None = None, *, csrf: bool = True) -> httpx.Response:
        """The answer to a form, redirects followed; the page's token goes along unless told otherwise."""
        token = {"csrf": self.csrf} if csrf else {}
        self.page = self.send("POST", path, data={**token, **(fields or {})}, headers={"Origin": self.base})
        return self._followed()

    def _followed(self) -> httpx.Response:
        while self.page.status_code in (302, 303):
            to = urlsplit(self.page.headers["location"])
            self.page = self.send("GET", f"{to.path}?{to.query}" if to.query else to.path)
        return self.page

    @property
    def csrf(self) -> str:
        """The token in the page."""
        found = re.search(r'name="csrf" value="([^"]+)"', self.page.text)
        return found.group(1) if found else ""

    def log_in(self, key: str = "", *, name: str = "Mia", to: str = "/console/at-risk") -> httpx.Response:
        """Show a key at the door."""
        self.page = self.send("GET", f"/console/login?next={to}")
        return self.post("/console/session", {"name": name, "key": key, "next": to}, csrf=False)

    def customers(self) -> list[str]:
        """Ids on the list shown, in its order."""
        return [html.unescape(one) for one in re.findall(r'<a class="open" [^>]*>([^<]+)</a>', self.page.text)]
