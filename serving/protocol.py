"""HTTP connections that are cut when they take too long to say what they want.

The server (uvicorn) bounds idle connections, but not one that sends its headers a byte at a time (slow loris): each
holds memory and a file descriptor for as long as it likes. BentoML makes the server, so its protocol is replaced by
name in the table it looks it up in.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import uvicorn.config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MESSAGE_SECONDS = 15.0


class _OneWrite:
    """A transport that sends what is written in one turn of the loop at once.

    The server writes an answer's head and body apart, and each write of its own costs the system as much as the rest
    of a short answer.
    """

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._waiting: list[bytes] = []
        self.is_closing = transport.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send with whatever else is written in this turn."""
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(data)

    def close(self) -> None:
        """Send what waits, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting and not self._transport.is_closing():
            self._transport.write(waiting[0] if len(waiting) == 1 else b"".join(waiting))


class PatientProtocol(HttpToolsProtocol):
    """Cuts a connection whose request, headers and body, is not complete in time; an idle one is bounded elsewhere."""

    _impatience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(_OneWrite(transport, self.loop))  # type: ignore[arg-type]
        self._impatience = self.loop.call_later(MESSAGE_SECONDS, self._cut)

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of the request."""
        super().on_message_begin()
        if self._impatience is None:
            self._impatience = self.loop.call_later(MESSAGE_SECONDS, self._cut)

    def on_message_complete(self) -> None:
        """The whole request is here."""
        self._wait_no_more()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to wait for."""
        self._wait_no_more()
        super().connection_lost(exc)

    def _wait_no_more(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None

    def _cut(self) -> None:
        self._impatience = None
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()


def install() -> None:
    """Make the server use it, and write no access log: the paths name customers."""
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{PatientProtocol.__name__}"
    logging.getLogger("uvicorn.access").propagate = False
