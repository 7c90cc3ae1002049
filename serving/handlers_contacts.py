"""The routes about campaigns, for the retention team: whom to contact, and what came of it."""

from __future__ import annotations

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from features.errors import DataError
from serving.answering import count_strategy, runtime_of
from serving.campaign_results import results_of
from serving.campaigns import campaign_page
from serving.contact_plans import as_csv
from serving.exchange import NoQuery, as_json, decode, path_id, query, read_body
from serving.handlers_customers import wants_csv
from serving.keys import now_utc
from serving.plan_log import CampaignTakenError, planned
from serving.problems import BadRequestError
from serving.schemas_contact import ContactPlanQuery, ContactPlanRequest

_asked = msgspec.json.Decoder(ContactPlanRequest)


async def make_plan(request: Request) -> Response:
    """POST /v1/contact-plans, as JSON or CSV. The same campaign asked for again gives the list recorded for it."""
    asked = decode(await read_body(request), _asked)
    form = query(request, ContactPlanQuery).format
    runtime = runtime_of(request)
    try:
        page, _ = await asyncio.to_thread(
            planned,
            runtime.holder.state,
            asked,
            runtime.outcomes,
            runtime.plans,
            known=runtime.contacts,
            now=now_utc(),
            rest_days=runtime.settings.contact_rest_days,
        )
    except CampaignTakenError as error:
        raise BadRequestError(str(error), field="campaign_id", status=409) from None
    except DataError as error:
        raise BadRequestError(str(error), status=422) from None
    if page.recorded:
        await asyncio.to_thread(runtime.refresh_contacts)
    count_strategy(request, page.strategy)
    if not wants_csv(request, form):
        return as_json(page)
    headers = {
        "Content-Disposition": f'attachment; filename="{page.campaign_id.replace(":", "-")}.csv"',
        "X-Total-Count": str(len(page.items)),
        "X-Strategy": page.strategy,
        "X-Model-Version": str(page.model_version or "none"),
    }
    return Response(as_csv(page), media_type="text/csv; charset=utf-8", headers=headers)


async def campaign(request: Request) -> Response:
    """GET /v1/contact-plans/{campaign_id}: the recorded plan, the outcomes so far, and the effect once it is known."""
    query(request, NoQuery)
    runtime = runtime_of(request)
    name = path_id(request, "campaign_id")
    state = runtime.holder.state
    page = await asyncio.to_thread(campaign_page, name, runtime.plans, results_of(state), as_of=state.as_of)
    return as_json(page)
