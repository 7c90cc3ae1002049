"""HTTP connections: cut when they take too long to say what they want, and answered the short way where there is one.

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

from serving import short_way
from serving.admission import Asked, read_headers
from serving.exchange import MOST_BYTES
from serving.short_way import Way

MESSAGE_SECONDS = 15.0
_PATH, _METHOD = short_way.PATH.encode(), short_way.METHOD.encode()


class _Turn:
    """What is to be sent at the end of this turn of the loop, of all connections."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._waiting: list[_OneWrite] = []

    def wait(self, connection: _OneWrite) -> None:
        """Flush the connection at the end of this turn."""
        if not self._waiting:
            self.loop.call_soon(self._end)
        self._waiting.append(connection)

    def _end(self) -> None:
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            connection.flush()


class _OneWrite:
    """A transport that sends what is written in one turn of the loop at once.

    The server writes an answer's head and body apart, and each write of its own costs the system as much as the rest
    of a short answer.
    """

    def __init__(self, transport: Any, turn: _Turn) -> None:
        self._transport = transport
        self._turn = turn
        self._waiting: list[bytes] = []
        self.is_closing = transport.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send with whatever else is written in this turn."""
        if not self._waiting:
            self._turn.wait(self)
        self._waiting.append(data)

    def close(self) -> None:
        """Send what waits, then close."""
        self.flush()
        self._transport.close()

    def flush(self) -> None:
        """Send what waits."""
        waiting, self._waiting = self._waiting, []
        if waiting and not self._transport.is_closing():
            self._transport.write(waiting[0] if len(waiting) == 1 else b"".join(waiting))


class PatientProtocol(HttpToolsProtocol):
    """Cuts a connection whose request, headers and body, is not complete in time, or that is idle for too long."""

    way: Way | None = None
    _turn: _Turn | None = None
    _look: asyncio.TimerHandle | None = None
    #: By the loop's clock: when a request began that is not complete; when the last answer was given the short way.
    _began: float | None = None
    _rested: float | None = None
    #: Of a request that may go the short way: what its headers say, and its body so far.
    _asked: Asked | None = None
    _body: list[bytes]
    _may_be_short = False
    #: Whether the server is being stopped.
    _last = False
    _said: tuple[list[tuple[bytes, bytes]], bytes] | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        turn = PatientProtocol._turn
        if turn is None or turn.loop is not self.loop:
            turn = PatientProtocol._turn = _Turn(self.loop)
        super().connection_made(_OneWrite(transport, turn))  # type: ignore[arg-type]
        self._address = (self.server or ("",))[0]
        self._began = self.loop.time()
        self._look_in(self._longest)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to wait for."""
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on. One request of what came at once may go the short way; more would keep others waiting."""
        self._may_be_short = self.way is not None and not self.limit_concurrency
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of the request."""
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._began, self._rested = self.loop.time(), None

    def on_headers_complete(self) -> None:
        """Begin to answer, unless all of the request is to be here first."""
        self._asked = self._plainly_asked() if self._may_be_short and self.url == _PATH else None
        if self._asked is None:
            self._go_the_way_of_all()
        else:
            self._body = []

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self._asked is None:
            super().on_body(body)
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """The whole request is here."""
        self._began = None
        if self._asked is not None:
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            if self._answered(self._asked, body):
                return
            self._go_the_way_of_all()
            super().on_body(body)
            self.cycle.keep_alive = self.cycle.keep_alive and not self._last
        super().on_message_complete()

    def shutdown(self) -> None:
        """Close, once what is being asked is answered."""
        if self._asked is None:
            super().shutdown()
        else:
            self._last = True

    def _plainly_asked(self) -> Asked | None:
        """What the headers say, where nothing asks for more than a body of stated, small length does."""
        parser = self.parser
        if parser.get_method() != _METHOD or parser.get_http_version() != "1.1" or not parser.should_keep_alive():
            return None
        if self.expect_100_continue or parser.should_upgrade():
            return None
        asked = read_headers(self.headers)
        return asked if asked.length is not None and asked.length <= MOST_BYTES else None

    def _go_the_way_of_all(self) -> None:
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers += headers
        super().on_headers_complete()

    def _answered(self, asked: Asked, body: bytes) -> bool:
        """Whether the request was answered the short way; else nothing was sent."""
        self._asked, self._may_be_short = None, False
        # Answers are given in the order of the requests, and no faster than they are read.
        busy = self.cycle is not None and not self.cycle.response_complete
        if self.way is None or busy or self._last or self.flow.write_paused or self.transport.is_closing():
            return False
        answer = self.way.answer(asked, self._address, body)
        if answer is None:
            return False
        self.server_state.total_requests += 1
        # With whatever else is answered in this turn of the loop: who asks is woken once, and so are we.
        self.transport.write(self._start() + answer)
        self._rested = self.loop.time()
        return True

    def _start(self) -> bytes:
        """The status and the headers that the server gives every answer, which change with the clock."""
        given, said = self.server_state.default_headers, PatientProtocol._said
        if said is None or said[0] is not given:
            lines = [b"%s: %s\r\n" % header for header in given]
            said = PatientProtocol._said = (given, b"HTTP/1.1 200 OK\r\n" + b"".join(lines))
        return said[1]

    @property
    def _longest(self) -> float:
        """Seconds within which to look again: what begins meanwhile is not late sooner, so it is cut on time."""
        return min(MESSAGE_SECONDS, self.timeout_keep_alive)

    def _look_in(self, seconds: float) -> None:
        # One clock for a connection: one for each request costs as much as reading it.
        self._look = self.loop.call_later(seconds, self._cut_if_late)

    def _cut_if_late(self) -> None:
        self._look = None
        if self.transport.is_closing():
            return
        now, left = self.loop.time(), self._longest
        if self._began is not None:
            left = self._began + MESSAGE_SECONDS - now
        elif self._rested is not None:
            left = self._rested + self.timeout_keep_alive - now
        if left <= 0:
            self.transport.close()
        else:
            self._look_in(min(left, self._longest))


def install(way: Way | None = None) -> None:
    """Make the server use it, the short way too where there is one, and write no access log: paths name customers."""
    PatientProtocol.way = way
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{PatientProtocol.__name__}"
    logging.getLogger("uvicorn.access").propagate = False
