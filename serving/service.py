"""The BentoML service: wiring alone. `bentoml serve serving.service:Regulars`, or `regulars serve`."""

from __future__ import annotations

import threading

import bentoml
from starlette.types import ASGIApp, Receive, Scope, Send

from features.home import Home
from features.settings import current_settings
from serving.app import build_app
from serving.reload import Holder, watch

RELOAD_SECONDS = 3.0

holder = Holder(Home(current_settings().home))
api = build_app(holder)


class OwnPaths:
    """Hands HTTP requests to our application before BentoML's router, which claims /healthz, /readyz and / itself.

    So each path is answered in one place and what is not found is a problem description too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer HTTP ourselves; leave start and stop to BentoML."""
        await (api if scope["type"] == "http" else self.app)(scope, receive, send)


@bentoml.service(
    name="regulars",
    workers=1,
    traffic={"timeout": 30},
    metrics={"enabled": False},  # /metrics is ours
    logging={"access": {"enabled": False}},
)
@bentoml.asgi_app(api, path="/")
class Regulars:
    """Loads the current scores before the first request, then watches for newer ones."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        holder.refresh()
        watch(holder, every=RELOAD_SECONDS, stop=self.stop)

    @bentoml.on_shutdown
    def stop_watching(self) -> None:
        """Let the watching thread end."""
        self.stop.set()


# The decorator makes a service of the class, which type checkers do not see.
Regulars.add_asgi_middleware(OwnPaths)  # type: ignore[attr-defined]
