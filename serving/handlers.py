"""The routes that read: each decodes a request, calls one pure function on a state, and encodes the answer."""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from serving.answering import catch_up, count, runtime_of
from serving.exchange import MOST_BYTES_OF_MANY, NoQuery, as_json, decode, path_id, query, read_body
from serving.metrics import CONTENT_TYPE
from serving.problems import BadRequestError
from serving.quality import grades_of
from serving.questions import AROUND_ONE
from serving.recommend import recommend
from serving.runtime import Runtime
from serving.schemas import (
    Batch,
    BatchRequest,
    Filters,
    Health,
    ModelsPage,
    PageRequest,
    ProductsQuery,
    Question,
    Readiness,
    RecommendationRequest,
    Recommendations,
)

_recommendation = msgspec.json.Decoder(RecommendationRequest)
_batch = msgspec.json.Decoder(BatchRequest)
_page = msgspec.json.Decoder(PageRequest)
#: Answers of a batch made before other requests have their turn.
_TURN = 10


async def recommendations(request: Request) -> Response:
    """POST /v1/recommendations."""
    asked = read_question(await read_body(request))
    query(request, NoQuery)
    runtime = runtime_of(request)
    await catch_up(runtime)
    return _products(request, recommended(runtime, asked), dry_run=asked.dry_run)


def read_question(body: bytes) -> RecommendationRequest:
    """What a body asks. Raises BadRequestError naming the field that is wrong."""
    asked = decode(body, _recommendation)
    _check_question(asked.question, asked.product_id)
    return asked


async def batch_recommendations(request: Request) -> Response:
    """POST /v1/recommendations/batch."""
    asked = decode(await read_body(request, most=MOST_BYTES_OF_MANY), _batch)
    query(request, NoQuery)
    _check_question(asked.question, None)
    runtime = runtime_of(request)
    await catch_up(runtime)
    answers = []
    for number, customer in enumerate(asked.customer_ids, start=1):
        one = RecommendationRequest(
            customer_id=customer,
            placement=asked.placement,
            k=asked.k,
            filters=asked.filters,
            fields=asked.fields,
            question=asked.question,
        )
        answers.append(recommended(runtime, one))
        if number % _TURN == 0:
            await asyncio.sleep(0)
    count(request, answers, dry_run=asked.dry_run)
    return as_json(Batch(answers))


async def page_recommendations(request: Request) -> Response:
    """POST /v1/recommendations/page: all placements of one page."""
    asked = decode(await read_body(request), _page)
    query(request, NoQuery)
    for number, place in enumerate(asked.placements):
        _check_question(place.question, place.product_id, field=f"placements[{number}].product_id")
    runtime = runtime_of(request)
    await catch_up(runtime)
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
            question=place.question,
            product_id=place.product_id,
        )
        answers.append(recommended(runtime, one))
        shown += [item.product_id for item in answers[-1].items]
    count(request, answers, dry_run=asked.dry_run)
    return as_json(Batch(answers))


def recommended(runtime: Runtime, asked: RecommendationRequest) -> Recommendations:
    """The answer as things stand now."""
    if runtime.pseudonyms is not None and asked.customer_id is not None:
        asked = msgspec.structs.replace(asked, customer_id=runtime.known_as(asked.customer_id))
    state, circumstances = runtime.answer_from(
        customer_id=asked.customer_id, session_id=asked.session_id, placement=asked.placement
    )
    return recommend(state, asked, circumstances)


def _check_question(question: Question, product_id: str | None, *, field: str = "product_id") -> None:
    if product_id is None and question in AROUND_ONE:
        raise BadRequestError(f"missing; the question {question} is about one product", field=field, status=422)


async def similar_products(request: Request) -> Response:
    """GET /v1/products/{product_id}/similar."""
    return _products(request, _around(request, "similar"))


async def products_bought_together(request: Request) -> Response:
    """GET /v1/products/{product_id}/bought-together."""
    return _products(request, _around(request, "bought_together"))


def _around(request: Request, question: Question) -> Recommendations:
    asked = query(request, ProductsQuery)
    filters = Filters(
        in_stock=asked.in_stock,
        department=asked.department,
        category=asked.category,
        brand=asked.brand,
        min_price=asked.min_price,
        max_price=asked.max_price,
    )
    one = RecommendationRequest(
        question=question,
        product_id=path_id(request, "product_id"),
        customer_id=asked.customer_id,
        placement=asked.placement,
        k=asked.k,
        filters=filters,
    )
    return recommended(runtime_of(request), one)


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
        grades=grades_of(state),
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
    return as_json(Readiness(status=status_of(runtime), scores_version=version, problems=problems))


def status_of(runtime: Runtime) -> Literal["ok", "degraded", "empty"]:
    """How a shop stands."""
    return "empty" if runtime.holder.state.version is None else "degraded" if runtime.problems else "ok"


async def metrics(request: Request) -> Response:
    """GET /metrics, for Prometheus."""
    return Response(runtime_of(request).metrics.text(), headers={"Content-Type": CONTENT_TYPE})


async def home_page(_: Request) -> Response:
    """GET /: to the documentation."""
    return RedirectResponse("/docs")


def _products(request: Request, answer: Recommendations, *, dry_run: bool = False) -> Response:
    count(request, [answer], dry_run=dry_run)
    return as_json(answer)
