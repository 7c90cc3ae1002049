"""The routes about customers, for the retention team: who is at risk, one customer, who is likely to buy what."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from serving import audiences
from serving.answering import catch_up, count, count_strategy, runtime_of
from serving.at_risk import as_csv, at_risk, csv_parts, customer_page, listing
from serving.exchange import as_json, decode, path_id, query, read_body, reads_gzip, with_validator
from serving.keys import now_utc
from serving.languages import language_of
from serving.problems import BadRequestError
from serving.quality import grade_of, word
from serving.schemas_customers import AtRiskQuery, AudienceQuery, AudienceRequest, CustomerQuery, ExportQuery

_audience = msgspec.json.Decoder(AudienceRequest)


async def audience(request: Request) -> Response:
    """POST /v1/audiences, as JSON or CSV."""
    asked = decode(await read_body(request), _audience)
    form = query(request, AudienceQuery).format
    named = [asked.product_id, asked.category, asked.department, asked.brand]
    if sum(one is not None for one in named) != 1:
        detail = "name exactly one of product_id, category, department, brand"
        raise BadRequestError(detail, field="product_id", status=422)
    runtime = runtime_of(request)
    state, contacts, now = runtime.holder.state, runtime.contacts, now_utc()
    found = await asyncio.to_thread(
        audiences.audience, state, asked, contacts, now=now, rest_days=runtime.settings.contact_rest_days
    )
    count_strategy(request, found.strategy)
    if not wants_csv(request, form):
        return as_json(found)
    headers = {
        "Content-Disposition": 'attachment; filename="audience.csv"',
        "X-Total-Count": str(found.total),
        "X-Strategy": found.strategy,
        "X-Model-Version": str(found.model_version or "none"),
        "X-Prediction-Grade": word(found.grade),
    }
    return Response(audiences.as_csv(found), media_type="text/csv; charset=utf-8", headers=headers)


async def customers_at_risk(request: Request) -> Response:
    """GET /v1/customers/at-risk, as JSON or CSV."""
    asked = query(request, AtRiskQuery)
    asked = msgspec.structs.replace(asked, lang=language_of(request, asked.lang))
    runtime = runtime_of(request)
    rest_days = runtime.settings.contact_rest_days
    page = at_risk(runtime.holder.state, asked, runtime.contacts, now=now_utc(), rest_days=rest_days)
    count_strategy(request, page.strategy)
    if not wants_csv(request, asked.format):
        return with_validator(request, msgspec.json.encode(page), kind="application/json")
    headers = {
        "Content-Disposition": 'attachment; filename="at-risk.csv"',
        "X-Total-Count": str(page.total),
        "X-Strategy": page.strategy,
        "X-Model-Version": str(page.model_version or "none"),
        "X-Prediction-Grade": word(page.grade),
    }
    return with_validator(request, as_csv(page).encode(), kind="text/csv; charset=utf-8", headers=headers)


async def export_at_risk(request: Request) -> Response:
    """GET /v1/customers/at-risk/export: the whole list as CSV, streamed."""
    asked = query(request, ExportQuery)
    runtime = runtime_of(request)
    state, contacts = runtime.holder.state, runtime.contacts
    filters = AtRiskQuery(**msgspec.structs.asdict(asked))
    found = listing(state, filters, contacts, now=now_utc(), rest_days=runtime.settings.contact_rest_days)
    count_strategy(request, found.strategy)
    headers = {
        "Content-Disposition": 'attachment; filename="at-risk.csv"',
        "X-Total-Count": str(len(found.rows)),
        "X-Strategy": found.strategy,
        "X-Model-Version": str(state.models.get("churn") or "none"),
        "X-Prediction-Grade": word(grade_of(state, "churn")),
        "Vary": "Accept-Encoding, Accept-Language",
    }
    parts = csv_parts(state, found, contacts, lang=language_of(request, asked.lang))
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


async def one_customer(request: Request) -> Response:
    """GET /v1/customers/{customer_id}."""
    asked = query(request, CustomerQuery)
    runtime = runtime_of(request)
    await catch_up(runtime)
    customer = runtime.known_as(path_id(request, "customer_id"))
    online = await runtime.online.read(customer, now=now_utc(), seconds=runtime.settings.answer_ms / 1000)
    state, circumstances = runtime.answer_from(customer_id=customer)
    lang = language_of(request, asked.lang)
    page = customer_page(state, customer, circumstances, runtime.contacts, online=online, lang=lang)
    count(request, [page.next_purchases])
    return as_json(page)


def wants_csv(request: Request, form: str | None) -> bool:
    """Whether the answer is to be CSV: as asked, else as the Accept header says."""
    return form == "csv" or (form is None and _prefers_csv(request.headers.get("accept", "")))


def _prefers_csv(accept: str) -> bool:
    """Whether CSV stands in an Accept header and JSON does not stand before it."""
    kinds = [part.split(";")[0].strip().lower() for part in accept.split(",")]
    return "text/csv" in kinds and "application/json" not in kinds[: kinds.index("text/csv")]
