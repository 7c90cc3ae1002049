"""Answers as rows of a table, for the command line and the demo."""

from __future__ import annotations

from collections.abc import Sequence

from serving.schemas import Recommendations
from serving.schemas_contact import ContactPlanPage
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
            item.expected_back_by or "",
            "" if item.days_overdue is None else item.days_overdue,
            "; ".join(item.reasons),
        )
        for item in page.items
    ]
    return (
        "customer",
        "churn",
        "value at risk",
        "stage",
        "days silent",
        "expected by",
        "days overdue",
        "reasons",
    ), rows


def contact_rows(page: ContactPlanPage, *, most: int) -> Rows:
    """One row per customer to contact, the first `most` of them."""
    rows = [
        (
            item.rank,
            item.customer_id,
            _money(item.expected_profit),
            _percent(item.churn_probability),
            _money(item.worth),
            item.days_since_last_order,
            "; ".join(item.reasons),
        )
        for item in page.items[:most]
    ]
    return ("rank", "customer", "expected profit", "churn", "worth", "days silent", "reasons"), rows


def cut_rows(page: ContactPlanPage) -> Rows:
    """One row per length of the list; the one chosen is marked."""
    rows = [
        (
            "this list" if cut.contacts == page.summary.contacts else "",
            cut.contacts,
            _money(cut.profit),
            _money(cut.cost),
            f"{cut.churners:,.1f}",
            f"{cut.false_alarms:,.1f}",
            _percent(cut.caught_share),
            _percent(cut.precision),
        )
        for cut in page.table
    ]
    names = ("", "contacts", "expected profit", "cost", "churners", "false alarms", "of all churners", "precision")
    return names, rows


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _money(value: float | None) -> str:
    return "" if value is None else f"{value:,.2f}"
