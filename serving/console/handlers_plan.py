"""Whom to contact on a budget: the plan of POST /v1/contact-plans as a page, with its profit at every length."""

from __future__ import annotations

import asyncio
from typing import Annotated
from urllib.parse import urlencode

import msgspec
from msgspec import Meta, Struct
from starlette.responses import Response

from serving.answering import count_strategy
from serving.console.forms import as_type, asked_of
from serving.console.visit import Visit
from serving.contact_plans import as_csv
from serving.plan_log import planned
from serving.problems import BadRequestError
from serving.schemas_contact import MOST_CONTACTS, Campaign, ContactPlanPage, ContactPlanRequest

Percent = Annotated[float, Meta(ge=0, le=100)]
Amount = Annotated[float, Meta(ge=0, le=1e12)]


class PlanForm(Struct, frozen=True):
    """What a contact costs and may bring, and how many there may be; shares in percent, as people say them."""

    campaign: Campaign | None = None
    cost: Amount = 5.0
    margin: Annotated[float, Meta(gt=0, le=100)] = 30.0
    save: Percent | None = None
    offer: Amount = 0.0
    worth: Amount | None = None
    budget: Amount | None = None
    people: Annotated[int, Meta(ge=1, le=MOST_CONTACTS)] | None = None
    hold: Annotated[float, Meta(ge=0, le=90)] = 10.0

    def of_the_api(self, *, campaign: str, dry_run: bool) -> ContactPlanRequest:
        """The request it stands for."""
        return ContactPlanRequest(
            campaign_id=self.campaign or campaign,
            cost_per_contact=self.cost,
            margin=self.margin / 100,
            save_rate=None if self.save is None else self.save / 100,
            offer_cost=self.offer,
            customer_worth=self.worth,
            budget=self.budget,
            head_count=self.people,
            holdout_share=self.hold / 100,
            dry_run=dry_run,
        )


async def the_page(visit: Visit) -> Response:
    """GET /console/plan: the plan that the numbers give, nothing recorded. Of a recorded campaign, its list."""
    asked = asked_of(visit.request, PlanForm)
    campaign = asked.campaign or f"calls-{visit.now:%Y-%m-%d}"
    plan = await make(visit, asked.of_the_api(campaign=campaign, dry_run=True))
    count_strategy(visit.request, plan.strategy)
    template = "plan_part.html" if visit.is_part else "plan.html"
    return visit.page(template, asked=asked, campaign=campaign, plan=plan, curve=curve_of(plan), shown=plan.items[:20])


async def make(visit: Visit, asked: ContactPlanRequest) -> ContactPlanPage:
    """The plan, by the same function as the API's."""
    runtime = visit.runtime
    page, _ = await asyncio.to_thread(
        planned,
        visit.state,
        asked,
        runtime.outcomes,
        runtime.plans,
        known=visit.contacts,
        now=visit.now,
        rest_days=runtime.settings.contact_rest_days,
    )
    return page


def curve_of(plan: ContactPlanPage) -> dict[str, object]:
    """What the page's script draws: profit by length, and where the list is cut."""
    return {
        "x": [cut.contacts for cut in plan.curve],
        "y": [round(cut.profit, 2) for cut in plan.curve],
        "cut": plan.summary.contacts,
        "best": plan.summary.best_contacts,
    }


async def record(visit: Visit) -> Response:
    """POST /console/plan/record: keep the list and its hold-out; from then on both are left off other lists."""
    asked = await visit.form(PlanForm)
    if asked.campaign is None:
        raise BadRequestError("A recorded list needs a name.", field="campaign", status=422)
    plan = await make(visit, asked.of_the_api(campaign=asked.campaign, dry_run=False))
    await visit.refresh_contacts()
    if not plan.recorded:
        raise BadRequestError("The plan names nobody, so there is nothing to record.", status=422)
    return visit.go(address(asked))


def address(asked: PlanForm) -> str:
    """Where the plan of those numbers is."""
    given = {name: value for name, value in msgspec.to_builtins(asked).items() if value is not None}
    return f"/console/plan?{urlencode(given)}"


async def as_file(visit: Visit) -> Response:
    """GET /console/plan/list: whom to contact, as CSV, as the API gives it."""
    asked = as_type(dict(visit.request.query_params), PlanForm)
    campaign = asked.campaign or f"calls-{visit.now:%Y-%m-%d}"
    plan = await make(visit, asked.of_the_api(campaign=campaign, dry_run=True))
    headers = {"Content-Disposition": f'attachment; filename="{plan.campaign_id.replace(":", "-")}.csv"'}
    return Response(as_csv(plan), media_type="text/csv; charset=utf-8", headers=headers)
