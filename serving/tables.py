"""Answers as rows of a table, for the command line and the demo."""

from __future__ import annotations

from collections.abc import Sequence

from serving.schemas import Recommendations
from serving.schemas_customers import AtRiskPage

Rows = tuple[Sequence[str], Sequence[Sequence[object]]]


def recommendation_rows(answer: Recommendations) -> Rows:
    """One row per product."""
    rows = [(item.rank, item.product_id, item.name or "", item.source, item.reason) for item in answer.items]
    return ("rank", "product", "name", "source", "reason"), rows


def at_risk_rows(page: AtRiskPage) -> Rows:
    """One row per customer; probabilities in percent, money with two decimals."""
    rows = [
        (
            item.customer_id,
            _percent(item.churn_probability),
            _money(item.value_at_risk),
            item.stage,
            item.days_since_last_order,
            "; ".join(item.reasons),
        )
        for item in page.items
    ]
    return ("customer", "churn", "value at risk", "stage", "days silent", "reasons"), rows


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _money(value: float | None) -> str:
    return "" if value is None else f"{value:,.2f}"
