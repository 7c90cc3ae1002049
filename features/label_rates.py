"""How often each label is true of a shop's customers as of a moment: the base rates that models are read against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from features.errors import DataError
from features.horizon import Horizon
from features.labels import (
    ACTIVE,
    ACTIVE_RULE,
    BOUGHT,
    RESPONDED,
    SPEND,
    STOPPED,
    campaign_labels,
    category_labels,
    customer_labels,
    until_known,
)
from features.lake import Lake
from features.schema import CONTACTS, PRODUCTS, C
from features.snapshot import columns_given, naive_utc

#: The labels' tables by name; each is one Parquet file where they are written.
CUSTOMER, CATEGORY, CAMPAIGN = "customer", "customer_category", "campaign"


@dataclass(frozen=True)
class LabelRate:
    """One label: when it is true, of whom it is asked, how many those are, and of how many of them it is true.

    `base_rate` is null where there is nobody to ask it of.
    """

    label: str
    rule: str
    asked_of: str
    rows: int
    true: int
    base_rate: float | None


@dataclass(frozen=True)
class LabelReport:
    """The labels as of a moment. `categories`: the share of customers who buy of each in the horizon, largest first."""

    as_of: datetime
    lake: str
    horizon: Horizon
    active_rule: str
    labels: list[LabelRate]
    spend_mean: float | None
    categories: Mapping[str, float]
    notes: list[str]

    def as_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {**asdict(self), "as_of": self.as_of.isoformat()}


def label_tables(lake: Lake, backend: Any, as_of: datetime, horizon: Horizon) -> tuple[dict[str, Any], list[str]]:
    """The labels that the shop's data allow, by name (Ibis), and what there is to say of those left out.

    Raises DataError where the horizon after `as_of` has not passed.
    """
    until_known(lake, as_of, horizon.days)
    tables, given = lake.tables(backend), columns_given(lake)
    found = {CUSTOMER: customer_labels(tables, as_of, horizon_days=horizon.days)}
    notes = []
    if f"{PRODUCTS.name}.{C.CATEGORY}" in given:
        found[CATEGORY] = category_labels(tables, as_of, horizon_days=horizon.days)
    if f"{CONTACTS.name}.{C.CONTACTED_AT}" in given:
        try:
            until_known(lake, as_of, 2 * horizon.days)
            found[CAMPAIGN] = campaign_labels(tables, as_of, horizon_days=horizon.days)
        except DataError:
            known = datetime.fromisoformat(lake.manifest["last_order_at"]) - timedelta(days=2 * horizon.days)
            notes.append(
                "What came of contacts within the horizon is known a horizon after the last of them: ask as of "
                f"{known:%Y-%m-%d} or before."
            )
    return found, notes


def label_report(lake: Lake, backend: Any, as_of: datetime, horizon: Horizon) -> LabelReport:
    """Each label's base rate. Raises DataError where the horizon after `as_of` has not passed."""
    tables, notes = label_tables(lake, backend, as_of, horizon)
    customers = tables[CUSTOMER]
    active = customers.filter(customers[ACTIVE])
    days = horizon.days
    rates = [
        _rate(customers, ACTIVE, ACTIVE_RULE, "customers who ever bought"),
        _rate(active, STOPPED, f"no order within {days} days", "active customers"),
        _rate(customers, BOUGHT, f"an order within {days} days", "customers who ever bought"),
    ]
    spend = None
    if lake.has_amounts:
        spend = customers[SPEND].mean().to_pyarrow().as_py()
        above = customers.mutate(**{SPEND: customers[SPEND] > 0})
        rates.append(_rate(above, SPEND, f"spend above 0 within {days} days", "customers who ever bought"))
    shares: dict[str, float] = {}
    if CATEGORY in tables:
        pairs = tables[CATEGORY]
        rates.append(
            _rate(pairs, BOUGHT, f"of the category, within {days} days", "customers and categories", name="category")
        )
        by_category = pairs.group_by(C.CATEGORY).aggregate(share=pairs[BOUGHT].mean())
        ordered = by_category.order_by([by_category.share.desc(), by_category[C.CATEGORY]]).to_pyarrow().to_pylist()
        shares = {row[C.CATEGORY]: row["share"] for row in ordered}
    if CAMPAIGN in tables:
        contacts = tables[CAMPAIGN]
        after = f"within {days} days of it"
        for treated, whom in ((True, "contacts"), (False, "customers held out")):
            those = contacts.filter(contacts[C.TREATED] == treated)
            if treated:
                rates.append(_rate(those, RESPONDED, f"a response to the campaign {after}", whom))
            rates.append(_rate(those, BOUGHT, f"an order {after}", whom))
    return LabelReport(naive_utc(as_of), lake.version, horizon, ACTIVE_RULE, rates, spend, shares, notes)


def _rate(rows: Any, label: str, rule: str, asked_of: str, *, name: str | None = None) -> LabelRate:
    [found] = rows.aggregate(rows=rows.count(), true=rows[label].sum().fill_null(0)).to_pyarrow().to_pylist()
    base_rate = found["true"] / found["rows"] if found["rows"] else None
    return LabelRate(name or label, rule, asked_of, found["rows"], int(found["true"]), base_rate)
