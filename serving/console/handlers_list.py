"""The list of customers at risk: the page, a customer's spend on it, its export, its saved views."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Annotated, Any

from msgspec import Meta, Struct
from numpy.typing import NDArray
from starlette.responses import Response, StreamingResponse

from serving.answering import count_strategy
from serving.console.attributes import Attribute, attributes
from serving.console.export import MOST_IN_WORKBOOK, csv_header, csv_rows, workbook_of
from serving.console.forms import asked_of
from serving.console.handlers_shop import group_choices, insight_of
from serving.console.history import lake_file, monthly_spend
from serving.console.list_query import ME, NOBODY, SIZES, ListQuery
from serving.console.the_list import Found, Line, agents, find, ids_of, lines, reason_masks
from serving.console.views import SavedViews
from serving.console.visit import Visit
from serving.console.words import REASON_TITLES, Words, words
from serving.problems import BadRequestError
from serving.quality import grade_of
from serving.recommend import recommend
from serving.schemas import Item, RecommendationRequest
from training.life_stages import LAPSED, LOST, STAGES

MODEL = "churn"
#: Stages of those who still count as active: only they are on the list.
ACTIVE_STAGES = tuple(stage for stage in STAGES if stage not in (LAPSED, LOST))
_ROWS_AT_ONCE = 250
_FORMS = {"csv": "text/csv; charset=utf-8", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}


class _Export(Struct, frozen=True):
    format: Annotated[str, Meta(pattern="^(csv|xlsx)$")] = "csv"


class _View(Struct, frozen=True):
    name: Annotated[str, Meta(min_length=1, max_length=100)]
    query: Annotated[str, Meta(max_length=2000)] = ""


class _Gone(Struct, frozen=True):
    view_id: Annotated[str, Meta(max_length=40)]


async def the_page(visit: Visit) -> Response:
    """GET /console/at-risk: one page of the list."""
    asked, found = await asked_and_found(visit)
    last_page = max(1, -(-len(found.rows) // asked.size))
    if asked.page > last_page:
        asked, found = await asked_and_found(visit, page=last_page)
    count_strategy(visit.request, found.listing.strategy)
    shown = found.rows[(asked.page - 1) * asked.size :][: asked.size]
    views = await asyncio.to_thread(SavedViews(visit.runtime.database).all)
    return visit.page(
        "at_risk.html",
        asked=asked,
        found=found,
        lines=await lines_of(visit, shown),
        first=(asked.page - 1) * asked.size + 1,
        last_page=last_page,
        views=views,
        reasons={name: REASON_TITLES[name] for name in reason_masks(visit.state) if name in REASON_TITLES},
        agents=[one for one in agents(visit.contacts) if one != visit.who],
        me=ME,
        nobody=NOBODY,
        sizes=SIZES,
        attributes=await attributes_of(visit),
        groups=group_choices(await insight_of(visit), visit.lang),
        stages=ACTIVE_STAGES,
        backtest=backtest_of(visit, MODEL),
        grade=grade_of(visit.state, MODEL),
    )


async def asked_and_found(visit: Visit, *, page: int | None = None) -> tuple[ListQuery, Found]:
    """What the address asks for, and whom that finds."""
    asked = asked_of(visit.request, ListQuery)
    if not asked.is_reason_known:
        raise BadRequestError(f"there is no reason '{asked.reason}'", field="reason", status=422)
    if page is not None:
        asked = ListQuery(**{name: getattr(asked, name) for name in asked.__struct_fields__} | {"page": page})
    found = await asyncio.to_thread(
        find,
        visit.state,
        asked,
        visit.contacts,
        who=visit.who,
        now=visit.now,
        rest_days=visit.runtime.settings.contact_rest_days,
        lang=visit.lang,
        insight=await insight_of(visit) if asked.groups else None,
        known=await attributes_of(visit) if asked.attribute else None,
    )
    return asked, found


async def attributes_of(visit: Visit) -> Mapping[str, Attribute]:
    """What the shop's own file of customers says of them."""
    return await asyncio.to_thread(attributes, (visit.state, visit.runtime.holder.home))


async def lines_of(visit: Visit, rows: NDArray[Any]) -> list[Line]:
    """The customers of those rows as the list shows them, each with what to offer next."""
    offers = await asyncio.to_thread(next_purchases, visit, ids_of(visit.state, rows))
    return lines(visit.state, rows, visit.contacts, lang=visit.lang, next_purchases=offers)


def next_purchases(visit: Visit, customers: list[str]) -> dict[str, Item | None]:
    """What the recommender puts first for each customer, as it would on the site now."""
    offers: dict[str, Item | None] = {}
    for customer in customers:
        state, circumstances = visit.runtime.answer_from(customer_id=customer)
        answer = recommend(state, RecommendationRequest(customer_id=customer, k=1, dry_run=True), circumstances)
        offers[customer] = answer.items[0] if answer.items else None
    return offers


def backtest_of(visit: Visit, model: str) -> dict[str, Any] | None:
    """What the version behind the scores reached in its back-test; None of scores made by an earlier release."""
    found: dict[str, Any] | None = visit.state.about.get("backtests", {}).get(model)
    return found


async def spend(visit: Visit) -> Response:
    """GET /console/at-risk/spend: the spend of each customer of a page, put where the page waits for it."""
    asked, found = await asked_and_found(visit)
    shown = found.rows[(asked.page - 1) * asked.size :][: asked.size]
    return await _spend_part(visit, ids_of(visit.state, shown))


async def _spend_part(visit: Visit, customers: list[str]) -> Response:
    file = lake_file(visit.state, visit.runtime.holder.home)
    until = (visit.state.scored_at or visit.now) - timedelta(microseconds=1)
    spent: Mapping[str, list[float]] = {}
    if file is not None and customers:
        spent = await asyncio.to_thread(monthly_spend, file, customers, until=until)
    return visit.page("spend_part.html", customers=customers, spent=spent)


async def export(visit: Visit) -> Response:
    """GET /console/at-risk/export: every customer of the list, in its order, in the columns and words of the page."""
    form = asked_of(visit.request, _Export).format
    asked, found = await asked_and_found(visit)
    told, about = words(visit.lang), about_list(visit, asked, found)
    name = f"at-risk-{(visit.state.as_of or 'nothing')[:10]}.{form}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Total-Count": str(len(found.rows))}
    if form == "csv":
        parts = _csv_parts(visit, found, about, told)
        return StreamingResponse(parts, media_type=_FORMS[form], headers=headers)
    if len(found.rows) > MOST_IN_WORKBOOK:
        detail = told.say(
            "A workbook holds {most} customers at most. Filter the list, or take CSV.", most=f"{MOST_IN_WORKBOOK:,}"
        )
        raise BadRequestError(detail, status=422)
    every = await lines_of(visit, found.rows)
    content = await asyncio.to_thread(workbook_of, every, about, told)
    return Response(content, media_type=_FORMS[form], headers=headers)


async def _csv_parts(visit: Visit, found: Found, about: dict[str, str], told: Words) -> AsyncIterator[bytes]:
    """The list in parts, so that its length costs no memory and other requests have their turn."""
    yield csv_header(about, told)
    for start in range(0, len(found.rows), _ROWS_AT_ONCE):
        part = await lines_of(visit, found.rows[start : start + _ROWS_AT_ONCE])
        yield csv_rows(part, about, told)


def about_list(visit: Visit, asked: ListQuery, found: Found) -> dict[str, str]:
    """What must be known to read an exported list: of when it is, by which model, how it was filtered."""
    told = words(visit.lang)
    grade = grade_of(visit.state, MODEL)
    version = visit.state.models.get(MODEL)
    return {
        told.say("Scores as of"): visit.state.as_of or "",
        told.say("Churn model, version"): "" if version is None else str(version),
        told.say("Predictions are"): told.say("not known") if grade is None else told.say(grade.grade),
        told.say("Currency"): str(visit.state.about.get("currency") or ""),
        told.say("Customers"): str(len(found.rows)),
        told.say("Filters"): asked.address(page=1) or told.say("none"),
    }


async def save_view(visit: Visit) -> Response:
    """POST /console/views: keep the list as it is filtered under a name."""
    asked = await visit.form(_View)
    views = SavedViews(visit.runtime.database)
    await asyncio.to_thread(views.save, asked.name, asked.query, who=visit.who, at=visit.now)
    return visit.go(f"/console/at-risk?{asked.query}")


async def forget_view(visit: Visit) -> Response:
    """POST /console/views/forget."""
    asked = await visit.form(_Gone)
    await asyncio.to_thread(SavedViews(visit.runtime.database).remove, asked.view_id)
    return visit.go("/console/at-risk")
