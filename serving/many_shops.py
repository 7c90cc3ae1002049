"""Which of several shops a request is for: the one that its key names, or its session; never anything else it says.

A name picks the shop, and opens nothing: the shop knows its own keys and sessions alone, each by a hash that covers the
name. Whoever shows none of them is at the door, as if they had named nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.admission import read_headers
from serving.console import sessions
from serving.exchange import MOST_BYTES
from serving.keys import shop_named_in
from serving.logs import TENANT

_CONSOLE, _LOG_IN = "/console", "/console/session"


class Served(Protocol):
    """A shop as it stands now."""

    name: str

    @property
    def app(self) -> ASGIApp | None:
        """What answers for it."""

    @property
    def origins(self) -> Collection[str]:
        """Origins whose pages may call it."""

    def opens(self, key: str) -> bool:
        """Whether the key is one of its own; of a shop that is not open, nobody can say."""


class ManyShops:
    """The ASGI application that hands each request to its shop's; to the door what names none."""

    def __init__(self, shops: Mapping[str, Served], door: ASGIApp) -> None:
        self.shops = shops
        self.door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.door(scope, receive, send)
            return
        if scope["path"] == _LOG_IN:
            # A session begins with a key, which stands in the form.
            body = await _begin(receive)
            name, receive = self._opened_by(_key_in_form(body)), _after(body, receive)
        elif scope["path"] == _CONSOLE or scope["path"].startswith(f"{_CONSOLE}/"):
            name = sessions.shop_named_in(Request(scope).cookies.get(sessions.COOKIE, ""))
        else:
            name = self._opened_by(read_headers(scope["headers"]).key or "")
        shop = self._of_origin(scope) if scope["method"] == "OPTIONS" else self.shops.get(name or "")
        if shop is None or shop.app is None:
            await self.door(scope, receive, send)
            return
        scope["tenant"] = shop.name
        token = TENANT.set(shop.name)
        try:
            await shop.app(scope, receive, send)
        finally:
            TENANT.reset(token)

    def _opened_by(self, key: str) -> str | None:
        """The shop that the key opens."""
        name = shop_named_in(key)
        return name if name is not None and name in self.shops and self.shops[name].opens(key) else None

    def _of_origin(self, scope: Scope) -> Served | None:
        """A browser asks without a key whether a page may; any shop that lets the page's origin ask says so."""
        origin = read_headers(scope["headers"]).origin
        return next((shop for shop in self.shops.values() if origin in shop.origins), None)


async def _begin(receive: Receive) -> list[Message]:
    """What came of a body up to its end, or until there is more than any form has."""
    messages: list[Message] = []
    size, more = 0, True
    while more and size <= MOST_BYTES:
        message = await receive()
        messages.append(message)
        size += len(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)
    return messages


def _key_in_form(messages: list[Message]) -> str:
    body = b"".join(message.get("body", b"") for message in messages)
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=200))
    except ValueError:  # the door says that it cannot be read
        return ""
    return fields.get("key", "").strip()


def _after(messages: list[Message], receive: Receive) -> Receive:
    """Receives what was received already, then the rest."""
    waiting = list(messages)

    async def again() -> Message:
        return waiting.pop(0) if waiting else await receive()

    return again
