"""What came of a recorded contact plan: outcomes so far, and the effect against those held out once it is known."""

from __future__ import annotations

from datetime import datetime, timedelta

from serving.plan_log import PlanLog
from serving.schemas_contact import CampaignPage, ContactPlanPage


def campaign_page(campaign_id: str, log: PlanLog) -> CampaignPage:
    """The campaign; `recorded` is false where no plan of that name is. Raises StoreAwayError."""
    plan = log.read(campaign_id)
    counts, blurred = log.outcomes_of(campaign_id) if plan is not None else ({}, 0)
    return CampaignPage(
        campaign_id=campaign_id,
        recorded=plan is not None,
        plan=plan,
        outcomes=dict(counts),
        held_out_contacted=blurred,
        effect=None,
        effect_note=_note(plan),
    )


def _note(plan: ContactPlanPage | None) -> str:
    if plan is None:
        return "no plan of this name is recorded"
    if not plan.held_out:
        return "nobody was held out, so the effect cannot be measured"
    known = datetime.fromisoformat(plan.planned_at) + timedelta(days=plan.horizon_days or 0)
    return (
        f"known once orders up to {known:%Y-%m-%d} are loaded:  regulars ingest …, regulars ingest --source events, "
        "regulars score"
    )
