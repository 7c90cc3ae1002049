"""The model of categories learned from moments before the test, and how well it does on it, category by category."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.engine import connect
from features.matrix import Purchases, day_number, read_purchases
from features.schema import PRODUCTS, C
from training.category_fit import fit_category_propensity
from training.category_propensity import CategoryPropensity, signals_of
from training.evidence import Evidence
from training.gather_evidence import gather
from training.metrics_outcome import auc_or_nan, average_precision_or_nan, calibration_error
from training.outcome_backtest import BackTest, at, predict_with
from training.own_share import Likelihood, likelihoods, orders_by_chance
from training.protocols import Context, Metric

#: Categories learned apart: those most sold. The others are taken as all are.
MOST_CATEGORIES = 300
#: Customers learned from at each moment, and moments. Each customer gives a row for every category.
MOST_CUSTOMERS, MOMENTS = 800, 2
#: Customers whose purchases are counted at each moment.
MOST_COUNTED = 20_000
#: A category with fewer buyers in the test has no metrics of its own.
LEAST_BUYERS = 20

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Asked:
    """Pairs of customer and category at one moment: signals, own share's probability, the category, what came."""

    signals: Floats
    own_share: Floats
    category: NDArray[np.int64]
    bought: NDArray[np.bool_]


@dataclass(frozen=True)
class Categories:
    """The model, its metrics on the test, and one row for each category with buyers enough."""

    model: CategoryPropensity
    metrics: Sequence[Metric]
    table: Sequence[dict[str, Any]]


def learn_categories(context: Context, backtest: BackTest) -> Categories | None:
    """The model of every category's purchases; None where the shop's products have no categories.

    Learned at the latest validation moments, with the orders ahead that the tested model foretells; tested at the test
    cut-off on customers and moments it did not learn from.
    """
    if PRODUCTS.name not in context.lake.rows:
        return None
    purchases = read_purchases(context.lake, connect(context.settings))
    code, names = _categories(context, purchases)
    if not names:
        return None
    setting = backtest.setting
    rng = np.random.default_rng(setting.config.seed)
    parts = [
        _asked(purchases, code, names, moment, at(backtest.examples, [moment]), backtest, rng)
        for moment in setting.moments.validation[:MOMENTS]
    ]
    signals, category, bought = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("signals", "category", "bought")
    )
    if not 0 < bought.sum() < len(bought):
        return None
    model = fit_category_propensity(signals, bought, category, names, horizon_days=setting.horizon_days)
    test = _asked(purchases, code, names, setting.moments.test, backtest.test, backtest, rng)
    table = _by_category(model, test, names)
    return Categories(model, _means(table), table)


def _categories(context: Context, purchases: Purchases) -> tuple[NDArray[np.int64], list[str]]:
    """(products,) the number of each product's category, -1 for one not learned apart, and their names."""
    products = context.lake.tables(connect(context.settings))[PRODUCTS.name]
    described = products.select(C.PRODUCT_ID, C.CATEGORY).to_pyarrow()
    place = pc.index_in(purchases.product_ids, value_set=described[C.PRODUCT_ID].combine_chunks()).to_numpy(
        zero_copy_only=False
    )
    known = described[C.CATEGORY].to_pylist()
    named = pd.Series([known[int(at)] if np.isfinite(at) else None for at in place.astype(float)], dtype=object)
    sold = np.bincount(purchases.products, minlength=purchases.n_products)
    most = pd.Series(sold).groupby(named).sum().sort_values(ascending=False, kind="stable").head(MOST_CATEGORIES)
    names = sorted(str(name) for name in most.index)
    return pd.Categorical(named, names).codes.astype(np.int64), names


def _asked(
    purchases: Purchases,
    code: NDArray[np.int64],
    names: Sequence[str],
    moment: datetime,
    rows: pd.DataFrame,
    backtest: BackTest,
    rng: np.random.Generator,
) -> Asked:
    day, horizon = day_number(moment), backtest.setting.horizon_days
    wanted_ids = pa.array(rows[C.CUSTOMER_ID].to_numpy(), type=purchases.customer_ids.type)
    customers = pc.index_in(wanted_ids, value_set=purchases.customer_ids).to_numpy(zero_copy_only=False).astype(int)
    chosen = np.sort(rng.choice(len(rows), min(MOST_CUSTOMERS, len(rows)), replace=False))
    counted = _some_customers(purchases, customers, chosen, rng)
    evidence = _of(_evidence(counted.before(day), purchases.n_products, day), customers[chosen])
    probability = predict_with(backtest.setting.question, backtest.model, rows.iloc[chosen])
    ahead = orders_by_chance(probability)
    end = day_number(moment + timedelta(days=horizon))
    future = counted.keep_orders((counted.order_day >= day) & (counted.order_day < end))
    row = np.full(purchases.n_customers, -1, dtype=np.int64)
    row[customers[chosen]] = np.arange(len(chosen))
    came = np.zeros((len(chosen), len(names)), dtype=bool)
    buyer, bought_of = row[future.line_customer], code[future.products]
    of_them = (buyer >= 0) & (bought_of >= 0)
    came[buyer[of_them], bought_of[of_them]] = True
    found = likelihoods(evidence, code, len(names), ahead)
    signals = [
        signals_of(evidence, Likelihood(*(of_all[place] for of_all in found)), code == place, as_of_day=day)
        for place in range(len(names))
    ]
    bought = came.T.ravel()
    category = np.repeat(np.arange(len(names)), len(chosen))
    return Asked(np.concatenate(signals), found.probability.ravel(), category, bought)


def _some_customers(
    purchases: Purchases, customers: NDArray[np.int64], chosen: NDArray[np.int64], rng: np.random.Generator
) -> Purchases:
    """The purchases of a sample of the customers, those chosen among it: what a shop sells is known from so many."""
    if len(customers) <= MOST_COUNTED:
        return purchases
    kept = np.zeros(purchases.n_customers, dtype=bool)
    kept[rng.choice(customers, MOST_COUNTED, replace=False)] = True
    kept[customers[chosen]] = True
    return purchases.keep_orders(kept[purchases.order_customer])


def _evidence(history: Purchases, n_products: int, day: float) -> Evidence:
    nothing = np.zeros((n_products, 1), dtype=np.float32)
    return gather(
        history,
        np.arange(n_products, dtype=np.int32),
        n_products=n_products,
        as_of_day=day,
        against=np.zeros(0, dtype=np.int64),
        support=nothing.astype(np.int32),
        confidence=nothing,
        strength=nothing,
    )


def _of(evidence: Evidence, customers: NDArray[np.int64]) -> Evidence:
    """The evidence of these customers alone; of the products, that of all customers."""
    start, size = evidence.own_start[customers], np.diff(evidence.own_start)[customers]
    ends = np.cumsum(size)
    pairs = np.repeat(start - (ends - size), size) + np.arange(int(size.sum()))
    return replace(
        evidence,
        own_start=np.concatenate(([0], ends)),
        own_products=evidence.own_products[pairs],
        own_orders=evidence.own_orders[pairs],
        own_last=evidence.own_last[pairs],
        customer_orders=evidence.customer_orders[customers],
    )


def _by_category(model: CategoryPropensity, test: Asked, names: Sequence[str]) -> list[dict[str, Any]]:
    """One row for each category with LEAST_BUYERS among the customers tested."""
    found = []
    for place, name in enumerate(names):
        rows = test.category == place
        bought, buyers = test.bought[rows], int(test.bought[rows].sum())
        if not LEAST_BUYERS <= buyers < len(bought):
            continue
        said = model.probability(test.signals[rows], name)
        found.append(
            {
                "category": name,
                "buyers": buyers,
                "share": float(bought.mean()),
                "mean_probability": float(said.mean()),
                "auc": auc_or_nan(bought, said),
                "average_precision": average_precision_or_nan(bought, said),
                "ece": calibration_error(bought, said),
                "own_share_auc": auc_or_nan(bought, test.own_share[rows]),
                "own_share_average_precision": average_precision_or_nan(bought, test.own_share[rows]),
                "own_share_ece": calibration_error(bought, test.own_share[rows]),
            }
        )
    return found


def _means(table: Sequence[dict[str, Any]]) -> list[Metric]:
    """The mean of each column over categories; their names begin with `category.`."""
    if not table:
        return []
    columns = [name for name in table[0] if name not in ("category", "buyers")]
    return [Metric(f"category.{name}", float(np.mean([row[name] for row in table]))) for name in columns]
