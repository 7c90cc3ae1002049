"""The list of customers about to stop, and one customer's page: pure functions of a state."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from serving.recommend import recommend
from serving.schemas import AtRiskPage, AtRiskQuery, CustomerPage, RecommendationRequest, ScoredCustomer
from serving.state import State

MODEL = "churn"
CHURN, RECENCY, NONE = "churn", "recency", "none"
NEXT_PURCHASES = 10
#: A cell that begins with one of these would run as a formula in a spreadsheet.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def at_risk(state: State, query: AtRiskQuery) -> AtRiskPage:
    """One page of active customers, those most at risk first; each customer stands on one page only.

    Without a churn model, active customers by days since their last order; the answer says so.
    """
    if state.customers is None:
        return _page(
            state,
            query,
            pa.table({}),
            np.array([], dtype=int),
            strategy=NONE,
            sorted_by=query.sort,
            why=["nothing is scored yet; run:  regulars train && regulars score"],
        )
    table, why = state.customers, []
    probability, value = _numbers(table, "churn_probability"), _numbers(table, "value_at_risk")
    kept = np.asarray(table["active"].to_numpy(zero_copy_only=False), dtype=bool)
    sorted_by: str = query.sort
    strategy = CHURN if np.isfinite(probability).any() else RECENCY
    if strategy == RECENCY:
        why.append("there is no churn model, so active customers stand by days since their last order")
        sorted_by = "days_since_last_order"
    else:
        kept &= probability >= query.min_probability  # false where there is no probability
    if query.min_value_at_risk > 0:
        kept &= value >= query.min_value_at_risk
    if query.stage is not None:
        kept &= np.asarray(pc.equal(table["stage"], query.stage).to_numpy(zero_copy_only=False), dtype=bool)
    if strategy == CHURN and not np.isfinite(_numbers(table, sorted_by)).any():
        why.append(f"there is no {sorted_by}, so the list stands by churn_probability")
        sorted_by = "churn_probability"
    rows = np.flatnonzero(kept)
    keys = np.nan_to_num(_numbers(table, sorted_by)[rows], nan=-np.inf)
    # Rows lie by customer_id, and the sort is stable: equal keys stand by id, the same on every page.
    ordered = rows[np.argsort(-keys, kind="stable")]
    return _page(state, query, table, ordered, strategy=strategy, sorted_by=sorted_by, why=why)


def _page(
    state: State,
    query: AtRiskQuery,
    table: pa.Table,
    rows: NDArray[np.int_],
    *,
    strategy: str,
    sorted_by: str,
    why: list[str],
) -> AtRiskPage:
    shown = rows[query.offset : query.offset + query.limit]
    return AtRiskPage(
        items=[_scored(row) for row in table.take(pa.array(shown)).to_pylist()] if len(shown) else [],
        total=len(rows),
        limit=query.limit,
        offset=query.offset,
        sorted_by=sorted_by,
        strategy=strategy,
        fallback="; ".join(why) or None,
        model=MODEL,
        model_version=state.models.get(MODEL),
        as_of=state.as_of,
        horizon_days=state.about.get("horizon_days"),
    )


def customer_page(state: State, customer_id: str, *, request_id: str) -> CustomerPage:
    """One customer: scores, reasons, next purchases. Of an unknown one: `known` is false, and what is popular."""
    row = state.customer(customer_id)
    request = RecommendationRequest(customer_id=customer_id, k=NEXT_PURCHASES)
    return CustomerPage(
        customer_id=customer_id,
        known=row is not None,
        active=None if row is None else row["active"],
        scores=None if row is None else _scored(row),
        next_purchases=recommend(state, request, request_id=request_id),
        models=dict(state.models),
        as_of=state.as_of,
        horizon_days=state.about.get("horizon_days"),
        currency=state.about.get("currency", ""),
    )


def as_csv(page: AtRiskPage) -> str:
    """The rows of a page as CSV with a header; reasons are joined by '; '. No cell can run as a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    names = ScoredCustomer.__struct_fields__
    writer.writerow(names)
    for item in page.items:
        writer.writerow([_cell(getattr(item, name)) for name in names])
    return text.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, list):
        value = "; ".join(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _numbers(table: pa.Table, column: str) -> NDArray[np.float64]:
    return np.asarray(table[column].cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=float)


def _scored(row: dict[str, Any]) -> ScoredCustomer:
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
        reasons=row["reasons"],
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
