"""The HTTP application, assembled in one readable place."""

from __future__ import annotations

import logging
import time

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from swagger_ui_bundle import swagger_ui_path

from serving import handlers, openapi, problems
from serving.reload import Holder

log = logging.getLogger("regulars.serving")

ROUTES = (
    ("POST", "/v1/recommendations", handlers.recommendations),
    ("GET", "/v1/products/{product_id}/similar", handlers.similar_products),
    ("GET", "/v1/products/{product_id}/bought-together", handlers.products_bought_together),
    ("GET", "/v1/customers/at-risk", handlers.customers_at_risk),
    ("GET", "/v1/customers/{customer_id}", handlers.one_customer),
    ("GET", "/v1/models", handlers.models),
    ("GET", "/healthz", handlers.health),
    ("GET", "/livez", handlers.health),
    ("GET", "/readyz", handlers.health),
    ("GET", "/metrics", handlers.metrics),
    ("GET", "/openapi.json", openapi.document),
    ("GET", "/docs", openapi.page),
    ("GET", "/", handlers.home_page),
)


def build_app(holder: Holder) -> Starlette:
    """The application over one holder. Every answer, errors too, is JSON, CSV, or problem details."""
    routes: list[BaseRoute] = [Route(path, endpoint, methods=[method]) for method, path, endpoint in ROUTES]
    routes.append(Mount("/docs/static", StaticFiles(directory=str(swagger_ui_path)), name="docs-static"))
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Measure, holder=holder, routes=routes)],
        exception_handlers={
            HTTPException: problems.on_http_exception,
            problems.BadRequestError: problems.on_bad_request,
            Exception: _on_defect,
        },
    )
    app.state.holder = holder
    return app


async def _on_defect(request: Request, error: Exception) -> Response:
    log.error("a defect at %s", request.url.path, exc_info=error)
    return problems.respond(500, "A defect of the server; its log has the details.")


class Measure:
    """Counts and times each request under its route's template, so that ids never become label values."""

    def __init__(self, app: ASGIApp, *, holder: Holder, routes: list[BaseRoute]) -> None:
        self.app = app
        self.metrics = holder.metrics
        self.routes = [route for route in routes if isinstance(route, Route)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        route = scope["path_template"] = self._template(scope)
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            self.metrics.requests.labels(route=route, method=_method(scope), status=status).inc()
            self.metrics.seconds.labels(route=route).observe(time.perf_counter() - started)

    def _template(self, scope: Scope) -> str:
        for route in self.routes:
            if route.path_regex.match(scope["path"]):
                return route.path
        return "other"


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in {"GET", "HEAD", "POST"} else "other"
