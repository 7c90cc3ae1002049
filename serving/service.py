"""The BentoML service: wiring alone. `bentoml serve serving.service:Regulars`, or `regulars serve`.

BentoML imports this in the process that starts and watches workers, which needs the service's name and its settings
checked, and in each worker, which needs all the rest. Several workers are forked by ours; see `serving.workers`.
"""

from __future__ import annotations

import threading
from typing import Any

import bentoml
from bentoml._internal.configuration.containers import BentoMLContainer
from starlette.types import ASGIApp, Receive, Scope, Send

from features.errors import RegularsError
from features.settings import server_settings
from serving import logs, starting

NAME = "regulars"
RELOAD_SECONDS = 1.0


async def _no_worker(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise RuntimeError("this process starts workers and answers nothing")


runtime: Any = None
api: ASGIApp = _no_worker
starting.check(server_settings())
starting.check_bentoml(BentoMLContainer.config.get() or {}, service=NAME)
if bentoml.server_context.worker_index is not None:
    logs.install(server_settings())
    from serving.worker import install, make_worker, watch

    runtime, api, way = make_worker()
    install(way)


class OwnPaths:
    """Hands HTTP requests to our application, and leaves start and stop to BentoML.

    BentoML's router claims /healthz, /readyz and / for itself, and its tracing costs more than most answers; so the
    moment it starts, what it would answer with is put behind ours. Nothing of it reads a body.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer HTTP ourselves."""
        if scope["type"] == "http":
            await api(scope, receive, send)
            return
        bento = scope.get("app")
        if scope["type"] == "lifespan" and bento is not None:
            bento.middleware_stack = _ours_first(bento.middleware_stack)
        await self.app(scope, receive, send)


def _ours_first(theirs: ASGIApp) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await (api if scope["type"] == "http" else theirs)(scope, receive, send)

    return answer


@bentoml.service(
    name=NAME,
    workers=1,
    traffic={"timeout": 30},
    metrics={"enabled": False},  # /metrics is ours
    logging={"access": {"enabled": False}},
)
@bentoml.asgi_app(api, path="/")
class Regulars:
    """Loads the current scores before the first request, then watches for newer ones."""

    def __init__(self) -> None:
        if runtime is None:
            raise RegularsError(
                "The service was started in a process that is no worker: BentoML names a worker by --worker-id, and "
                "this one has none. Start the server:  regulars serve   or   bentoml serve serving.service:Regulars"
            )
        self.stop = threading.Event()
        runtime.start()
        for refresh in runtime.refreshing:
            watch(refresh, every=RELOAD_SECONDS, stop=self.stop)

    @bentoml.on_shutdown
    def stop_watching(self) -> None:
        """Let the watching thread end."""
        self.stop.set()
        runtime.close()


# The decorator makes a service of the class, which type checkers do not see.
Regulars.add_asgi_middleware(OwnPaths)  # type: ignore[attr-defined]
