"""Customers in plain facts, as a scoring tells them: last order, orders, spend, whether they are active."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from features.engine import connect
from features.errors import DataError
from features.schema import ORDER_LINES, C
from training.customer_scores import LONG_HORIZONS
from training.protocols import Context


def last_moment(context: Context) -> datetime:
    """Midnight UTC after the last purchase: everything known is before it."""
    lines = context.lake.tables(connect(context.settings))[ORDER_LINES.name]
    last = lines.filter(lines[C.QUANTITY] > 0)[C.ORDERED_AT].max().execute()
    if pd.isna(last):
        raise DataError("The lake has no purchases (order lines with a positive quantity). Load some:  regulars ingest")
    day = pd.Timestamp(last).to_pydatetime().replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=UTC)
    return day + timedelta(days=1)


def profiles(context: Context, as_of: datetime, *, horizon_days: int) -> pd.DataFrame:
    """One row per customer with a purchase before `as_of`, sorted by customer_id.

    last_order_at and orders count purchases; spend is net of returns, and usual_spend is what a horizon brought in
    over the last LONG_HORIZONS of them (fewer for a newer customer); both are empty where the shop has no amounts.
    """
    tables = context.lake.tables(connect(context.settings))
    found = facts(tables, as_of, horizon_days=horizon_days).order_by(C.CUSTOMER_ID).execute()
    return profiles_of(found, as_of, horizon_days=horizon_days)


def facts(tables: Mapping[str, Any], as_of: datetime, *, horizon_days: int) -> Any:
    """One row per customer with a purchase before `as_of`: what profiles are made of, not yet computed."""
    naive = as_of.astimezone(UTC).replace(tzinfo=None)
    horizon = timedelta(days=horizon_days)
    lines = tables[ORDER_LINES.name]
    lines = lines.filter(lines[C.ORDERED_AT] < naive)
    bought = lines[C.QUANTITY] > 0
    # An order's moment is that of its first line; its lines may be minutes apart.
    orders = lines.filter(bought).group_by([C.CUSTOMER_ID, C.ORDER_ID]).aggregate(ordered_at=lines[C.ORDERED_AT].min())
    of_orders = orders.group_by(C.CUSTOMER_ID).aggregate(
        last_order_at=orders.ordered_at.max(), first_order_at=orders.ordered_at.min(), orders=orders.count()
    )
    amount = lines[C.AMOUNT].cast("float64")
    recent = lines[C.ORDERED_AT] >= naive - LONG_HORIZONS * horizon
    money = lines.group_by(C.CUSTOMER_ID).aggregate(spend=amount.sum(), recent_spend=amount.sum(where=recent))
    return of_orders.left_join(money, C.CUSTOMER_ID).drop(f"{C.CUSTOMER_ID}_right")


def profiles_of(found: pd.DataFrame, as_of: datetime, *, horizon_days: int) -> pd.DataFrame:
    """The profiles of `facts`, row by row."""
    naive = as_of.astimezone(UTC).replace(tzinfo=None)
    horizon = timedelta(days=horizon_days)
    silent = naive - found["last_order_at"]
    tenure = naive - found["first_order_at"]
    horizons = (tenure.dt.total_seconds() / horizon.total_seconds()).clip(lower=1, upper=LONG_HORIZONS)
    has_amounts = found["spend"].notna()
    return pd.DataFrame(
        {
            "customer_id": found[C.CUSTOMER_ID],
            "last_order_at": found["last_order_at"].dt.tz_localize("UTC"),
            "orders": found["orders"],
            "spend": found["spend"],
            "usual_spend": found["recent_spend"].fillna(0.0).where(has_amounts) / horizons,
            "days_since_last_order": silent.dt.days,
            "days_since_first_order": tenure.dt.days,
            "active": silent <= horizon,
        }
    )
