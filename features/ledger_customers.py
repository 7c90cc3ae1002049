"""Running totals of customers: what their orders add up to, and the rhythm in which they come."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.ledger import DAY, FOREVER, HALF_LIVES, MONEY, NEVER, SINCE, UNITS, UNTIL, Catalogue, Lines
from features.runs import Ints, Runs
from features.schema import C

_HOUR = DAY // 24


def totals_of(lines: Lines, catalogue: Catalogue) -> dict[str, NDArray[Any]]:
    """Per customer and moment at which anything was bought or came back: what all of it adds up to."""
    bought, moments, time = lines.bought, lines.moments, lines.moment_times
    day = lines.time // DAY - catalogue.first_day
    category = catalogue.category[lines.product]
    usual = np.where(category >= 0, catalogue.usual[category, day], np.nan) if catalogue.usual.size else np.nan
    usual = np.round(usual * (lines.units / UNITS) * MONEY)
    counts = bought & lines.priced & np.isfinite(usual)
    by_line = {
        "lines": bought,
        **{name: np.where(bought, values[lines.product], 0) for name, values in catalogue.mixed.items()},
        "amount": lines.amount,
        "returned": np.where(lines.units < 0, -lines.amount, 0),
        "discount": np.where(bought, lines.discount, 0),
        "priced_amount": np.where(counts, lines.amount, 0),
        "usual_amount": np.where(counts, usual, 0),
    }
    sums = {name: moments.sum(values.astype(np.int64)) for name, values in by_line.items()}
    begun, _ = lines.orders
    where = np.searchsorted(moments.starts, lines.pieces.starts[begun], side="right") - 1
    orders = np.bincount(where, minlength=len(time))
    coupons = lines.pieces.sum(np.where(bought, lines.coupon, 0))[begun] > 0
    day, hour = time // DAY, time % DAY // _HOUR
    sums |= {
        "orders": orders,
        "coupon_orders": np.bincount(where[coupons], minlength=len(time)),
        "weekend_orders": np.where((day + 3) % 7 >= 5, orders, 0),  # 1970 began on a Thursday
        "evening_orders": np.where(hour >= 17, orders, 0),
        "morning_orders": np.where(hour < 12, orders, 0),
    }
    customers = Runs(lines.moment_customers)
    ordered = customers.latest_true(orders > 0)
    first = customers.spread(customers.least(np.where(orders > 0, time, FOREVER)))
    return {
        C.CUSTOMER_ID: lines.moment_customers,
        SINCE: time,
        UNTIL: customers.after(time, FOREVER),
        **{name: customers.so_far(values) for name, values in sums.items()},
        "first_order_at": np.where(first <= time, first, NEVER),
        "last_order_at": np.where(ordered >= 0, time[ordered], NEVER),
    }


def rhythm_of(lines: Lines) -> dict[str, NDArray[Any]]:
    """Per customer and visit (day, UTC, with an order): visits so far, and the gaps in whole days between them."""
    begun = lines.pieces.starts[lines.orders[0]]
    customer, time = lines.customer[begun], lines.time[begun]
    first = Runs(customer, time // DAY).starts
    customer, time = customer[first], time[first]
    day, runs = time // DAY, Runs(customer)
    place = runs.places
    gap = np.where(place > 0, day - runs.before(day, 0), 0)
    gap_sum = runs.so_far(gap)
    recent = np.minimum(place, 5)
    with np.errstate(invalid="ignore"):
        gap_recent = (gap_sum - gap_sum[np.arange(len(day)) - recent]) / recent
    decayed = {f"decayed_{half_life}d": _decayed(place, gap, half_life) for half_life in HALF_LIVES}
    return {
        C.CUSTOMER_ID: customer,
        SINCE: time,
        UNTIL: runs.after(time, FOREVER),
        "day": day,
        "visits": place + 1,
        "gap_sum": gap_sum,
        "gap_squares": runs.so_far(gap * gap),
        "gap_median": _median_so_far(customer, place, gap),
        "gap_longest": runs.greatest_so_far(gap),
        "gap_last": gap,
        "gap_recent": gap_recent,
        **decayed,
    }


def _decayed(place: Ints, gap: Ints, half_life: int) -> NDArray[np.float64]:
    """The visits up to and on each, every one halved for each half-life gone since.

    All customers' second visits first, then their third ones and so on: each follows from the one before, so a sum does
    not depend on which rows stand beside it.
    """
    kept = np.exp2(gap / -half_life)
    decayed = np.ones(len(place))
    order = np.argsort(place, kind="stable")
    ends = np.cumsum(np.bincount(place))
    for start, end in pairwise(ends):
        rows = order[start:end]
        decayed[rows] += decayed[rows - 1] * kept[rows]
    return decayed


def _median_so_far(customer: Ints, place: Ints, gap: Ints) -> NDArray[np.float64]:
    """The median of the gaps up to each visit; NaN for the first."""
    if not len(gap):
        return np.zeros(0)
    gaps = pa.table({"customer": customer, "place": place, "gap": pa.array(gap, mask=place == 0)})
    with duckdb.connect() as con:
        con.execute("SET threads=1")
        con.register("gaps", gaps)
        found = con.execute(
            "SELECT median(gap) OVER (PARTITION BY customer ORDER BY place ROWS UNBOUNDED PRECEDING) AS median "
            "FROM gaps ORDER BY customer, place"
        ).to_arrow_table()
    medians: NDArray[np.float64] = found["median"].to_numpy()
    return medians
