"""The routes: each decodes a request, calls one pure function on the state in force, and encodes the answer."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from serving.at_risk import as_csv, at_risk, customer_page
from serving.metrics import CONTENT_TYPE
from serving.problems import BadRequestError, from_validation
from serving.recommend import bought_together, recommend, similar
from serving.reload import Holder
from serving.schemas import AtRiskQuery, Health, ModelsPage, RecommendationRequest, Recommendations
from serving.state import State

T = TypeVar("T")
MAX_BODY_BYTES = 256 * 1024
MAX_ID = 200
_recommendation = msgspec.json.Decoder(RecommendationRequest)


class ProductsQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How many products around one product."""

    k: Annotated[int, msgspec.Meta(ge=1, le=100, description="How many products.")] = 10


class NoQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """No parameters."""


def holder_of(request: Request) -> Holder:
    """The holder that the application was built with."""
    holder: Holder = request.app.state.holder
    return holder


def _state(request: Request) -> State:
    return holder_of(request).state


async def recommendations(request: Request) -> Response:
    """POST /v1/recommendations."""
    body = await _body(request)
    try:
        asked = _recommendation.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _invalid(error) from None
    _query(request, NoQuery)
    return _products(request, recommend(_state(request), asked, request_id=_new_id()))


async def similar_products(request: Request) -> Response:
    """GET /v1/products/{product_id}/similar."""
    k = _query(request, ProductsQuery).k
    return _products(request, similar(_state(request), _path_id(request, "product_id"), k=k, request_id=_new_id()))


async def products_bought_together(request: Request) -> Response:
    """GET /v1/products/{product_id}/bought-together."""
    k = _query(request, ProductsQuery).k
    product = _path_id(request, "product_id")
    return _products(request, bought_together(_state(request), product, k=k, request_id=_new_id()))


async def customers_at_risk(request: Request) -> Response:
    """GET /v1/customers/at-risk, as JSON or CSV."""
    query = _query(request, AtRiskQuery)
    page = at_risk(_state(request), query)
    _count(request, page.strategy)
    as_text = query.format == "csv" or (query.format is None and _prefers_csv(request.headers.get("accept", "")))
    if not as_text:
        return _json(page)
    headers = {
        "Content-Disposition": 'attachment; filename="at-risk.csv"',
        "X-Total-Count": str(page.total),
        "X-Strategy": page.strategy,
        "X-Model-Version": str(page.model_version or "none"),
    }
    return Response(as_csv(page), media_type="text/csv; charset=utf-8", headers=headers)


async def one_customer(request: Request) -> Response:
    """GET /v1/customers/{customer_id}."""
    _query(request, NoQuery)
    page = customer_page(_state(request), _path_id(request, "customer_id"), request_id=_new_id())
    _count(request, page.next_purchases.strategy)
    return _json(page)


async def models(request: Request) -> Response:
    """GET /v1/models: which versions answer now."""
    holder = holder_of(request)
    state = holder.state
    page = ModelsPage(
        models=dict(state.models),
        scores_version=state.version,
        as_of=state.as_of,
        created_at=state.about.get("created_at"),
        lake_version=state.about.get("lake_version"),
        customers=len(state.rows),
        products=0 if state.catalogue is None else len(state.catalogue.ids),
        problem=holder.problem,
    )
    return _json(page)


async def health(request: Request) -> Response:
    """GET /healthz and /readyz: the server answers even with nothing scored, and says that it is empty."""
    version = _state(request).version
    return _json(Health(status="empty" if version is None else "ok", scores_version=version))


async def metrics(request: Request) -> Response:
    """GET /metrics, for Prometheus."""
    return Response(holder_of(request).metrics.text(), headers={"Content-Type": CONTENT_TYPE})


async def home_page(_: Request) -> Response:
    """GET /: to the documentation."""
    return RedirectResponse("/docs")


def _products(request: Request, answer: Recommendations) -> Response:
    _count(request, answer.strategy)
    return _json(answer)


def _count(request: Request, strategy: str) -> None:
    holder_of(request).metrics.strategies.labels(route=request.scope["path_template"], strategy=strategy).inc()


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _new_id() -> str:
    return uuid.uuid4().hex


def _path_id(request: Request, name: str) -> str:
    value: str = request.path_params[name]
    if len(value) > MAX_ID:
        raise BadRequestError(f"longer than {MAX_ID} characters", field=name, status=422)
    return value


def _query(request: Request, kind: type[T]) -> T:
    pairs = request.query_params.multi_items()
    given = dict(pairs)
    if len(given) != len(pairs):
        twice = next(name for name, _ in pairs if len(request.query_params.getlist(name)) > 1)
        raise BadRequestError("given more than once", field=twice, status=422)
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise from_validation(error) from None


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise BadRequestError(f"The body is larger than {MAX_BODY_BYTES} bytes.", status=413)
        parts.append(part)
    return b"".join(parts)


def _invalid(error: msgspec.DecodeError | UnicodeDecodeError) -> BadRequestError:
    if isinstance(error, UnicodeDecodeError):
        return BadRequestError("The body is not UTF-8.", status=400)
    return from_validation(error)


def _prefers_csv(accept: str) -> bool:
    """Whether CSV stands in an Accept header and JSON does not stand before it."""
    kinds = [part.split(";")[0].strip().lower() for part in accept.split(",")]
    return "text/csv" in kinds and "application/json" not in kinds[: kinds.index("text/csv")]
