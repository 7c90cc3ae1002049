"""How each channel and each store does, and for which customers."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.insight.faces import ALL, Cube

PLACES = ("channel", "store")


def place_performance(cube: Cube, *, by: str = "segment") -> dict[str, Any] | None:
    """For channel and store: one row per place, and what each group of customers spends there; null where neither is.

    Formula: of orders of the last 364 days: customers, orders, spend, spend / customers, spend / orders; share = spend
    of the place / of all; values[g][p] = share of the spend of group g (rows) that is spent in place p (columns).
    Source: descriptive; the numbers are faces of the cube.
    """
    dimensions = {one.name: one for one in cube.dimensions}
    found = {}
    for place in PLACES:
        if place not in dimensions:
            continue
        values = dimensions[place].values
        counted = {
            name: np.nan_to_num(cube.face(place, ALL, name)[:, 0])
            for name in ("customers", "orders", "spend", "spend_per_customer", "spend_per_order")
        }
        total = max(float(counted["spend"].sum()), 1e-9)
        rows = [
            {
                "place": value,
                **{name: float(numbers[at]) for name, numbers in counted.items()},
                "share": float(counted["spend"][at] / total),
            }
            for at, value in enumerate(values)
            if counted["orders"][at] or counted["spend"][at]
        ]
        spend = np.nan_to_num(cube.face(by, place, "spend"))
        whole = spend.sum(axis=1, keepdims=True)
        share = np.divide(spend, whole, out=np.zeros_like(spend), where=whole > 0)
        found[place] = {
            "places": rows,
            "rows": list(dimensions[by].values),
            "columns": list(values),
            "values": share.tolist(),
        }
    return found or None
