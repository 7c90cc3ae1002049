"""What a worker of the server is made of, put together in the order that lets workers share memory."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.types import ASGIApp

from features.settings import Settings, server_settings
from serving import counting as counting  # settles how to count, so it comes before all that counts
from serving.app import build_app
from serving.collector import freeze
from serving.lean import leave_pandas_out
from serving.metrics import Metrics
from serving.parent import end_with_parent
from serving.protocol import install
from serving.reload import watch
from serving.runtime import Runtime, open_holder, open_runtime
from serving.short_way import Way, short_way
from serving.workers import fork_workers

if TYPE_CHECKING:
    from serving.shops import Shops

__all__ = ["install", "make_worker", "watch"]

#: What BentoML and its server import when they start to serve; forked workers share what came before.
_IMPORTED_LATER = (
    "_bentoml_impl.client",
    "_bentoml_impl.server.app",
    "anyio._backends._asyncio",
    "anyio.from_thread",
    "bentoml._internal.runner.container",
    "bentoml._internal.server.http.traffic",
    "bentoml._internal.utils.telemetry",
    "opentelemetry.instrumentation.asgi",
    "opentelemetry.sdk.trace.export",
    "sqlalchemy.dialects.sqlite",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.websockets.auto",
)


def make_worker() -> tuple[Runtime | Shops, ASGIApp, Way | None]:
    """The parts of this worker, the application over them and its short way. With several, returns in each of them.

    Nothing that belongs to one process is open before the fork: no database, no event loop.
    """
    settings = server_settings()
    end_with_parent()
    leave_pandas_out()
    if settings.tenants:
        from serving.shops import Shops  # what a server of one shop has no use for

        shops = Shops(settings)
        _fork(settings, shops.preload)
        return shops, shops.app(), shops.way()
    metrics = Metrics()
    holder = open_holder(settings, metrics)

    def preload() -> None:
        holder.refresh()
        holder.kept = holder.state

    _fork(settings, preload)
    runtime = open_runtime(settings, metrics=metrics, holder=holder)
    return runtime, build_app(runtime), short_way(runtime)


def _fork(settings: Settings, preload: Callable[[], object]) -> None:
    """Return in each of the workers that the settings ask for, with what `preload` loads in memory once."""
    if settings.workers > 1:
        for name in _IMPORTED_LATER:
            importlib.import_module(name)
        preload()
        freeze()
        fork_workers(settings.workers)
