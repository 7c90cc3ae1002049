"""The OpenAPI document, made from the types the handlers decode and encode, and the offline page that shows it."""

from __future__ import annotations

import re
from functools import cache
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from features.release import release
from serving import openapi_examples as examples
from serving.event_types import Event, EventBatch, EventsAnswer, EventsQuery, IdentifyAnswer, IdentifyRequest
from serving.exchange import with_validator
from serving.feedback import FeedbackPage, FeedbackQuery
from serving.outcomes import Outcome, OutcomeBatch, OutcomesAnswer
from serving.schemas import (
    Batch,
    BatchRequest,
    Health,
    ModelsPage,
    PageRequest,
    Problem,
    ProductsQuery,
    Readiness,
    RecommendationRequest,
    Recommendations,
)
from serving.schemas_contact import CampaignPage, ContactPlanPage, ContactPlanQuery, ContactPlanRequest
from serving.schemas_customers import (
    AtRiskPage,
    AtRiskQuery,
    AudiencePage,
    AudienceQuery,
    AudienceRequest,
    CustomerPage,
    CustomerQuery,
    ExportQuery,
)
from serving.stock import StockAnswer, StockBatch, Stocked

_TYPES = (
    *(RecommendationRequest, Recommendations, BatchRequest, Batch, PageRequest),
    *(Event, EventBatch, EventsAnswer, EventsQuery, IdentifyRequest, IdentifyAnswer),
    *(Outcome, OutcomeBatch, OutcomesAnswer, FeedbackQuery, FeedbackPage),
    *(Stocked, StockBatch, StockAnswer),
    *(ContactPlanRequest, ContactPlanQuery, ContactPlanPage, CampaignPage),
    *(ProductsQuery, AudienceRequest, AudienceQuery, AudiencePage),
    *(AtRiskPage, AtRiskQuery, ExportQuery, CustomerQuery, CustomerPage, ModelsPage, Health, Readiness, Problem),
)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Regulars API</title>
<link rel="stylesheet" href="/docs/static/swagger-ui.css"></head>
<body><div id="ui"></div><script src="/docs/static/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script></body></html>
"""
_SCRIPT = 'SwaggerUIBundle({url: "/openapi.json", dom_id: "#ui"});\n'


async def document(request: Request) -> Response:
    """GET /openapi.json."""
    return with_validator(request, _encoded(), kind="application/json", of_shop=False)


async def page(_: Request) -> Response:
    """GET /docs: the document to read and try, without any outside address."""
    return HTMLResponse(_PAGE)


async def script(_: Request) -> Response:
    """GET /docs/start.js; apart from the page, whose policy allows no script in it."""
    return Response(_SCRIPT, media_type="text/javascript")


@cache
def _encoded() -> bytes:
    return msgspec.json.encode(openapi())


class _Operation(NamedTuple):
    """One route as it is described; types are named as in the schemas."""

    method: str
    path: str
    summary: str
    answer: str
    body: tuple[str, ...] = ()
    query: str | None = None
    errors: tuple[int, ...] = ()
    csv: bool = False


_KEY, _BODY, _STORE, _QUERY, _TAKEN = (401, 403, 429), (400, 413, 415, 422), (503,), (422,), (409,)
_PRODUCT = "/v1/products/{product_id}"
_OPERATIONS = (
    _Operation(
        *("POST", "/v1/recommendations", "Products for a question, a customer, a visit or a cart", "Recommendations"),
        body=("RecommendationRequest",),
        errors=(*_KEY, *_BODY),
    ),
    _Operation(
        *("POST", "/v1/recommendations/batch", "The same for up to 1,000 customers", "Batch"),
        body=("BatchRequest",),
        errors=(*_KEY, *_BODY),
    ),
    _Operation(
        *("POST", "/v1/recommendations/page", "All placements of one page in one call", "Batch"),
        body=("PageRequest",),
        errors=(*_KEY, *_BODY),
    ),
    _Operation(
        *("GET", f"{_PRODUCT}/similar", "Products of the same kind, nearest first", "Recommendations"),
        query="ProductsQuery",
        errors=(*_KEY, *_QUERY),
    ),
    _Operation(
        *("GET", f"{_PRODUCT}/bought-together", "Products often in the same orders", "Recommendations"),
        query="ProductsQuery",
        errors=(*_KEY, *_QUERY),
    ),
    _Operation(
        *("POST", "/v1/events", "Live events, on disk once answered; one, or up to 1,000", "EventsAnswer"),
        body=("Event", "EventBatch"),
        query="EventsQuery",
        errors=(*_KEY, *_BODY, *_STORE),
    ),
    _Operation(
        *("POST", "/v1/sessions/{session_id}/customer", "Whose a visit is, once they sign in", "IdentifyAnswer"),
        body=("IdentifyRequest",),
        errors=(*_KEY, *_BODY, *_STORE),
    ),
    _Operation(
        *("PUT", "/v1/stock", "What can be sold from now on; one product, or up to 1,000", "StockAnswer"),
        body=("Stocked", "StockBatch"),
        errors=(*_KEY, *_BODY, *_STORE),
    ),
    _Operation(
        *("GET", "/v1/customers/at-risk", "Customers at risk, those with most to lose first", "AtRiskPage"),
        query="AtRiskQuery",
        errors=(*_KEY, *_QUERY),
        csv=True,
    ),
    _Operation(
        *("GET", "/v1/customers/at-risk/export", "The whole list as CSV, streamed", ""),
        query="ExportQuery",
        errors=(*_KEY, *_QUERY),
        csv=True,
    ),
    _Operation(
        *("GET", "/v1/customers/{customer_id}", "One customer: scores, reasons, next purchases", "CustomerPage"),
        query="CustomerQuery",
        errors=(*_KEY, *_QUERY),
    ),
    _Operation(
        *("POST", "/v1/audiences", "The customers most likely to buy a product, or of a category", "AudiencePage"),
        body=("AudienceRequest",),
        query="AudienceQuery",
        errors=(*_KEY, *_BODY),
        csv=True,
    ),
    _Operation(
        *("POST", "/v1/contact-plans", "Whom to contact for the greatest expected profit", "ContactPlanPage"),
        body=("ContactPlanRequest",),
        query="ContactPlanQuery",
        errors=(*_KEY, *_BODY, *_TAKEN, *_STORE),
        csv=True,
    ),
    _Operation(
        *("GET", "/v1/contact-plans/{campaign_id}", "A recorded plan and what came of it", "CampaignPage"),
        errors=(*_KEY, *_QUERY, *_STORE),
    ),
    _Operation(
        *("POST", "/v1/outcomes", "What came of contacts; one, or up to 1,000", "OutcomesAnswer"),
        body=("Outcome", "OutcomeBatch"),
        errors=(*_KEY, *_BODY, *_STORE),
    ),
    _Operation(
        *("GET", "/v1/feedback", "Click rate, conversion and coverage; experiments", "FeedbackPage"),
        query="FeedbackQuery",
        errors=(*_KEY, *_QUERY, *_STORE),
    ),
    _Operation(*("GET", "/v1/models", "Which model versions answer now", "ModelsPage"), errors=(*_KEY, *_QUERY)),
    _Operation("GET", "/healthz", "Whether the server runs", "Health"),
    _Operation("GET", "/livez", "The same", "Health"),
    _Operation("GET", "/readyz", "Whether the server answers, and what is away", "Readiness"),
)


@cache
def openapi() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    _, components = msgspec.json.schema_components(_TYPES, ref_template="#/components/schemas/{name}")
    queries = {
        name: components.pop(name)["properties"]
        for name in (
            "AtRiskQuery",
            "ExportQuery",
            "CustomerQuery",
            "EventsQuery",
            "FeedbackQuery",
            "ProductsQuery",
            "AudienceQuery",
            "ContactPlanQuery",
        )
    }
    paths: dict[str, dict[str, Any]] = {}
    for operation in _OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation, queries)
    about = {
        "title": "Regulars",
        "version": release(),
        "description": "What each customer will buy next, and who is about to stop. Every answer says which "
        "strategy and model version gave it; what is unknown gets a plainer answer, never an error.",
    }
    keys = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    return {
        "openapi": "3.1.0",
        "info": about,
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": keys},
    }


_ID = {"type": "string", "minLength": 1, "maxLength": 200}
_SESSION = {**_ID, "pattern": r"^[^\s\x00-\x1f\x7f/]([^\x00-\x1f\x7f/]*[^\s\x00-\x1f\x7f/])?$"}


def _described(operation: _Operation, queries: dict[str, Any]) -> dict[str, Any]:
    parameters = [
        _parameter(name, "path", _SESSION if name == "session_id" else _ID)
        for name in ("product_id", "customer_id", "session_id", "campaign_id")
        if f"{{{name}}}" in operation.path
    ]
    if operation.query is not None:
        parameters += [_parameter(name, "query", schema) for name, schema in queries[operation.query].items()]
    content = _content(operation.answer) if operation.answer else {}
    if operation.csv:
        content["text/csv"] = {"schema": {"type": "string"}, "example": examples.CSV}
    responses: dict[str, Any] = {"200": {"description": "The answer", "content": content}}
    if operation.csv and operation.answer and operation.method == "GET":
        responses["304"] = {"description": "As the client has it already (If-None-Match)"}
    for status in sorted(operation.errors):
        responses[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {
                "application/problem+json": {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "example": examples.problem(status, operation.path),
                }
            },
        }
    described: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": operation.method.lower() + re.sub(r"[{}]", "", operation.path).replace("/", "_"),
        "parameters": parameters,
        "responses": responses,
    }
    if operation.body:
        described["requestBody"] = {"required": True, "content": _body(operation.body)}
    if 401 in operation.errors:
        described["security"] = [{"bearer": []}, {"header": []}, {}]
    return described


def _parameter(name: str, where: str, schema: dict[str, Any]) -> dict[str, Any]:
    described = {key: value for key, value in schema.items() if key != "description"}
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "description": schema.get("description", ""),
        "schema": described,
    }


def _body(names: tuple[str, ...]) -> dict[str, Any]:
    schemas = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    shown = {name: {"value": examples.OF[name]} for name in names}
    return {"application/json": {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}, "examples": shown}}


def _content(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}, "example": examples.OF[name]}}
