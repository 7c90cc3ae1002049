"""The short way of the one route that every page view calls: its answer made in one call, without ASGI.

On the way that all routes share a request takes a task of the event loop, a dozen objects and as many messages, which
cost as much as the answer. The short way is for a plain question that is answered with products. Whatever else may come
of a request (a refusal, an error, events that are to be read first) is left to the way of all, which alone knows what
to say then; so both ways give the same answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from serving.admission import Admission, Asked
from serving.answering import counted
from serving.exchange import is_read
from serving.gate import PRIVATE
from serving.handlers import read_question, recommended
from serving.keys import shop_named_in
from serving.logs import TENANT
from serving.request_ids import new_id
from serving.route_table import ROUTES
from serving.runtime import Runtime

METHOD, PATH = "POST", "/v1/recommendations"
_ROUTE = next(route for route in ROUTES if (route.method, route.path) == (METHOD, PATH))
_HEAD = b"content-type: application/json\r\ncontent-length: %d\r\n" + b"".join(
    b"%s: %s\r\n" % (name, value.replace(b"%", b"%%")) for name, value in PRIVATE
)
_HEAD += b"x-request-id: %s\r\n\r\n"
_encode = msgspec.json.Encoder().encode


class ShortWay:
    """Answers PATH from the parts of one runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.admission = Admission(runtime)

    def answer(self, asked: Asked, address: str, body: bytes) -> bytes | None:
        """Headers and body of the answer to a request that came to our `address`; None: it is to go the way of all."""
        started = time.perf_counter()
        runtime = self.runtime
        # A page of another origin is to be told whether it may read the answer.
        if asked.origin is not None or not is_read(asked.kind) or runtime.feed.is_behind():
            return None
        try:
            question = read_question(body)
            # Last of what may stop it, as a key that passes is counted.
            if self.admission.refusal(METHOD, address, _ROUTE, asked) is not None:
                return None
            answer = recommended(runtime, question)
            content = _encode(answer)
        except Exception:  # what fails here fails there too, where it is told
            return None
        head = _HEAD % (len(content), asked.request_id or new_id().encode())
        strategy = "" if question.dry_run else counted(runtime.metrics, PATH, [answer])
        runtime.metrics.count(PATH, METHOD, 200, strategy, time.perf_counter() - started)
        return head + content


class ShortWays:
    """Answers PATH for each of several shops, to whoever shows a key of it."""

    def __init__(self, way_of: Callable[[str], ShortWay | None]) -> None:
        self._way_of = way_of

    def answer(self, asked: Asked, address: str, body: bytes) -> bytes | None:
        """See ShortWay."""
        name = shop_named_in(asked.key or "")
        way = None if name is None else self._way_of(name)
        if name is None or way is None:
            return None
        token = TENANT.set(name)
        try:
            return way.answer(asked, address, body)
        finally:
            TENANT.reset(token)


class Way(Protocol):
    """What a connection asks."""

    def answer(self, asked: Asked, address: str, body: bytes) -> bytes | None:
        """See ShortWay."""


def short_way(runtime: Runtime) -> ShortWay | None:
    """The short way, or None where each request is to be traced or logged."""
    return None if runtime.tracing is not None or runtime.settings.log_requests else ShortWay(runtime)
