"""Requests and answers about whom to contact: the plan of a campaign, and what came of it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from serving.schemas import ModelGrade, Probability

MOST_CONTACTS = 50_000
Campaign = Annotated[
    str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.:-]+$", description="The campaign's name.")
]
Amount = Annotated[float, Meta(ge=0, le=1e12)]


class ContactPlanRequest(Struct, forbid_unknown_fields=True, frozen=True):
    """What a contact costs and may bring, and how many there may be. Amounts are in the shop's currency."""

    campaign_id: Campaign
    cost_per_contact: Annotated[Amount, Meta(description="Of one contact: the call, the letter.")]
    margin: Annotated[Annotated[float, Meta(gt=0, le=1)], Meta(description="Profit per unit of spend.")]
    save_rate: Annotated[
        Probability | None,
        Meta(description="Of contacted who would stop, the share that stays. Null: as measured, else 0.1 assumed."),
    ] = None
    offer_cost: Annotated[Amount, Meta(description="Of the offer, for each who takes it.")] = 0.0
    fixed_cost: Annotated[Amount, Meta(description="Of the campaign, whoever is contacted.")] = 0.0
    horizons: Annotated[
        float, Meta(gt=0, le=1000, description="How many horizons of spend a customer saved brings.")
    ] = 1.0
    customer_worth: Annotated[
        Amount | None, Meta(description="Spend of a horizon of any customer, where the shop has no amounts.")
    ] = None
    budget: Annotated[
        Amount | None, Meta(description="Most that contacts may cost, were every offer taken. Null: no limit.")
    ] = None
    head_count: Annotated[
        Annotated[int, Meta(ge=1, le=MOST_CONTACTS)] | None,
        Meta(description=f"Most customers to contact. Null: {MOST_CONTACTS}."),
    ] = None
    holdout_share: Annotated[
        float, Meta(ge=0, le=0.9, description="Share of the list left alone by lot, to measure the effect by.")
    ] = 0.1
    rest_days: Annotated[
        Annotated[float, Meta(ge=0, le=3650)] | None,
        Meta(description="Leave out who was contacted within so many days. Null: setting contact_rest_days."),
    ] = None
    dry_run: Annotated[bool, Meta(description="Show the list and record nothing.")] = False


class ContactPlanQuery(Struct, forbid_unknown_fields=True, frozen=True):
    """In which form."""

    format: Annotated[Literal["json", "csv"] | None, Meta(description="Over the Accept header.")] = None


class PlannedContact(Struct, frozen=True):
    """One customer to contact."""

    rank: int
    customer_id: str
    expected_profit: Annotated[float, Meta(description="What the contact is expected to bring, less its cost.")]
    churn_probability: float
    kept_probability: Annotated[float, Meta(description="That the contact keeps one who would have stopped.")]
    worth: Annotated[float, Meta(description="Spend of a horizon that would be lost.")]
    days_since_last_order: int
    reasons: list[str]


class CutRow(Struct, frozen=True):
    """The list at one length. Churners are expected numbers, from calibrated probabilities."""

    contacts: int
    cost: float
    profit: float
    churners: float
    false_alarms: Annotated[float, Meta(description="Contacted, and would have stayed anyway.")]
    saved: float
    caught_share: Annotated[float, Meta(description="Of all churners who may be contacted, the share on the list.")]
    precision: Annotated[float, Meta(description="Of the list, the share that would stop.")]


class PlanSummary(Struct, frozen=True):
    """What the list is expected to do. Null: not known, or not so."""

    candidates: Annotated[int, Meta(description="Customers who could be contacted or held out.")]
    contacts: int
    held_out: int
    expected_profit: float
    expected_profit_low: Annotated[float | None, Meta(description="At the low end of a measured save rate.")]
    expected_profit_high: float | None
    expected_cost: float
    expected_saved: float
    best_contacts: Annotated[int, Meta(description="Of most profit, were there no limits.")]
    break_even_contacts: Annotated[int | None, Meta(description="Beyond so many, the campaign loses.")]
    break_even_save_rate: Annotated[float | None, Meta(description="Below this save rate, the list loses.")]
    holdout_cost: Annotated[float, Meta(description="Expected profit given up to measure the effect.")]
    smallest_effect: Annotated[
        float | None, Meta(description="Least difference in the share that stops which the hold-out tells.")
    ]
    save_rate: float | None
    save_rate_source: Literal["assumed", "measured", "given", "uplift", "none"]


# Answers are kept as they were given and read again: a field added here later needs a default.
class ContactPlanPage(Struct, frozen=True):
    """Whom to contact, whom to leave alone, what that is expected to bring, and all that it takes for granted."""

    campaign_id: str
    recorded: Annotated[bool, Meta(description="False: a dry run, or there was nothing to record.")]
    planned_at: str
    strategy: Annotated[str, Meta(description="save_rate, uplift, or none when there is nothing to go by.")]
    fallback: str | None
    items: Annotated[list[PlannedContact], Meta(description="Most profitable first.")]
    held_out: Annotated[list[str], Meta(description="Customers to leave alone until the effect is measured.")]
    summary: PlanSummary
    assumptions: list[str]
    left_out: Annotated[dict[str, int], Meta(description="Active customers not considered, by why.")]
    curve: list[CutRow]
    table: list[CutRow]
    model: str
    model_version: int | None
    as_of: str | None
    horizon_days: int | None
    currency: str
    grade: Annotated[
        ModelGrade | None, Meta(description="How far the churn model can be relied on; null: not known.")
    ] = None


class MeasuredEffect(Struct, frozen=True):
    """Contacted against held out, as assigned. Shares are of customers with an order within the horizon."""

    contacted: int
    contacted_kept: int
    held_out: int
    held_out_kept: int
    difference: Annotated[float, Meta(description="Share kept of those contacted less that of those held out.")]
    low: float
    high: float
    save_rate: Annotated[float | None, Meta(description="Part of would-be stoppers kept; below 0: contacts did harm.")]
    save_rate_low: float | None
    save_rate_high: float | None
    verdict: str
    as_of: str


class CampaignPage(Struct, frozen=True):
    """A recorded plan and what came of it so far."""

    campaign_id: str
    recorded: bool
    plan: ContactPlanPage | None
    outcomes: Annotated[dict[str, int], Meta(description="Customers of the list by their last outcome.")]
    held_out_contacted: Annotated[int, Meta(description="Held out, and yet with an outcome: they blur the effect.")]
    effect: MeasuredEffect | None
    effect_note: str
