"""What answers, in a server of several shops, for whoever shows the key of none: a shop that has nothing.

Its data home is a folder where nothing is ever loaded and no key is ever made, so that whatever is asked of it there is
nothing to tell. The documentation and the login are the same for every shop, and are found here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from features.settings import Settings
from serving.app import build_app
from serving.console.pages import public
from serving.console.routes import CONSOLE_ROUTES
from serving.console.visit import Visit
from serving.database import StoreAwayError
from serving.exchange import as_json
from serving.keys import KeyRing
from serving.metrics import Metrics
from serving.route_table import PUBLIC, ROUTES
from serving.runtime import Runtime, open_runtime
from serving.schemas import Health, Readiness, ShopStatus

FOLDER = "vacant"
#: No shop has this name.
NOBODY = ""
_OPEN = frozenset({"/console", "/console/login", "/console/looks", "/console/static/{name:path}"})


@dataclass(frozen=True)
class Door:
    """`app` answers for nobody's shop, `closed` for a shop that is not open."""

    runtime: Runtime
    app: ASGIApp
    closed: ASGIApp


def open_door(server: Settings, statuses: Callable[[], Mapping[str, ShopStatus]]) -> Door:
    """The door of a server of several shops; `statuses` says how each stands. Call it in the process that answers."""
    settings = server.model_copy(update={"home": server.home / FOLDER, "tenant": NOBODY, "tenants": {}})
    runtime = open_runtime(settings, metrics=Metrics(NOBODY), shared=True)
    runtime.ring = KeyRing([], exist=True, tenant=NOBODY)

    async def health(_: Request) -> Response:
        return as_json(Health(status="ok", scores_version=None))

    async def ready(_: Request) -> Response:
        return as_json(_readiness(statuses()))

    here = {"/healthz": health, "/livez": health, "/readyz": ready}
    routes = [route._replace(handler=here.get(route.path, route.handler)) for route in ROUTES]
    shut = [route if route.scopes == PUBLIC else route._replace(handler=_away, scopes=PUBLIC) for route in routes]
    pages = [route if route.path in _OPEN else route._replace(handler=public(_away_page)) for route in CONSOLE_ROUTES]
    return Door(
        runtime,
        app=build_app(runtime, routes=(*routes, *CONSOLE_ROUTES)),
        closed=build_app(runtime, routes=(*shut, *pages)),
    )


def _readiness(statuses: Mapping[str, ShopStatus]) -> Readiness:
    """Of all shops: how each stands, and nothing of what is in it; that is told to whoever shows its key."""
    all_of = set(statuses.values())
    status: Literal["ok", "degraded", "empty"] = (
        "ok" if all_of == {"ok"} else "empty" if all_of == {"empty"} else "degraded"
    )
    return Readiness(status=status, scores_version=None, problems={}, tenants=dict(statuses))


async def _away(_: Request) -> Response:
    raise StoreAwayError("the shop is not open now; the server's log says why")


async def _away_page(_: Visit) -> Response:
    raise StoreAwayError("the shop is not open now; the server's log says why")
