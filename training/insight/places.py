"""How each channel and each store does, and for which customers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.insight.faces import ALL, Cube
from training.insight.shop import WINDOW_DAYS, Shop

PLACES = ("channel", "store")


def usual_stores(shop: Shop) -> NDArray[np.object_]:
    """(customers,) the store each usually buys in; None where the shop does not know it.

    Formula: the store of most orders in the 364 days up to the customer's last order with a store; of several, the one
    they came to last.
    Source: descriptive.
    """
    stores = np.full(shop.customers, None, dtype=object)
    if shop.has("order_lines.store_id"):
        found = shop.frame(
            f"""
            WITH own AS (
                SELECT customer, store_id, ordered_at, max(ordered_at) OVER (PARTITION BY customer) AS last
                FROM trips WHERE bought AND store_id IS NOT NULL
            ), counted AS (
                SELECT customer, store_id, count(*) AS orders, max(ordered_at) AS latest
                FROM own WHERE ordered_at > last - INTERVAL {WINDOW_DAYS} DAY GROUP BY 1, 2
            )
            SELECT customer, arg_max(store_id, (orders, latest, store_id)) AS store FROM counted GROUP BY customer
            """
        )
        stores[found["customer"]] = found["store"]
    return stores


def place_performance(cube: Cube, *, by: str = "segment") -> dict[str, Any] | None:
    """For channel and store: one row per place, and what each group of customers spends there; null where neither is.

    Formula: of orders of the last 364 days: customers, orders, spend, spend / customers, spend / orders; share = spend
    of the place / of all; values[g][p] = share of the spend of group g (rows) that is spent in place p (columns), null
    where the group spends nothing. All that is of spend is null where the shop does not know amounts.
    Source: descriptive; the numbers are faces of the cube.
    """
    dimensions = {one.name: one for one in cube.dimensions}
    found = {}
    for place in PLACES:
        if place not in dimensions:
            continue
        values = dimensions[place].values
        orders, spend = (cube.face(place, ALL, name)[:, 0] for name in ("orders", "spend"))
        counted = {
            "customers": np.nan_to_num(cube.face(place, ALL, "customers")[:, 0]),
            "orders": np.nan_to_num(orders),
        }
        counted |= {
            name: cube.face(place, ALL, name)[:, 0] for name in ("spend", "spend_per_customer", "spend_per_order")
        }
        counted["share"] = _shares(spend[None, :])[0]
        rows = [
            {"place": value, **{name: _known(numbers[at]) for name, numbers in counted.items()}}
            for at, value in enumerate(values)
            if not np.isnan(orders[at])
        ]
        share = _shares(cube.face(by, place, "spend"))
        found[place] = {
            "places": rows,
            "rows": list(dimensions[by].values),
            "columns": list(values),
            "values": [[_known(one) for one in row] for row in share],
        }
    return found or None


def _shares(spend: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each row, the share of each place; NaN where nothing was spent in the row, or it is not known."""
    spent = np.nan_to_num(spend)
    whole = spent.sum(axis=1, keepdims=True)
    shares: NDArray[np.float64] = np.divide(spent, whole, out=np.full_like(spent, np.nan), where=whole > 0)
    return shares


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
