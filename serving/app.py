"""The HTTP application, assembled in one readable place."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from swagger_ui_bundle import swagger_ui_path

from serving import problems
from serving.console.routes import CONSOLE_ROUTES
from serving.gate import Gate
from serving.route_table import ROUTES, ApiRoute
from serving.runtime import Runtime
from serving.tracing import Traced

EVERY_ROUTE = (*ROUTES, *CONSOLE_ROUTES)


def build_app(runtime: Runtime, *, routes: Sequence[ApiRoute] = EVERY_ROUTE) -> ASGIApp:
    """The application over one runtime. Every answer, errors too, is JSON, CSV, a page, or problem details."""
    static = Mount("/docs/static", StaticFiles(directory=str(swagger_ui_path)), name="docs-static")
    other = Starlette(routes=[static], exception_handlers={HTTPException: problems.on_http_exception})
    gate: ASGIApp = Gate(other, runtime=runtime, routes=routes)
    if runtime.tracing is not None:
        gate = Traced(gate, runtime.tracing)
    origins = list(runtime.settings.cors_origins)
    if not origins:
        return gate
    # Around the gate, so that the pages that may ask can read a refusal too.
    return CORSMiddleware(
        gate,
        allow_origins=origins,
        allow_methods=["GET", "POST"],
        allow_headers=["authorization", "content-type", "x-api-key", "x-request-id"],
        expose_headers=["x-request-id", "retry-after"],
        max_age=600,
    )
