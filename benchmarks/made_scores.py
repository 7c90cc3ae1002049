"""A scoring of any size, made up: lists, neighbours and scores are random. It measures time and memory alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.home import Home, new_directory, write_text
from training.bundle import seal
from training.customer_scores import SCHEMA
from training.evidence import Evidence
from training.next_orders import CURVE_HORIZONS
from training.ranked_lists import NO_PRODUCT, RankedLists, save_ranked_lists
from training.reasons import REASONS

AS_OF = datetime(2024, 6, 1, tzinfo=UTC)
DEPTH, NEIGHBOURS, POPULAR = 100, 20, 500
_CHUNK = 100_000


def made_scores(
    home: Home, *, version: str, customers: int, products: int, ranked: int | None = None, seed: int = 0
) -> None:
    """Write a scoring and make it current. `ranked`: how many customers have lists (unset: all)."""
    target = home.scores / "versions" / version
    if not target.exists():
        rng = np.random.default_rng(seed)
        ids = np.char.mod("c%07d", np.arange(customers))
        with new_directory(target) as aside:
            _write_customers(aside / "customers.parquet", ids, rng)
            (aside / "ranking").mkdir()
            save_ranked_lists(_lists(ids[: customers if ranked is None else ranked], products, rng), aside / "ranking")
            models = {"recommender": 1, "churn": 1, "propensity": 1, "value": 1}
            about = {"created_at": AS_OF.isoformat(), "as_of": AS_OF.isoformat(), "lake_version": "made-up"}
            about |= {"horizon_days": 28, "currency": "USD", "customers": customers, "models": models, "notes": []}
            seal(aside, kind="scores", about=about)
    write_text(home.scores / "CURRENT", version)


def _write_customers(path: object, ids: np.ndarray, rng: np.random.Generator) -> None:
    stages = np.array(["new", "regular", "slipping", "lapsed", "lost"])
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for start in range(0, len(ids), _CHUNK):
            part = ids[start : start + _CHUNK]
            n = len(part)
            silent = rng.integers(0, 60, n)
            active = silent < 28
            churn = np.where(active, rng.random(n), np.nan)
            spend = rng.gamma(2.0, 40.0, n)
            columns = {
                "customer_id": part,
                "last_order_at": [AS_OF - timedelta(days=int(days)) for days in silent],
                "orders": rng.integers(1, 200, n),
                "spend": spend * 30,
                "days_since_last_order": silent,
                "active": active,
                "churn_probability": pa.array(churn, from_pandas=True),
                "purchase_probability": rng.random(n),
                "expected_spend": spend,
                "value_at_risk": pa.array(churn * spend, from_pandas=True),
                "stage": stages[rng.integers(0, 5, n)],
                **_next_orders(silent, rng),
                "expected_spend_low": spend * 0.2,
                "expected_spend_high": spend * 2,
                "lifetime_value": spend * 9,
                "lifetime_value_low": spend,
                "lifetime_value_high": spend * 20,
                "reasons": pa.array(
                    [
                        [{"message": "silent", "lowers": False, "number": 6.0, "other": float(days), "detail": None}]
                        for days in silent
                    ],
                    type=REASONS,
                ),
            }
            # What nothing is made up for is unknown of everybody, as in scores of an earlier release.
            every = {field.name: columns.get(field.name, pa.nulls(n, field.type)) for field in SCHEMA}
            writer.write_table(pa.table(every).cast(SCHEMA))


def _next_orders(silent: np.ndarray, rng: np.random.Generator) -> dict[str, object]:
    """When each orders next, at random: the columns of training.next_orders."""
    due = rng.integers(1, 60, len(silent))
    ahead = rng.integers(1, 60, len(silent))
    within = np.sort(rng.random((len(silent), len(CURVE_HORIZONS)), dtype=np.float32), axis=1)
    starts = np.arange(len(silent) + 1, dtype=np.int32) * len(CURVE_HORIZONS)
    return {
        "next_order_expected_at": _days_from(AS_OF, ahead),
        "next_order_from": _days_from(AS_OF, ahead // 2),
        "next_order_until": _days_from(AS_OF, ahead * 2),
        "expected_back_by": _days_from(AS_OF, due - silent),
        "days_overdue": np.maximum(silent - due, 0).astype(np.int32),
        "order_within": pa.ListArray.from_arrays(starts, within.ravel()),
    }


def _days_from(moment: datetime, days: np.ndarray) -> pa.Array:
    at = np.datetime64(moment.replace(tzinfo=None), "us") + days * np.timedelta64(1, "D")
    return pa.array(at, type=pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC"))


def _lists(ids: np.ndarray, products: int, rng: np.random.Generator) -> RankedLists:
    names = np.char.mod("product number %05d", np.arange(products))
    categories = np.char.mod("category %03d", rng.integers(0, 300, products))
    table = pa.table(
        {
            "product_id": np.char.mod("p%06d", np.arange(products)),
            "name": names,
            "department": np.char.mod("department %02d", rng.integers(0, 25, products)),
            "category": categories,
            "brand": np.char.mod("brand %04d", rng.integers(0, 3000, products)),
            "price": rng.gamma(2.0, 3.0, products).round(2),
            "in_stock": rng.random(products) > 0.05,
        }
    )
    # Popular products stand on most lists: codes by a power law, as orders are.
    weights = (1 / np.arange(1, products + 1) ** 0.9).cumsum()
    shape = (len(ids), DEPTH)
    lists = np.searchsorted(weights, rng.random(shape) * weights[-1]).astype(np.int32)
    lists.sort(axis=1)
    lists[:, 1:][lists[:, 1:] == lists[:, :-1]] = NO_PRODUCT
    return RankedLists(
        customers=pa.table({"customer_id": ids}),
        products=table,
        lists=lists,
        scores=-np.sort(-rng.random(shape), axis=1).astype(np.float32),
        sources=rng.integers(0, 3, shape).astype(np.uint8),
        own_orders=(rng.random(shape) < 0.3).astype(np.uint16) * rng.integers(1, 9, shape).astype(np.uint16),
        popular=np.arange(POPULAR, dtype=np.int32),
        neighbours=rng.integers(0, products, (products, NEIGHBOURS)).astype(np.int32),
        neighbour_lift=-np.sort(-rng.random((products, NEIGHBOURS)) * 5, axis=1).astype(np.float32),
        about={"as_of": AS_OF.isoformat()},
        evidence=_evidence(lists, products, rng),
    )


def _evidence(lists: np.ndarray, products: int, rng: np.random.Generator) -> Evidence:
    """Each customer bought a third of their list, 1 to 8 times."""
    customers = len(lists)
    own = np.sort(np.where(rng.random(lists.shape) < 1 / 3, lists, NO_PRODUCT), axis=1)
    bought = own != NO_PRODUCT
    sizes = bought.sum(axis=1)
    n = int(sizes.sum())
    orders = rng.integers(1, 9, n).astype(np.uint16)
    today = AS_OF.timestamp() / 86_400
    sold = np.bincount(own[bought], minlength=products).astype(np.int32)
    return Evidence(
        own_start=np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
        own_products=own[bought].astype(np.int32),
        own_orders=orders,
        own_last=today - rng.uniform(0.5, 90, n),
        own_gap=np.where(orders > 1, rng.uniform(3, 60, n), np.nan).astype(np.float32),
        against_start=np.zeros(customers + 1, dtype=np.int64),
        against_products=np.zeros(0, dtype=np.int32),
        customer_orders=rng.integers(1, 200, customers).astype(np.int32),
        sold_orders=sold,
        sold_lately=rng.binomial(sold, 0.1).astype(np.int32),
        sold_before=rng.binomial(sold, 0.1).astype(np.int32),
        first_sold=np.full(products, today - 365),
        neighbour_support=rng.integers(3, 400, (products, NEIGHBOURS)).astype(np.int32),
        neighbour_confidence=rng.random((products, NEIGHBOURS)).astype(np.float32),
        neighbour_strength=-np.sort(-rng.random((products, NEIGHBOURS)) * 5, axis=1).astype(np.float32),
        orders=int(orders.sum()),
        days=365.0,
        window_days=29.0,
    )
