"""The routes that read: each decodes a request, calls one pure function on a state, and encodes the answer."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from serving.at_risk import as_csv, at_risk, csv_parts, customer_page, listing
from serving.exchange import (
    MOST_BYTES_OF_MANY,
    NoQuery,
    as_json,
    decode,
    path_id,
    query,
    read_body,
    reads_gzip,
    with_validator,
)
from serving.keys import now_utc
from serving.metrics import CONTENT_TYPE
from serving.recommend import bought_together, recommend, similar
from serving.runtime import Runtime
from serving.schemas import (
    AtRiskQuery,
    Batch,
    BatchRequest,
    ExportQuery,
    Health,
    ModelsPage,
    PageRequest,
    Readiness,
    RecommendationRequest,
    Recommendations,
)

_recommendation = msgspec.json.Decoder(RecommendationRequest)
_batch = msgspec.json.Decoder(BatchRequest)
_page = msgspec.json.Decoder(PageRequest)
#: Answers of a batch made before other requests have their turn.
_TURN = 10
#: Of the time that an answer may take, the share it may wait for events just written.
_CATCH_UP_SHARE = 0.5


class ProductsQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How many products around one product."""

    k: Annotated[int, msgspec.Meta(ge=1, le=100, description="How many products.")] = 10


def runtime_of(request: Request) -> Runtime:
    """The runtime that the application was built with."""
    runtime: Runtime = request.scope["runtime"]
    return runtime


async def recommendations(request: Request) -> Response:
    """POST /v1/recommendations."""
    body = await read_body(request)
    asked = decode(body, _recommendation)
    query(request, NoQuery)
    runtime = runtime_of(request)
    await _catch_up(runtime)
    return _products(request, _recommend(runtime, asked), dry_run=asked.dry_run)


async def batch_recommendations(request: Request) -> Response:
    """POST /v1/recommendations/batch."""
    asked = decode(await read_body(request, most=MOST_BYTES_OF_MANY), _batch)
    query(request, NoQuery)
    runtime = runtime_of(request)
    await _catch_up(runtime)
    answers = []
    for number, customer in enumerate(asked.customer_ids, start=1):
        one = RecommendationRequest(
            customer_id=customer, placement=asked.placement, k=asked.k, filters=asked.filters, fields=asked.fields
        )
        answers.append(_recommend(runtime, one))
        if number % _TURN == 0:
            await asyncio.sleep(0)
    _count(request, answers, dry_run=asked.dry_run)
    return as_json(Batch(answers))


async def page_recommendations(request: Request) -> Response:
    """POST /v1/recommendations/page: all placements of one page."""
    asked = decode(await read_body(request), _page)
    query(request, NoQuery)
    runtime = runtime_of(request)
    await _catch_up(runtime)
    answers: list[Recommendations] = []
    shown: list[str] = []
    for place in asked.placements:
        filters = place.filters
        if asked.distinct and shown:
            filters = msgspec.structs.replace(filters, exclude=[*filters.exclude, *shown])
        one = RecommendationRequest(
            customer_id=asked.customer_id,
            session_id=asked.session_id,
            session=asked.session,
            cart=asked.cart,
            placement=place.placement,
            k=place.k,
            filters=filters,
            fields=asked.fields,
        )
        answers.append(_recommend(runtime, one))
        shown += [item.product_id for item in answers[-1].items]
    _count(request, answers, dry_run=asked.dry_run)
    return as_json(Batch(answers))


def _recommend(runtime: Runtime, asked: RecommendationRequest) -> Recommendations:
    state, circumstances = runtime.answer_from(
        customer_id=asked.customer_id, session_id=asked.session_id, placement=asked.placement
    )
    return recommend(state, asked, circumstances)


async def _catch_up(runtime: Runtime) -> None:
    """Take in events just written; where that takes long, the answer is made without them."""
    if runtime.feed.is_behind():
        await runtime.feed.catch_up(seconds=runtime.settings.answer_ms / 1000 * _CATCH_UP_SHARE)


async def similar_products(request: Request) -> Response:
    """GET /v1/products/{product_id}/similar."""
    k = query(request, ProductsQuery).k
    state, circumstances = runtime_of(request).answer_from()
    return _products(request, similar(state, path_id(request, "product_id"), circumstances, k=k))


async def products_bought_together(request: Request) -> Response:
    """GET /v1/products/{product_id}/bought-together."""
    k = query(request, ProductsQuery).k
    state, circumstances = runtime_of(request).answer_from()
    return _products(request, bought_together(state, path_id(request, "product_id"), circumstances, k=k))


async def customers_at_risk(request: Request) -> Response:
    """GET /v1/customers/at-risk, as JSON or CSV."""
    asked = query(request, AtRiskQuery)
    runtime = runtime_of(request)
    page = at_risk(runtime.holder.state, asked, runtime.contacts, rested_since=_rested_since(runtime))
    _count_strategy(request, page.strategy)
    as_text = asked.format == "csv" or (asked.format is None and _prefers_csv(request.headers.get("accept", "")))
    if not as_text:
        return with_validator(request, msgspec.json.encode(page), kind="application/json")
    headers = {
        "Content-Disposition": 'attachment; filename="at-risk.csv"',
        "X-Total-Count": str(page.total),
        "X-Strategy": page.strategy,
        "X-Model-Version": str(page.model_version or "none"),
    }
    return with_validator(request, as_csv(page).encode(), kind="text/csv; charset=utf-8", headers=headers)


async def export_at_risk(request: Request) -> Response:
    """GET /v1/customers/at-risk/export: the whole list as CSV, streamed."""
    asked = query(request, ExportQuery)
    runtime = runtime_of(request)
    state, contacts = runtime.holder.state, runtime.contacts
    filters = AtRiskQuery(**msgspec.structs.asdict(asked))
    found = listing(state, filters, contacts, rested_since=_rested_since(runtime))
    _count_strategy(request, found.strategy)
    headers = {
        "Content-Disposition": 'attachment; filename="at-risk.csv"',
        "X-Total-Count": str(len(found.rows)),
        "X-Strategy": found.strategy,
        "X-Model-Version": str(state.models.get("churn") or "none"),
        "Vary": "Accept-Encoding",
    }
    parts = csv_parts(state, found, contacts)
    if reads_gzip(request):
        parts = _compressed(parts)
        headers["Content-Encoding"] = "gzip"
    return StreamingResponse(_in_turn(parts), media_type="text/csv; charset=utf-8", headers=headers)


async def _in_turn(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The parts, other requests having their turn between them."""
    for part in parts:
        yield part
        await asyncio.sleep(0)


def _compressed(parts: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(5, wbits=16 + zlib.MAX_WBITS)
    for part in parts:
        if packed := packer.compress(part):
            yield packed
    yield packer.flush()


def _rested_since(runtime: Runtime) -> datetime:
    return now_utc() - timedelta(days=runtime.settings.contact_rest_days)


async def one_customer(request: Request) -> Response:
    """GET /v1/customers/{customer_id}."""
    query(request, NoQuery)
    runtime = runtime_of(request)
    await _catch_up(runtime)
    customer = path_id(request, "customer_id")
    state, circumstances = runtime.answer_from(customer_id=customer)
    page = customer_page(state, customer, circumstances, runtime.contacts)
    _count(request, [page.next_purchases], dry_run=False)
    return as_json(page)


async def models(request: Request) -> Response:
    """GET /v1/models: which versions answer now."""
    query(request, NoQuery)
    holder = runtime_of(request).holder
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
        pinned=holder.pin,
    )
    return as_json(page)


async def health(request: Request) -> Response:
    """GET /healthz and /livez: the process runs."""
    version = runtime_of(request).holder.state.version
    return as_json(Health(status="empty" if version is None else "ok", scores_version=version))


async def ready(request: Request) -> Response:
    """GET /readyz: the server answers, from what, and what is away. It listens only once its scores are warm."""
    runtime = runtime_of(request)
    version, problems = runtime.holder.state.version, dict(runtime.problems)
    status: Literal["ok", "degraded", "empty"] = "empty" if version is None else "degraded" if problems else "ok"
    return as_json(Readiness(status=status, scores_version=version, problems=problems))


async def metrics(request: Request) -> Response:
    """GET /metrics, for Prometheus."""
    return Response(runtime_of(request).metrics.text(), headers={"Content-Type": CONTENT_TYPE})


async def home_page(_: Request) -> Response:
    """GET /: to the documentation."""
    return RedirectResponse("/docs")


def _products(request: Request, answer: Recommendations, *, dry_run: bool = False) -> Response:
    _count(request, [answer], dry_run=dry_run)
    return as_json(answer)


def _count(request: Request, answers: list[Recommendations], *, dry_run: bool) -> None:
    if dry_run or not answers:
        return
    request.scope["strategy"] = answers[0].strategy
    metrics = runtime_of(request).metrics
    for answer in answers:
        metrics.count_strategy(request.scope["path_template"], answer.strategy, answer.variant or "")


def _count_strategy(request: Request, strategy: str) -> None:
    request.scope["strategy"] = strategy
    runtime_of(request).metrics.count_strategy(request.scope["path_template"], strategy, "")


def _prefers_csv(accept: str) -> bool:
    """Whether CSV stands in an Accept header and JSON does not stand before it."""
    kinds = [part.split(";")[0].strip().lower() for part in accept.split(",")]
    return "text/csv" in kinds and "application/json" not in kinds[: kinds.index("text/csv")]
