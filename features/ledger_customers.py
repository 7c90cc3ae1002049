"""Running totals of customers: what their orders add up to, and the rhythm in which they come."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.ledger import DAY, DAY_BITS, FOREVER, HALF_LIVES, MONEY, NEVER, SINCE, UNITS, UNTIL, Catalogue, Lines
from features.runs import Ints, Runs, in_order
from features.schema import C

_HOUR = DAY // 24


def totals_of(lines: Lines, catalogue: Catalogue) -> dict[str, NDArray[Any]]:
    """Per customer and moment at which anything was bought or came back: what all of it adds up to."""
    bought, moments, time = lines.bought, lines.moments, lines.moment_times
    usual = catalogue.usual_price(catalogue.category[lines.product], lines.time // DAY)
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
    where = lines.moment[lines.pieces.starts[begun]]
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
    visits = _VisitsInOrder(place, gap)
    decayed = {f"decayed_{half_life}d": visits.decayed(half_life) for half_life in HALF_LIVES}
    lately, earlier = visits.days()
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
        "days_lately": lately,
        "days_earlier": earlier,
        **decayed,
    }


class _VisitsInOrder:
    """What follows from one visit of a customer to the next: all customers' second visits at once, then the third ones.

    So what comes out does not depend on which rows stand beside a customer's. `place` counts a customer's visits from
    0 on, `gap` is the days since the one before.
    """

    def __init__(self, place: Ints, gap: Ints) -> None:
        order = in_order(place)
        ends = np.cumsum(np.bincount(place)) if len(place) else np.zeros(0, np.int64)
        self.later = [order[start:end] for start, end in pairwise(ends)]
        self.gap = gap

    def decayed(self, half_life: int) -> NDArray[np.float64]:
        """The visits up to and with each, every one halved for each half-life gone since."""
        kept = np.exp2(self.gap / -half_life)
        decayed = np.ones(len(self.gap))
        for rows in self.later:
            decayed[rows] += decayed[rows - 1] * kept[rows]
        return decayed

    def days(self) -> tuple[Ints, Ints]:
        """The days with a visit as bits: the lowest is the row's own, the next is the day before, and so on.

        The first number holds DAY_BITS of them, the second as many before those.
        """
        lately, earlier = np.ones(len(self.gap), np.int64), np.zeros(len(self.gap), np.int64)
        for rows in self.later:
            moved = later_days(lately[rows - 1], earlier[rows - 1], self.gap[rows])
            lately[rows], earlier[rows] = moved[0] | 1, moved[1]
        return lately, earlier


def later_days(lately: Ints, earlier: Ints, days: Ints) -> tuple[Ints, Ints]:
    """Days as bits, seen so many days later: see _VisitsInOrder.days."""
    near = np.minimum(days, DAY_BITS)
    far = np.clip(days - DAY_BITS, 0, DAY_BITS)
    within = (lately & ((1 << (DAY_BITS - near)) - 1)) << near
    # What leaves the first number moves into the second; all that is further back falls out.
    moved = ((earlier & ((1 << (DAY_BITS - near)) - 1)) << near) | (lately >> (DAY_BITS - near))
    beyond = (lately & ((1 << (DAY_BITS - far)) - 1)) << far
    return np.where(days < DAY_BITS, within, 0), np.where(days < DAY_BITS, moved, beyond)


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
