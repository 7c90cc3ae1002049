"""The BentoML service: wiring alone. `bentoml serve serving.service:Regulars`, or `regulars serve`."""

from __future__ import annotations

import logging
import os
import threading

import bentoml
from starlette.types import ASGIApp, Receive, Scope, Send

from features.settings import current_settings
from serving import counting, protocol
from serving.app import build_app
from serving.parent import end_with_parent
from serving.reload import watch
from serving.runtime import open_runtime

RELOAD_SECONDS = 1.0
log = logging.getLogger("regulars.serving")

runtime = open_runtime(current_settings())
api = build_app(runtime)
protocol.install()
log.info("counting in %s", "shared files" if counting.SHARED in os.environ else "memory")


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
    name="regulars",
    workers=runtime.settings.workers,
    traffic={"timeout": 30},
    metrics={"enabled": False},  # /metrics is ours
    logging={"access": {"enabled": False}},
)
@bentoml.asgi_app(api, path="/")
class Regulars:
    """Loads the current scores before the first request, then watches for newer ones."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        end_with_parent()
        runtime.start()
        watch(runtime.refresh, every=RELOAD_SECONDS, stop=self.stop)

    @bentoml.on_shutdown
    def stop_watching(self) -> None:
        """Let the watching thread end."""
        self.stop.set()
        runtime.online.close()
        runtime.database.close()


# The decorator makes a service of the class, which type checkers do not see.
Regulars.add_asgi_middleware(OwnPaths)  # type: ignore[attr-defined]
