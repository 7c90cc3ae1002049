"""The OpenAPI document, made from the types the handlers decode and encode, and the offline page that shows it."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from serving.schemas import (
    AtRiskPage,
    AtRiskQuery,
    CustomerPage,
    Health,
    ModelsPage,
    Problem,
    RecommendationRequest,
    Recommendations,
)

_TYPES = (RecommendationRequest, Recommendations, AtRiskPage, AtRiskQuery, CustomerPage, ModelsPage, Health, Problem)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Regulars API</title>
<link rel="stylesheet" href="/docs/static/swagger-ui.css"></head>
<body><div id="ui"></div><script src="/docs/static/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({url: "/openapi.json", dom_id: "#ui"});</script></body></html>
"""


async def document(_: Request) -> Response:
    """GET /openapi.json."""
    return Response(msgspec.json.encode(openapi()), media_type="application/json")


async def page(_: Request) -> Response:
    """GET /docs: the document to read and try, without any outside address."""
    return HTMLResponse(_PAGE)


@cache
def openapi() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    _, components = msgspec.json.schema_components(_TYPES, ref_template="#/components/schemas/{name}")
    query = components.pop("AtRiskQuery")["properties"]
    k = {"type": "integer", "minimum": 1, "maximum": 100, "default": 10}
    product = [_parameter("product_id", "path", _ID), _parameter("k", "query", k)]
    body = {"required": True, "content": _content("RecommendationRequest")}
    paths = {
        "/v1/recommendations": {
            "post": _operation("Products for a customer, a visit or a cart", "Recommendations") | {"requestBody": body}
        },
        "/v1/products/{product_id}/similar": {
            "get": _operation("Products of the same category", "Recommendations", product)
        },
        "/v1/products/{product_id}/bought-together": {
            "get": _operation("Products often in the same orders", "Recommendations", product)
        },
        "/v1/customers/at-risk": {"get": _at_risk(query)},
        "/v1/customers/{customer_id}": {
            "get": _operation(
                "One customer: scores, reasons, next purchases",
                "CustomerPage",
                [_parameter("customer_id", "path", _ID)],
            )
        },
        "/v1/models": {"get": _operation("Which model versions answer now", "ModelsPage")},
        "/healthz": {"get": _operation("Whether the server runs", "Health", problems=False)},
        "/readyz": {"get": _operation("Whether the server answers", "Health", problems=False)},
    }
    about = {
        "title": "Regulars",
        "version": version("regulars"),
        "description": "What each customer will buy next, and who is about to stop. Every answer says which "
        "strategy and model version gave it; what is unknown gets a plainer answer, never an error.",
    }
    return {"openapi": "3.1.0", "info": about, "paths": paths, "components": {"schemas": components}}


_ID = {"type": "string", "minLength": 1, "maxLength": 200}


def _at_risk(query: dict[str, Any]) -> dict[str, Any]:
    parameters = [_parameter(name, "query", schema) for name, schema in query.items()]
    operation = _operation("Customers at risk, those with most to lose first; JSON or CSV", "AtRiskPage", parameters)
    operation["responses"]["200"]["content"]["text/csv"] = {"schema": {"type": "string"}}
    return operation


def _operation(
    summary: str, answer: str, parameters: list[dict[str, Any]] | None = None, *, problems: bool = True
) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": {"description": "The answer", "content": _content(answer)}}
    if problems:
        problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
        responses["4XX"] = {
            "description": "What is wrong with the request, naming the field",
            "content": {"application/problem+json": problem},
        }
    return {"summary": summary, "parameters": parameters or [], "responses": responses}


def _parameter(name: str, where: str, schema: dict[str, Any]) -> dict[str, Any]:
    described = {key: value for key, value in schema.items() if key != "description"}
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "description": schema.get("description", ""),
        "schema": described,
    }


def _content(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
