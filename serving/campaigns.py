"""What came of a recorded contact plan: outcomes so far, and the effect against those held out once it is known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from serving.plan_log import PlanLog
from serving.schemas_contact import CampaignPage, ContactPlanPage, MeasuredEffect
from training.contact_effect import (
    HARMED,
    KEPT,
    LEAST_HELD_OUT,
    LEAST_STOPPED,
    TOO_FEW,
    UNCLEAR,
    Arms,
    Result,
    effect,
)

VERDICTS = {
    KEPT: "the contacts kept customers: the interval leaves no effect out",
    HARMED: "the contacts drove customers away: the interval leaves no effect out",
    UNCLEAR: "the contacts made no difference that can be told from chance",
    TOO_FEW: f"too few to say: a hold-out of {LEAST_HELD_OUT} is needed, {LEAST_STOPPED} of whom stopped",
}


def campaign_page(campaign_id: str, log: PlanLog, results: Sequence[Result], *, as_of: str | None) -> CampaignPage:
    """The campaign; `recorded` is false where it has no plan. `as_of` is of the results. Raises StoreAwayError."""
    plan = log.read(campaign_id)
    counts, blurred = log.outcomes_of(campaign_id) if plan is not None else ({}, 0)
    found = next((one for one in results if one.campaign_id == campaign_id), None)
    measured = None if found is None else _measured(found.arms, as_of=as_of or "")
    return CampaignPage(
        campaign_id=campaign_id,
        recorded=plan is not None,
        plan=plan,
        outcomes=dict(counts),
        held_out_contacted=blurred,
        effect=measured,
        effect_note=_note(plan, found) if measured is None else measured.verdict,
    )


def _measured(arms: Arms, *, as_of: str) -> MeasuredEffect | None:
    if not arms.contacted or not arms.held_out:
        return None
    found = effect(arms)
    rate = found.save_rate
    return MeasuredEffect(
        contacted=arms.contacted,
        contacted_kept=arms.contacted_kept,
        held_out=arms.held_out,
        held_out_kept=arms.held_out_kept,
        difference=found.difference.value,
        low=found.difference.low,
        high=found.difference.high,
        save_rate=None if rate is None else rate.value,
        save_rate_low=None if rate is None else rate.low,
        save_rate_high=None if rate is None else rate.high,
        verdict=VERDICTS[found.verdict],
        as_of=as_of,
    )


def _note(plan: ContactPlanPage | None, found: Result | None) -> str:
    if found is not None and found.not_yet:
        return f"the horizon of {found.not_yet:,} customers has not passed yet, or its orders are not loaded"
    if plan is None:
        return "no plan of this name is recorded, and no campaign of this name held anybody out"
    if not plan.held_out:
        return "nobody was held out, so the effect cannot be measured"
    known = datetime.fromisoformat(plan.planned_at) + timedelta(days=plan.horizon_days or 0)
    return (
        f"known once orders up to {known:%Y-%m-%d} are loaded:  regulars ingest …, regulars ingest --source events, "
        "regulars score"
    )
