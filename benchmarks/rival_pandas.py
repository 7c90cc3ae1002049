"""The customer and product features in pandas, as somebody who knows it well would write them.

Ids are categories, money is float64, only the columns needed are read, and only rows before the moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.rival_columns import PRODUCT_WINDOWS, TRENDS, WINDOWS

_IDS = ("customer_id", "order_id", "product_id", "store_id")
_MONEY = ("amount", "discount", "coupon")


def compute(lines_file: Path, products_file: Path, as_of: datetime, targets: Mapping[str, Path]) -> None:
    """Writes one Parquet file for customers, one for products."""
    moment = pd.Timestamp(as_of)
    lines = _read(lines_file, as_of)
    catalogue = pd.read_parquet(products_file, columns=["product_id", "category", "brand"])
    bought = lines["quantity"] > 0
    pairs = _pairs(lines[bought], moment)
    product_features(lines, bought, pairs, catalogue, moment).to_parquet(targets["product"])
    orders = _orders(lines, bought)
    del lines, bought
    customer_features(orders, pairs, catalogue, moment).to_parquet(targets["customer"])


def _read(file: Path, as_of: datetime) -> pd.DataFrame:
    names = [*_IDS, "ordered_at", "quantity", *_MONEY]
    table = pq.read_table(
        file, columns=names, filters=[("ordered_at", "<", as_of)], read_dictionary=list(_IDS), use_threads=True
    )
    for name in _MONEY:
        place = table.column_names.index(name)
        table = table.set_column(place, name, table[name].cast(pa.float64()))
    return table.to_pandas(self_destruct=True, split_blocks=True)


def _days(times: pd.Series, moment: pd.Timestamp) -> pd.Series:
    return (moment - times) / pd.Timedelta(days=1)


def _per(part: Any, whole: pd.Series) -> pd.Series:
    return part / whole.where(whole > 0)


def _orders(lines: pd.DataFrame, bought: pd.Series) -> pd.DataFrame:
    """One row per order and moment; `starts` where the order was placed, at its first purchased line."""
    made = pd.DataFrame(
        {
            "customer_id": lines["customer_id"],
            "order_id": lines["order_id"],
            "at": lines["ordered_at"],
            "store_id": lines["store_id"],
            "lines": bought,
            "amount": lines["amount"],
            "returned": -lines["amount"].where(lines["quantity"] < 0, 0.0),
            "discount": lines["discount"].where(bought, 0.0),
            "coupon": lines["coupon"].where(bought, 0.0),
        }
    )
    orders = made.groupby(["customer_id", "order_id", "at"], observed=True, sort=False).agg(
        lines=("lines", "sum"),
        amount=("amount", "sum"),
        returned=("returned", "sum"),
        discount=("discount", "sum"),
        coupon=("coupon", "sum"),
        store_id=("store_id", "first"),
    )
    orders = orders.reset_index()
    orders["bought_at"] = orders["at"].where(orders["lines"] > 0)
    first = orders.groupby(["customer_id", "order_id"], observed=True, sort=False)["bought_at"].transform("min")
    orders["starts"] = orders["bought_at"].notna() & (orders["bought_at"] == first)
    return orders.drop(columns=["order_id", "bought_at"])


def _pairs(sold: pd.DataFrame, moment: pd.Timestamp) -> pd.DataFrame:
    """One row per customer and product bought."""
    keys = {"customer_id": sold["customer_id"], "product_id": sold["product_id"], "at": sold["ordered_at"]}
    recent = {f"lines_{days}d": sold["ordered_at"] >= moment - pd.Timedelta(days=days) for days in (90, 180)}
    grouped = pd.DataFrame(keys | recent).groupby(["customer_id", "product_id"], observed=True, sort=False)
    return grouped.agg(
        first_at=("at", "min"),
        last_at=("at", "max"),
        lines=("at", "size"),
        lines_90d=("lines_90d", "sum"),
        lines_180d=("lines_180d", "sum"),
    ).reset_index()


def customer_features(
    orders: pd.DataFrame, pairs: pd.DataFrame, catalogue: pd.DataFrame, moment: pd.Timestamp
) -> pd.DataFrame:
    """One row per customer with a purchase."""
    buying = orders[orders["starts"]]
    table = _order_features(orders, buying, moment).join(_visit_features(buying, moment))
    table = table.join(_breadth_features(pairs, catalogue, moment))
    silence = table["days_since_last_order"]
    for name in ("mean", "recent", "longest"):
        table[f"silence_to_gap_{name}"] = silence / table[f"gap_{name}_days"].clip(lower=1.0)
    table["silence_deviations"] = (silence - table["gap_mean_days"]) / (table["gap_spread_days"] + 1.0)
    table["days_to_expected_order"] = table["gap_median_days"] - silence
    for what, days in TRENDS:
        recent, both = table[f"{what}_{days}d"], table[f"{what}_{2 * days}d"]
        table[f"{what}_trend_{days}d"] = (recent + 1.0) / (both - recent + 1.0)
    return table.reset_index()


def _order_features(orders: pd.DataFrame, buying: pd.DataFrame, moment: pd.Timestamp) -> pd.DataFrame:
    at, placed = orders["at"], orders["starts"]
    since = {days: at >= moment - pd.Timedelta(days=days) for days in WINDOWS}
    half_year = placed & since[180]
    sums = {
        "customer_id": orders["customer_id"],
        "orders_life": placed,
        "spend_life": orders["amount"],
        "lines_life": orders["lines"],
        "lines_90d": orders["lines"].where(since[90], 0),
        "returned": orders["returned"],
        "weekend": half_year & (at.dt.dayofweek >= 5),
        "evening": half_year & (at.dt.hour >= 17),
        "morning": half_year & (at.dt.hour < 12),
        "coupon": half_year & (orders["coupon"] > 0),
        "discount": orders["discount"].where(since[180], 0.0),
        "amount_180d": orders["amount"].where(since[180], 0.0),
    }
    for days in WINDOWS:
        sums[f"orders_{days}d"] = placed & since[days]
        sums[f"spend_{days}d"] = orders["amount"].where(since[days], 0.0)
    summed = pd.DataFrame(sums).groupby("customer_id", observed=True).sum()
    summed = summed[summed["orders_life"] > 0]
    times = buying.groupby("customer_id", observed=True)["at"].agg(["min", "max"])
    stores = buying.loc[buying["at"] >= moment - pd.Timedelta(days=180)].groupby("customer_id", observed=True)
    table = summed[["orders_life", "spend_life"]].copy()
    for days in WINDOWS:
        table[f"orders_{days}d"] = summed[f"orders_{days}d"]
        table[f"spend_{days}d"] = summed[f"spend_{days}d"]
    return table.assign(
        days_since_last_order=_days(times["max"], moment),
        days_since_first_order=_days(times["min"], moment),
        lines_per_order_life=_per(summed["lines_life"], summed["orders_life"]),
        lines_per_order_90d=_per(summed["lines_90d"], summed["orders_90d"]),
        spend_per_order_life=_per(summed["spend_life"], summed["orders_life"]),
        spend_per_order_90d=_per(summed["spend_90d"], summed["orders_90d"]),
        weekend_share_180d=_per(summed["weekend"], summed["orders_180d"]),
        evening_share_180d=_per(summed["evening"], summed["orders_180d"]),
        morning_share_180d=_per(summed["morning"], summed["orders_180d"]),
        stores_180d=stores["store_id"].nunique().reindex(summed.index, fill_value=0),
        returned_share_life=_per(summed["returned"], summed["spend_life"] + summed["returned"]).fillna(0.0),
        discount_share_180d=_per(summed["discount"], summed["discount"] + summed["amount_180d"]),
        coupon_order_share_180d=_per(summed["coupon"], summed["orders_180d"]),
    )


def _visit_features(buying: pd.DataFrame, moment: pd.Timestamp) -> pd.DataFrame:
    days = pd.DataFrame({"customer_id": buying["customer_id"], "day": buying["at"].dt.normalize()})
    visits = days.drop_duplicates().sort_values(["customer_id", "day"], ignore_index=True)
    ago = (moment - pd.Timedelta(seconds=1) - visits["day"]).dt.days
    visits["gap"] = visits.groupby("customer_id", observed=True)["day"].diff().dt.days
    for half_life in (14, 45):
        visits[f"decayed_{half_life}"] = np.exp2(-ago / half_life)
    within = ago < 84
    visits["week"] = (11 - ago // 7).where(within)
    visits["slope"] = (visits["week"] - 5.5).fillna(0.0)
    grouped = visits.groupby("customer_id", observed=True)
    gaps = visits[visits["gap"].notna()]
    recent = gaps.groupby("customer_id", observed=True).tail(5).groupby("customer_id", observed=True)["gap"]
    gap = grouped["gap"]
    return pd.DataFrame(
        {
            "visits_life": grouped.size(),
            "visits_decayed_14d": grouped["decayed_14"].sum(),
            "visits_decayed_45d": grouped["decayed_45"].sum(),
            "weeks_active_12w": grouped["week"].nunique(),
            "visits_slope_12w": grouped["slope"].sum() / sum((week - 5.5) ** 2 for week in range(12)),
            "gap_mean_days": gap.mean(),
            "gap_median_days": gap.median(),
            "gap_spread_days": gap.std(),
            "gap_longest_days": gap.max(),
            "gap_last_days": gap.last(),
            "gap_recent_days": recent.mean(),
        }
    )


def _breadth_features(pairs: pd.DataFrame, catalogue: pd.DataFrame, moment: pd.Timestamp) -> pd.DataFrame:
    flags = pd.DataFrame(
        {
            "customer_id": pairs["customer_id"],
            "products_90d": pairs["lines_90d"] > 0,
            "new_products_30d": pairs["first_at"] >= moment - pd.Timedelta(days=30),
            "repeated": pairs["lines"] > 1,
        }
    )
    by_product = flags.groupby("customer_id", observed=True)
    summed = by_product.sum()
    table = pd.DataFrame(
        {
            "products_life": by_product.size(),
            "products_90d": summed["products_90d"],
            "new_products_30d": summed["new_products_30d"],
            "repeated_product_share_life": summed["repeated"] / by_product.size(),
        }
    )
    by_category = _by(pairs, catalogue, "category")
    lost = (by_category["lines_90d"] == 0) & (by_category["last_at"] >= moment - pd.Timedelta(days=180))
    by_category["lost"] = lost
    by_category["recent"] = by_category["lines_90d"] > 0
    by_category["n_log_n"] = by_category["lines"] * np.log(by_category["lines"])
    categories = by_category.groupby("customer_id", observed=True)
    counted = categories[["lost", "recent", "lines", "n_log_n"]].sum()
    by_brand = _by(pairs, catalogue, "brand")
    by_brand = by_brand[by_brand["lines_180d"] > 0]
    return table.assign(
        categories_life=categories.size(),
        categories_90d=counted["recent"],
        categories_lost_90d=counted["lost"],
        category_entropy_life=np.log(counted["lines"]) - counted["n_log_n"] / counted["lines"],
        brands_180d=by_brand.groupby("customer_id", observed=True).size(),
    ).fillna(dict.fromkeys(("categories_life", "categories_90d", "categories_lost_90d", "brands_180d"), 0))


def _by(pairs: pd.DataFrame, catalogue: pd.DataFrame, attribute: str) -> pd.DataFrame:
    """Pairs added up by an attribute of the product."""
    values = catalogue.set_index("product_id")[attribute].astype("category")
    of_product = values.reindex(pairs["product_id"].cat.categories)
    placed = pairs[["customer_id", "last_at", "lines", "lines_90d", "lines_180d"]].assign(
        value=pd.Categorical.from_codes(
            of_product.cat.codes.to_numpy()[pairs["product_id"].cat.codes], dtype=of_product.dtype
        )
    )
    grouped = placed.groupby(["customer_id", "value"], observed=True, sort=False)
    return grouped.agg(
        last_at=("last_at", "max"),
        lines=("lines", "sum"),
        lines_90d=("lines_90d", "sum"),
        lines_180d=("lines_180d", "sum"),
    ).reset_index()


def product_features(
    lines: pd.DataFrame, bought: pd.Series, pairs: pd.DataFrame, catalogue: pd.DataFrame, moment: pd.Timestamp
) -> pd.DataFrame:
    """One row per product with a purchase."""
    quantity = lines["quantity"]
    since = {days: bought & (lines["ordered_at"] >= moment - pd.Timedelta(days=days)) for days in PRODUCT_WINDOWS}
    sums = {f"lines_{days}d": recent for days, recent in since.items()} | {
        "product_id": lines["product_id"],
        "back": -quantity.where(quantity < 0, 0.0),
        "sold": quantity.where(bought, 0.0),
        "paid_90d": lines["amount"].where(since[90], 0.0),
        "units_90d": quantity.where(since[90], 0.0),
        "discounted_90d": since[90] & (lines["discount"] > 0),
    }
    summed = pd.DataFrame(sums).groupby("product_id", observed=True).sum()
    days = (pairs["last_at"] - pairs["first_at"]) / pd.Timedelta(days=1)
    by_pair = pairs.assign(
        days=days, again=pairs["lines"] - 1, repeated=pairs["lines"] > 1, recent=pairs["lines_90d"] > 0
    ).groupby("product_id", observed=True)
    whole = by_pair[["lines", "recent", "repeated", "days", "again"]].sum()
    table = pd.DataFrame(index=whole.index)
    for days_back in PRODUCT_WINDOWS:
        table[f"lines_{days_back}d"] = summed[f"lines_{days_back}d"]
    category = catalogue.set_index("product_id")["category"].reindex(table.index)
    in_category = table["lines_90d"].groupby(category.fillna("").to_numpy()).transform("sum")
    return table.assign(
        lines_life=whole["lines"],
        buyers_life=by_pair.size(),
        buyers_90d=whole["recent"],
        repeat_rate_life=whole["repeated"] / by_pair.size(),
        reorder_gap_days=_per(whole["days"], whole["again"]),
        days_since_first_sold=_days(by_pair["first_at"].min(), moment),
        days_since_last_sold=_days(by_pair["last_at"].max(), moment),
        returned_share_life=_per(summed["back"], summed["sold"]),
        price_90d=_per(summed["paid_90d"], summed["units_90d"]),
        discounted_share_90d=_per(summed["discounted_90d"], summed["lines_90d"]),
        lines_trend_30d=(table["lines_30d"] + 1.0) / ((table["lines_90d"] - table["lines_30d"]) / 2.0 + 1.0),
        category_share_90d=_per(table["lines_90d"], in_category),
    ).reset_index()
