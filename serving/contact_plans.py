"""Whom to contact: a campaign's list from scores, outcomes and the shop's economics; pure functions of a state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from serving.campaign_results import measured_save_rate, results_of
from serving.csv_text import cells, csv_bytes
from serving.customer_columns import UPLIFT
from serving.outcomes import Contacts
from serving.quality import COLUMN, grade_of, word
from serving.schemas_contact import (
    MOST_CONTACTS,
    ContactPlanPage,
    ContactPlanRequest,
    CutRow,
    PlannedContact,
    PlanSummary,
)
from serving.state import State
from training.contact_curve import Cut, cuts, holdout_cost, shown, smallest_effect, table
from training.contact_plan import GIVEN, ContactPlan, Economics, Limits, Prospects, SaveRate, plan_contacts
from training.contact_words import assumptions
from training.holdout import lots
from training.reason_messages import say

MODEL = "churn"
SAVE_RATE, NONE = "save_rate", "none"
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Candidates:
    """Rows of the score table that may be contacted, what each is worth, why others may not, and what is missing.

    `uplift`: what a contact changes with each, where an accepted model of it said so of all of them.
    """

    rows: Rows
    churn: NDArray[np.float64]
    worth: NDArray[np.float64]
    left_out: Mapping[str, int]
    why: str | None = None
    uplift: NDArray[np.float64] | None = None


def candidates(
    state: State, asked: ContactPlanRequest, contacts: Contacts, *, now: datetime, rest: float
) -> Candidates:
    """Active customers with a churn probability and a worth who have not opted out, rest, or are held out."""
    nothing = np.empty(0)
    columns = state.columns
    if columns is None or state.customers is None:
        missing = "nothing is scored yet; run:  regulars train && regulars score"
        return Candidates(np.empty(0, dtype=np.int64), nothing, nothing, {}, missing)
    churn = columns.numbers["churn_probability"]
    free = columns.active.copy()
    left_out: dict[str, int] = {}
    for customer, cause in contacts.left_out(now=now, rest_days=rest):
        row = state.rows.get(customer)
        if row is not None and free[row]:
            free[row] = False
            left_out[cause] = left_out.get(cause, 0) + 1
    with np.errstate(invalid="ignore", divide="ignore"):
        # Value at risk is the probability times what a horizon would lose; without amounts the shop says the latter.
        worth = columns.numbers["value_at_risk"] / churn
    if asked.customer_worth is not None:
        worth = np.full(len(churn), asked.customer_worth)
    known = np.isfinite(churn) & np.isfinite(worth)
    unknown = int((free & ~known).sum())
    if unknown:
        left_out["not_scored"] = unknown
    rows = np.flatnonzero(free & known)
    why: str | None = None
    if not columns.known["churn_probability"]:
        why = "there is no churn model, so nobody's risk is known; run:  regulars train churn && regulars score"
    elif not np.isfinite(worth[columns.active]).any():
        why = "the shop has no amounts, so nobody's worth is known: give customer_worth"
    uplift = columns.numbers[UPLIFT][rows]
    # A save rate that is given is what the shop wants tried, whatever was learned.
    learned = asked.save_rate is None and bool(len(rows)) and bool(np.isfinite(uplift).all())
    return Candidates(rows, churn[rows], worth[rows], left_out, why, uplift if learned else None)


def contact_plan(
    state: State, asked: ContactPlanRequest, contacts: Contacts, *, now: datetime, rest_days: float
) -> tuple[ContactPlanPage, ContactPlan]:
    """The list that the campaign asks for, as an answer and as the plan behind it. `now` is in UTC, without a zone.

    The same state, contacts and request give the same list. Raises DataError for economics that make no sense.
    """
    rest = rest_days if asked.rest_days is None else asked.rest_days
    found = candidates(state, asked, contacts, now=now, rest=rest)
    money = Economics(asked.cost_per_contact, asked.margin, asked.offer_cost, asked.horizons, asked.fixed_cost)
    limits = Limits(asked.budget, asked.head_count, asked.holdout_share)
    held = state.customers
    lot = np.empty(0) if held is None else lots(held["customer_id"].take(found.rows), asked.campaign_id)
    rate, measured_by = _save_rate(state, asked)
    within = limits if limits.head_count is not None else Limits(limits.budget, MOST_CONTACTS, limits.holdout_share)
    if found.uplift is not None:
        measured_by = str(state.about.get(UPLIFT) or "campaigns of the past")
    plan = plan_contacts(Prospects(found.churn, found.worth, lot, found.uplift), money, rate, within)
    horizon = int(state.about.get("horizon_days") or 0)
    currency = str(state.about.get("currency") or "")
    shown_plan = ContactPlan(**{**vars(plan), "limits": limits})
    told = assumptions(shown_plan, horizon_days=horizon, currency=currency, rest_days=rest, measured_by=measured_by)
    grade = grade_of(state, MODEL)
    if grade is not None:
        told = [*told, f"The churn model's predictions are graded {grade.grade}: {grade.why}."]
    notes = [] if found.why is None else [found.why]
    if limits.head_count is None and len(plan.contacted) == MOST_CONTACTS:
        notes.append(f"a list holds {MOST_CONTACTS:,} contacts at most; more would pay")
    if found.why is None and len(found.rows) and not len(plan.contacted):
        notes.append("no contact is expected to earn its cost")
    learned = SAVE_RATE if found.uplift is None else UPLIFT
    strategy = NONE if found.why is not None else learned
    page = ContactPlanPage(
        campaign_id=asked.campaign_id,
        recorded=False,
        planned_at=f"{now.isoformat(timespec='seconds')}+00:00",
        strategy=strategy,
        fallback="; ".join(notes) or None,
        items=_items(state, found.rows, plan),
        held_out=_ids(state, found.rows[plan.kept_back]),
        summary=_summary(plan, strategy),
        assumptions=told,
        left_out=dict(found.left_out),
        curve=[_row(cut) for cut in shown(plan)],
        table=[_row(cut) for cut in table(plan)],
        model=MODEL,
        model_version=state.models.get(MODEL),
        grade=grade,
        as_of=state.as_of,
        horizon_days=state.about.get("horizon_days"),
        currency=currency,
    )
    return page, plan


def as_csv(page: ContactPlanPage) -> bytes:
    """The customers to contact, one a row, each with the campaign, the grade and what the list takes for granted."""
    header = ["campaign_id", *PlannedContact.__struct_fields__, COLUMN, "assumptions"]
    beside = (word(page.grade), " ".join(page.assumptions))
    return csv_bytes([header, *([page.campaign_id, *cells(item), *beside] for item in page.items)])


def _save_rate(state: State, asked: ContactPlanRequest) -> tuple[SaveRate, str]:
    """As asked, else as measured, else assumed; and by what it was measured, or why it was not."""
    if asked.save_rate is not None:
        return SaveRate(asked.save_rate, source=GIVEN), ""
    measured, by = measured_save_rate(results_of(state))
    return (SaveRate() if measured is None else measured), by


def _ids(state: State, rows: Rows) -> list[str]:
    if state.customers is None or not len(rows):
        return []
    ids: list[str] = state.customers["customer_id"].take(rows).to_pylist()
    return ids


def _items(state: State, rows: Rows, plan: ContactPlan) -> list[PlannedContact]:
    chosen = plan.contacted
    if state.customers is None or not len(chosen):
        return []
    told = state.customers.select(["customer_id", "days_since_last_order", "reasons"]).take(rows[chosen]).to_pylist()
    numbers = zip(
        plan.prospects.profit(plan.economics, plan.save_rate.value)[chosen].tolist(),
        plan.prospects.churn[chosen].tolist(),
        plan.prospects.kept(plan.save_rate.value)[chosen].tolist(),
        plan.prospects.worth[chosen].tolist(),
        strict=True,
    )
    return [
        PlannedContact(
            rank=rank,
            customer_id=row["customer_id"],
            expected_profit=round(profit, 4),
            churn_probability=round(churn, 6),
            kept_probability=round(kept, 6),
            worth=round(worth, 4),
            days_since_last_order=row["days_since_last_order"],
            reasons=[say(reason) for reason in row["reasons"]],
        )
        for rank, (row, (profit, churn, kept, worth)) in enumerate(zip(told, numbers, strict=True), start=1)
    ]


def _row(cut: Cut) -> CutRow:
    return CutRow(**{name: round(value, 6) for name, value in asdict(cut).items()})


def _summary(plan: ContactPlan, strategy: str) -> PlanSummary:
    rate = plan.save_rate
    ends: list[float | None] = [None, None]
    if rate.low is not None and rate.high is not None and strategy == SAVE_RATE:
        ends = [plan.profit_at(rate.low), plan.profit_at(rate.high)]
    (cut,) = cuts(plan, [len(plan.contacted)])
    return PlanSummary(
        candidates=len(plan.order),
        contacts=len(plan.contacted),
        held_out=len(plan.kept_back),
        expected_profit=plan.expected_profit,
        expected_profit_low=ends[0],
        expected_profit_high=ends[1],
        expected_cost=cut.cost,
        expected_saved=cut.saved,
        best_contacts=plan.best,
        break_even_contacts=plan.break_even,
        break_even_save_rate=_finite(plan.break_even_save_rate),
        holdout_cost=holdout_cost(plan),
        smallest_effect=smallest_effect(plan),
        save_rate=rate.value if strategy == SAVE_RATE else None,
        save_rate_source=rate.source if strategy == SAVE_RATE else strategy,  # type: ignore[arg-type]
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
