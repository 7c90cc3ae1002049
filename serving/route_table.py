"""Every route with the handler that answers it and the keys that may ask: what the server does, on one page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from serving import handlers, handlers_contacts, handlers_customers, handlers_events, openapi
from serving.scopes import KeyScope

#: Anybody, without a key.
PUBLIC: frozenset[KeyScope] = frozenset()
SITE = frozenset({KeyScope.SITE, KeyScope.ADMIN})
#: Names customers' scores: never for the key of a site.
RETENTION = frozenset({KeyScope.RETENTION, KeyScope.ADMIN})
#: Changes what every answer may hold, so a key that stands in pages may not.
STOCK = frozenset({KeyScope.STOCK, KeyScope.ADMIN})
ADMIN = frozenset({KeyScope.ADMIN})
ANY = frozenset(KeyScope)


class ApiRoute(NamedTuple):
    """One route. `scopes` are the scopes of keys that may ask; empty: anybody may."""

    method: str
    path: str
    handler: Callable[[Request], Awaitable[Response]]
    scopes: frozenset[KeyScope]


ROUTES = (
    ApiRoute("POST", "/v1/recommendations", handlers.recommendations, SITE),
    ApiRoute("POST", "/v1/recommendations/batch", handlers.batch_recommendations, SITE),
    ApiRoute("POST", "/v1/recommendations/page", handlers.page_recommendations, SITE),
    ApiRoute("GET", "/v1/products/{product_id}/similar", handlers.similar_products, SITE),
    ApiRoute("GET", "/v1/products/{product_id}/bought-together", handlers.products_bought_together, SITE),
    ApiRoute("POST", "/v1/events", handlers_events.events, SITE),
    ApiRoute("POST", "/v1/sessions/{session_id}/customer", handlers_events.identify, SITE),
    ApiRoute("PUT", "/v1/stock", handlers_events.in_stock, STOCK),
    ApiRoute("GET", "/v1/customers/at-risk", handlers_customers.customers_at_risk, RETENTION),
    ApiRoute("GET", "/v1/customers/at-risk/export", handlers_customers.export_at_risk, RETENTION),
    ApiRoute("GET", "/v1/customers/{customer_id}", handlers_customers.one_customer, RETENTION),
    ApiRoute("POST", "/v1/audiences", handlers_customers.audience, RETENTION),
    ApiRoute("POST", "/v1/contact-plans", handlers_contacts.make_plan, RETENTION),
    ApiRoute("GET", "/v1/contact-plans/{campaign_id}", handlers_contacts.campaign, RETENTION),
    ApiRoute("POST", "/v1/outcomes", handlers_events.outcome, RETENTION),
    ApiRoute("GET", "/v1/feedback", handlers_events.what_came_of_it, ADMIN),
    ApiRoute("GET", "/v1/models", handlers.models, ANY),
    ApiRoute("GET", "/healthz", handlers.health, PUBLIC),
    ApiRoute("GET", "/livez", handlers.health, PUBLIC),
    ApiRoute("GET", "/readyz", handlers.ready, PUBLIC),
    ApiRoute("GET", "/metrics", handlers.metrics, ADMIN),
    ApiRoute("GET", "/openapi.json", openapi.document, PUBLIC),
    ApiRoute("GET", "/docs", openapi.page, PUBLIC),
    ApiRoute("GET", "/docs/start.js", openapi.script, PUBLIC),
    ApiRoute("GET", "/", handlers.home_page, PUBLIC),
)
