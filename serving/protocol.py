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


class PatientProtocol(HttpToolsProtocol):
    """Cuts a connection whose request, headers and body, is not complete in time; an idle one is bounded elsewhere."""

    _impatience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
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
