"""The list of customers about to stop, and one customer's page: pure functions of a state."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from serving.circumstances import Circumstances
from serving.csv_text import cells, csv_bytes
from serving.outcomes import Contacts
from serving.quality import COLUMN, grade_of, grades_of, word
from serving.recommend import recommend
from serving.schemas import RecommendationRequest
from serving.schemas_customers import AtRiskPage, AtRiskQuery, CustomerPage, OnlineFeatures, ScoredCustomer
from serving.state import State
from training.reason_messages import DEFAULT, say

MODEL = "churn"
CHURN, RECENCY, NONE = "churn", "recency", "none"
NEXT_PURCHASES = 10
NO_CONTACTS = Contacts()
#: Of a CSV: the customer, and how far the predictions can be relied on.
HEADER = (*ScoredCustomer.__struct_fields__, COLUMN)


@dataclass(frozen=True)
class Listing:
    """Rows of the score table, in the order of the list, and how they were found."""

    rows: NDArray[np.int32]
    strategy: str
    sorted_by: str
    why: tuple[str, ...] = ()


def listing(
    state: State,
    query: AtRiskQuery,
    contacts: Contacts = NO_CONTACTS,
    *,
    now: datetime | None = None,
    rest_days: float = 0,
) -> Listing:
    """The active customers that the query asks for, those most at risk first.

    Without a churn model, active customers by days since their last order; `why` says so. Whoever opted out is on no
    list; whoever was contacted within `rest_days` of `now` (UTC), or a campaign holds out, only when the query includes
    them. Without `now`, only those who opted out are left out.
    """
    columns = state.columns
    if columns is None:
        missing = "nothing is scored yet; run:  regulars train && regulars score"
        return Listing(np.array([], dtype=np.int32), NONE, query.sort, (missing,))
    why: list[str] = []
    sorted_by: str = query.sort
    strategy = CHURN if columns.known["churn_probability"] else RECENCY
    kept = None
    if strategy == RECENCY:
        why.append("there is no churn model, so active customers stand by days since their last order")
        sorted_by = "days_since_last_order"
    else:
        if not columns.known[sorted_by]:
            why.append(f"there is no {sorted_by}, so the list stands by churn_probability")
            sorted_by = "churn_probability"
        kept = columns.numbers["churn_probability"] >= query.min_probability  # false where there is no probability
    if query.min_value_at_risk > 0:
        worth = columns.numbers["value_at_risk"] >= query.min_value_at_risk
        kept = worth if kept is None else kept & worth
    if query.stage is not None:
        staged = columns.of_stage(query.stage)
        kept = staged if kept is None else kept & staged
    left_out = contacts.left_out(now=now, rest_days=rest_days, opted_out_only=query.include_contacted)
    resting = [state.rows[customer] for customer, _ in left_out if customer in state.rows]
    if resting:
        kept = np.ones(len(columns.active), dtype=bool) if kept is None else kept.copy()
        kept[resting] = False
    ordered = columns.orders[sorted_by]
    return Listing(ordered if kept is None else ordered[kept[ordered]], strategy, sorted_by, tuple(why))


def at_risk(
    state: State,
    query: AtRiskQuery,
    contacts: Contacts = NO_CONTACTS,
    *,
    now: datetime | None = None,
    rest_days: float = 0,
) -> AtRiskPage:
    """One page of the list; each customer stands on one page only."""
    found = listing(state, query, contacts, now=now, rest_days=rest_days)
    return AtRiskPage(
        items=list(scored(state, found.rows[query.offset : query.offset + query.limit], contacts, query.lang)),
        total=len(found.rows),
        limit=query.limit,
        offset=query.offset,
        sorted_by=found.sorted_by,
        strategy=found.strategy,
        fallback="; ".join(found.why) or None,
        model=MODEL,
        model_version=state.models.get(MODEL),
        as_of=state.as_of,
        horizon_days=state.about.get("horizon_days"),
        grade=grade_of(state, MODEL),
    )


def scored(
    state: State, rows: NDArray[np.int32], contacts: Contacts = NO_CONTACTS, lang: str | None = None
) -> Iterator[ScoredCustomer]:
    """The customers of those rows, in their order, with reasons in that language (unset: English)."""
    if state.customers is not None and len(rows):
        for row in state.customers.take(pa.array(rows)).to_pylist():
            yield _scored(row, contacts, lang)


def csv_parts(
    state: State,
    found: Listing,
    contacts: Contacts = NO_CONTACTS,
    *,
    lang: str | None = None,
    rows_at_once: int = 250,
) -> Iterator[bytes]:
    """The whole list as CSV with a header, in parts, so that its length costs no memory."""
    yield csv_bytes([HEADER])
    grade = word(grade_of(state, MODEL))
    for start in range(0, len(found.rows), rows_at_once):
        rows = found.rows[start : start + rows_at_once]
        yield csv_bytes([*cells(item), grade] for item in scored(state, rows, contacts, lang))


def customer_page(
    state: State,
    customer_id: str,
    circumstances: Circumstances,
    contacts: Contacts = NO_CONTACTS,
    *,
    online: OnlineFeatures | None = None,
    lang: str | None = None,
) -> CustomerPage:
    """One customer: scores, reasons, next purchases. Of an unknown one: `known` is false, and what is popular."""
    row = state.customer(customer_id)
    request = RecommendationRequest(customer_id=customer_id, k=NEXT_PURCHASES)
    return CustomerPage(
        customer_id=customer_id,
        known=row is not None,
        active=None if row is None else row["active"],
        scores=None if row is None else _scored(row, contacts, lang),
        next_purchases=recommend(state, request, circumstances),
        models=dict(state.models),
        as_of=state.as_of,
        horizon_days=state.about.get("horizon_days"),
        currency=state.about.get("currency", ""),
        online=online,
        grades=grades_of(state),
        lifetime_days=state.about.get("lifetime_days"),
        yearly_discount=state.about.get("yearly_discount"),
    )


def as_csv(page: AtRiskPage) -> str:
    """The rows of a page as CSV with a header; reasons are joined by '; '. No cell can run as a formula."""
    grade = word(page.grade)
    return csv_bytes([HEADER, *([*cells(item), grade] for item in page.items)]).decode()


def _scored(row: dict[str, Any], contacts: Contacts, lang: str | None) -> ScoredCustomer:
    contact = contacts.by_customer.get(row["customer_id"])
    return ScoredCustomer(
        customer_id=row["customer_id"],
        churn_probability=_finite(row["churn_probability"]),
        value_at_risk=_finite(row["value_at_risk"]),
        expected_spend=_finite(row["expected_spend"]),
        purchase_probability=_finite(row["purchase_probability"]),
        stage=row["stage"],
        days_since_last_order=row["days_since_last_order"],
        last_order_at=row["last_order_at"].isoformat(),
        orders=row["orders"],
        spend=_finite(row["spend"]),
        reasons=[say(reason, lang or DEFAULT) for reason in row["reasons"]],
        last_outcome=None if contact is None else contact.outcome,
        last_outcome_at=None if contact is None else f"{contact.at.isoformat()}+00:00",
        # A scoring by an earlier release, or without a propensity champion, has none of these.
        expected_back_by=_day(row.get("expected_back_by")),
        days_overdue=row.get("days_overdue"),
        next_order_expected=_day(row.get("next_order_expected_at")),
        next_order_from=_day(row.get("next_order_from")),
        next_order_until=_day(row.get("next_order_until")),
        expected_spend_low=_finite(row.get("expected_spend_low")),
        expected_spend_high=_finite(row.get("expected_spend_high")),
        lifetime_value=_finite(row.get("lifetime_value")),
        lifetime_value_low=_finite(row.get("lifetime_value_low")),
        lifetime_value_high=_finite(row.get("lifetime_value_high")),
        response_probability=_finite(row.get("response_probability")),
    )


def _day(moment: datetime | None) -> str | None:
    return None if moment is None else moment.date().isoformat()


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
