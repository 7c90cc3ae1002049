"""The customer and product features in Polars: lazy, on the streaming engine, as somebody who knows it well would.

The order lines are read in one streaming pass for each of three groupings; ids are categories, money is float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from benchmarks.rival_columns import PRODUCT_WINDOWS, TRENDS, WINDOWS

_IDS = ("customer_id", "order_id", "product_id", "store_id")
_MONEY = ("amount", "discount", "coupon")
_DAY = timedelta(days=1)


def compute(lines_file: Path, products_file: Path, as_of: datetime, targets: Mapping[str, Path]) -> None:
    """Writes one Parquet file for customers, one for products."""
    moment = pl.lit(as_of, pl.Datetime("us"))
    lines = (
        pl.scan_parquet(lines_file)
        .filter(pl.col("ordered_at") < moment)
        .with_columns(pl.col("customer_id", "product_id").cast(pl.Categorical), pl.col(_MONEY).cast(pl.Float64))
    )
    catalogue = pl.scan_parquet(products_file).select(pl.col("product_id").cast(pl.Categorical), "category", "brand")
    pairs = _pairs(lines, moment).collect(engine="streaming").lazy()
    product_features(lines, pairs, catalogue, moment).collect(engine="streaming").write_parquet(targets["product"])
    breadth = _breadth_features(pairs, catalogue, moment).collect(engine="streaming").lazy()
    del pairs
    orders = _orders(lines).collect(engine="streaming").lazy()
    made = customer_features(orders, breadth, moment)
    made.collect(engine="streaming").write_parquet(targets["customer"])


def _days(time: pl.Expr, moment: pl.Expr) -> pl.Expr:
    return (moment - time).dt.total_seconds() / 86_400.0


def _per(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    return pl.when(whole > 0).then(part / whole)


def _orders(lines: pl.LazyFrame) -> pl.LazyFrame:
    """One row per order and moment; `starts` where the order was placed, at its first purchased line."""
    bought = pl.col("quantity") > 0
    pieces = lines.group_by("customer_id", "order_id", at=pl.col("ordered_at")).agg(
        lines=bought.sum(),
        amount=pl.col("amount").sum(),
        returned=-pl.col("amount").filter(pl.col("quantity") < 0).sum(),
        discount=pl.col("discount").filter(bought).sum(),
        coupon=pl.col("coupon").filter(bought).sum(),
        store_id=pl.col("store_id").min(),
    )
    at, sold = pl.col("at"), pl.col("lines") > 0
    first = at.filter(sold).min().over("customer_id", "order_id")
    return pieces.with_columns(starts=sold & (at == first)).drop("order_id")


def _pairs(lines: pl.LazyFrame, moment: pl.Expr) -> pl.LazyFrame:
    """One row per customer and product bought."""
    at = pl.col("ordered_at")
    return (
        lines.filter(pl.col("quantity") > 0)
        .group_by("customer_id", "product_id")
        .agg(
            first_at=at.min(),
            last_at=at.max(),
            lines=pl.len(),
            lines_90d=(at >= moment - 90 * _DAY).sum(),
            lines_180d=(at >= moment - 180 * _DAY).sum(),
        )
    )


def customer_features(orders: pl.LazyFrame, breadth: pl.LazyFrame, moment: pl.Expr) -> pl.LazyFrame:
    """One row per customer with a purchase."""
    table = _order_features(orders, moment).join(_visit_features(orders, moment), on="customer_id", how="left")
    table = table.join(breadth, on="customer_id", how="left")
    silence = pl.col("days_since_last_order")
    table = table.with_columns(
        *(
            (silence / pl.col(f"gap_{name}_days").clip(lower_bound=1.0)).alias(f"silence_to_gap_{name}")
            for name in ("mean", "recent", "longest")
        ),
        *(
            (
                (pl.col(f"{what}_{days}d") + 1.0) / (pl.col(f"{what}_{2 * days}d") - pl.col(f"{what}_{days}d") + 1.0)
            ).alias(f"{what}_trend_{days}d")
            for what, days in TRENDS
        ),
        silence_deviations=(silence - pl.col("gap_mean_days")) / (pl.col("gap_spread_days") + 1.0),
        days_to_expected_order=pl.col("gap_median_days") - silence,
    )
    counted = ("categories_life", "categories_90d", "categories_lost_90d", "brands_180d")
    return table.with_columns(pl.col(counted).fill_null(0)).with_columns(pl.col("customer_id").cast(pl.String))


def _order_features(orders: pl.LazyFrame, moment: pl.Expr) -> pl.LazyFrame:
    at, bought, amount = pl.col("at"), pl.col("starts"), pl.col("amount")

    def recent(days: int) -> pl.Expr:
        return bought & (at >= moment - days * _DAY)

    half_year = recent(180)
    sums = orders.group_by("customer_id").agg(
        orders_life=bought.sum(),
        spend_life=amount.sum(),
        days_since_last_order=_days(at.filter(bought).max(), moment),
        days_since_first_order=_days(at.filter(bought).min(), moment),
        lines_life=pl.col("lines").sum(),
        lines_90d=pl.col("lines").filter(at >= moment - 90 * _DAY).sum(),
        weekend=(half_year & (at.dt.weekday() >= 6)).sum(),
        evening=(half_year & (at.dt.hour() >= 17)).sum(),
        morning=(half_year & (at.dt.hour() < 12)).sum(),
        stores_180d=pl.col("store_id").filter(half_year).n_unique(),
        returned=pl.col("returned").sum(),
        coupons=(half_year & (pl.col("coupon") > 0)).sum(),
        discount=pl.col("discount").filter(at >= moment - 180 * _DAY).sum(),
        amount_180d=amount.filter(at >= moment - 180 * _DAY).sum(),
        **{f"orders_{days}d": recent(days).sum() for days in WINDOWS},
        **{f"spend_{days}d": amount.filter(at >= moment - days * _DAY).sum() for days in WINDOWS},
    )
    col = pl.col
    return (
        sums.filter(col("orders_life") > 0)
        .with_columns(
            lines_per_order_life=_per(col("lines_life"), col("orders_life")),
            lines_per_order_90d=_per(col("lines_90d"), col("orders_90d")),
            spend_per_order_life=_per(col("spend_life"), col("orders_life")),
            spend_per_order_90d=_per(col("spend_90d"), col("orders_90d")),
            weekend_share_180d=_per(col("weekend"), col("orders_180d")),
            evening_share_180d=_per(col("evening"), col("orders_180d")),
            morning_share_180d=_per(col("morning"), col("orders_180d")),
            returned_share_life=_per(col("returned"), col("spend_life") + col("returned")).fill_null(0.0),
            discount_share_180d=_per(col("discount"), col("discount") + col("amount_180d")),
            coupon_order_share_180d=_per(col("coupons"), col("orders_180d")),
        )
        .drop(
            "lines_life", "lines_90d", "weekend", "evening", "morning", "returned", "coupons", "discount", "amount_180d"
        )
    )


def _visit_features(orders: pl.LazyFrame, moment: pl.Expr) -> pl.LazyFrame:
    days = orders.filter(pl.col("starts")).select("customer_id", day=pl.col("at").dt.date()).unique()
    ago = (moment.dt.offset_by("-1us").dt.date() - pl.col("day")).dt.total_days()
    visits = days.sort("customer_id", "day").with_columns(
        gap=pl.col("day").diff().dt.total_days().over("customer_id"), ago=ago
    )
    ago, gap, within = pl.col("ago"), pl.col("gap"), pl.col("ago") < 84
    week = 11 - ago // 7
    return visits.group_by("customer_id", maintain_order=True).agg(
        visits_life=pl.len(),
        visits_decayed_14d=(2.0 ** (-ago / 14)).sum(),
        visits_decayed_45d=(2.0 ** (-ago / 45)).sum(),
        weeks_active_12w=week.filter(within).n_unique(),
        visits_slope_12w=(week - 5.5).filter(within).sum() / sum((index - 5.5) ** 2 for index in range(12)),
        gap_mean_days=gap.mean(),
        gap_median_days=gap.median(),
        gap_spread_days=gap.std(),
        gap_longest_days=gap.max(),
        gap_last_days=gap.last(),
        gap_recent_days=gap.tail(5).mean(),
    )


def _breadth_features(pairs: pl.LazyFrame, catalogue: pl.LazyFrame, moment: pl.Expr) -> pl.LazyFrame:
    placed = pairs.join(catalogue, on="product_id", how="left")
    products = pairs.group_by("customer_id").agg(
        products_life=pl.len(),
        products_90d=(pl.col("lines_90d") > 0).sum(),
        new_products_30d=(pl.col("first_at") >= moment - 30 * _DAY).sum(),
        repeated_product_share_life=(pl.col("lines") > 1).mean(),
    )
    by_category = (
        placed.filter(pl.col("category").is_not_null())
        .group_by("customer_id", "category")
        .agg(pl.col("last_at").max(), pl.col("lines", "lines_90d").sum())
    )
    n = pl.col("lines").cast(pl.Float64)
    lost = (pl.col("lines_90d") == 0) & (pl.col("last_at") >= moment - 180 * _DAY)
    categories = by_category.group_by("customer_id").agg(
        categories_life=pl.len(),
        categories_90d=(pl.col("lines_90d") > 0).sum(),
        categories_lost_90d=lost.sum(),
        category_entropy_life=n.sum().log() - (n * n.log()).sum() / n.sum(),
    )
    brands = (
        placed.filter(pl.col("brand").is_not_null() & (pl.col("lines_180d") > 0))
        .group_by("customer_id")
        .agg(brands_180d=pl.col("brand").n_unique())
    )
    return products.join(categories, on="customer_id", how="left").join(brands, on="customer_id", how="left")


def product_features(
    lines: pl.LazyFrame, pairs: pl.LazyFrame, catalogue: pl.LazyFrame, moment: pl.Expr
) -> pl.LazyFrame:
    """One row per product with a purchase."""
    at, quantity = pl.col("ordered_at"), pl.col("quantity")
    bought = quantity > 0
    quarter = bought & (at >= moment - 90 * _DAY)
    sums = lines.group_by("product_id").agg(
        **{f"lines_{days}d": (bought & (at >= moment - days * _DAY)).sum() for days in PRODUCT_WINDOWS},
        back=-quantity.filter(quantity < 0).sum(),
        sold=quantity.filter(bought).sum(),
        paid_90d=pl.col("amount").filter(quarter).sum(),
        units_90d=quantity.filter(quarter).sum(),
        discounted_90d=(quarter & (pl.col("discount") > 0)).sum(),
    )
    many = pl.col("lines") > 1
    whole = pairs.group_by("product_id").agg(
        lines_life=pl.col("lines").sum(),
        buyers_life=pl.len(),
        buyers_90d=(pl.col("lines_90d") > 0).sum(),
        repeat_rate_life=many.mean(),
        days=(pl.col("last_at") - pl.col("first_at")).dt.total_seconds().sum() / 86_400.0,
        again=(pl.col("lines") - 1).sum(),
        days_since_first_sold=_days(pl.col("first_at").min(), moment),
        days_since_last_sold=_days(pl.col("last_at").max(), moment),
    )
    col = pl.col
    joined = whole.join(sums, on="product_id", how="left").join(catalogue, on="product_id", how="left")
    return joined.select(
        col("product_id").cast(pl.String),
        *(f"lines_{days}d" for days in PRODUCT_WINDOWS),
        "lines_life",
        "buyers_life",
        "buyers_90d",
        "repeat_rate_life",
        "days_since_first_sold",
        "days_since_last_sold",
        reorder_gap_days=_per(col("days"), col("again")),
        returned_share_life=_per(col("back"), col("sold")),
        price_90d=_per(col("paid_90d"), col("units_90d")),
        discounted_share_90d=_per(col("discounted_90d"), col("lines_90d")),
        lines_trend_30d=(col("lines_30d") + 1.0) / ((col("lines_90d") - col("lines_30d")) / 2.0 + 1.0),
        category_share_90d=_per(col("lines_90d"), col("lines_90d").sum().over("category")),
    )
