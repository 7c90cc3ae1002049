"""The ledger: what was true of each customer, product or pair after everything that had happened to it so far.

Features are asked as of many moments. Computed from the order lines each time, they cost as much as all lines; here the
lines are read once. Each row holds running totals from `since` on and until `until`, so that the rows of one moment T
are those with since < T <= until: a filter, and one row for each customer (product, pair). A total over a window is
the difference of two such rows. How many different things were bought within the last days is a total too, of
events: a thing enters when it is bought, and leaves when those days have gone by without it.

`until` is the time of a later row, so it is known only afterwards. It never leaves the ledger: whatever lies at or
after T decides alike for every value, so no feature as of T depends on it.

All sums are of whole numbers (money in 1/10,000, and so on), so they are the same in whatever order rows
come, and customers are independent of each other: the ledger is made a part of the customers at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.runs import Ints, Runs
from features.schema import C

SINCE, UNTIL, BEFORE = "since", "until", "before"
#: The windows in days of which the numbers of different things are kept, by what they are counts of.
THINGS: Mapping[str, tuple[int, ...]] = {
    "products": (90,),
    "categories": (90, 180),
    "brands": (180,),
    "stores": (180,),
    "channels": (180,),
}
BUYERS_DAYS = PAIR_DAYS = 90
TOTALS, RHYTHM, PAIRS, CATEGORIES = "totals", "rhythm", "pairs", "categories"
BREADTH = {thing: f"different_{thing}" for thing in THINGS}
#: Of products, one row per day (UTC), from the day's last microsecond on.
SOLD, BUYERS = SALES = ("sold", "buyers")
CUSTOMER_TABLES = (TOTALS, RHYTHM, *BREADTH.values())
#: What a row of each table is of.
KEYS: Mapping[str, tuple[str, ...]] = {
    PAIRS: (C.CUSTOMER_ID, C.PRODUCT_ID),
    CATEGORIES: (C.CUSTOMER_ID, C.CATEGORY),
    **dict.fromkeys(CUSTOMER_TABLES, (C.CUSTOMER_ID,)),
    **dict.fromkeys(SALES, (C.PRODUCT_ID,)),
}
#: Half-lives in days of decayed counts of visits.
HALF_LIVES = (14, 45)
MONEY, UNITS, LOGS = 10_000, 1_000_000, 10_000_000_000  # of one
DAY = 86_400_000_000  # microseconds
NEVER, FOREVER = -62_135_596_800_000_000, 253_370_764_800_000_000  # the first days of the years 1 and 9999
_HOUR = DAY // 24


@dataclass(frozen=True)
class Catalogue:
    """Every product by number, and what the ledger needs to know of it.

    `category` and `brand` are numbers of the product's, -1 where unknown; `mixed` holds 1 for products of a mix.
    `usual`: what a unit of a category (row) cost everybody in the time before a day (column, from `first_day` since
    1970), NaN where unknown.
    """

    products: pa.Array
    categories: pa.Array
    category: Ints
    brand: Ints
    mixed: Mapping[str, Ints]
    usual: NDArray[np.float64]
    first_day: int


@dataclass(frozen=True)
class Lines:
    """Order lines of some customers by customer, time, order and product; everything as numbers.

    `customer` counts these from 0 on; `first_customer` were before them in other parts. `order`, `store` and `channel`
    are any numbers that tell them apart (-1: unknown). Times are microseconds since 1970. Money and units are whole
    numbers, 0 where not given.
    """

    first_customer: int
    customers: pa.Array
    customer: Ints
    order: Ints
    product: Ints
    time: Ints
    units: Ints
    amount: Ints
    priced: NDArray[np.bool_]
    discount: Ints
    coupon: Ints
    store: Ints
    channel: Ints

    @cached_property
    def bought(self) -> NDArray[np.bool_]:
        """Lines that are purchases; others came back, or are of nothing."""
        return self.units > 0

    @cached_property
    def moments(self) -> Runs:
        """Lines of one customer at one moment."""
        return Runs(self.customer, self.time)

    @cached_property
    def moment_customers(self) -> Ints:
        """The customer of each moment."""
        return self.customer[self.moments.starts]

    @cached_property
    def moment_times(self) -> Ints:
        """The time of each moment."""
        return self.time[self.moments.starts]

    @cached_property
    def pieces(self) -> Runs:
        """Lines of one order at one moment: nearly always an order, which may go on at a later moment."""
        return Runs(self.customer, self.time, self.order)

    @cached_property
    def orders(self) -> tuple[Ints, Ints]:
        """The pieces with which an order began (its first purchase), and which of the customer's orders each piece is.

        Counted from 1 on by time; orders of one moment by id. 0 for pieces of an order without any purchase.
        """
        starts = self.pieces.starts
        customer, order = self.customer[starts], self.order[starts]
        key = customer * (int(order.max(initial=0)) + 1) + order
        purchases = np.flatnonzero(self.pieces.sum(self.bought.astype(np.int64)) > 0)
        known, first, inverse = np.unique(key[purchases], return_index=True, return_inverse=True)
        begun = purchases[first]
        flags = np.zeros(len(starts), np.int64)
        flags[begun] = 1
        count = Runs(customer).so_far(flags) if len(starts) else flags
        nth = np.zeros(len(starts), np.int64)
        nth[purchases] = count[begun][inverse] if len(known) else 0
        return np.flatnonzero(flags), nth


def ledger_of(lines: Lines, catalogue: Catalogue) -> dict[str, dict[str, NDArray[Any]]]:
    """The tables of these customers, by column. Keys are numbers; those of SALES hold sums of single days, by `day`."""
    pairs, of_line = _pairs(lines, catalogue)
    categories = _seen(lines, catalogue.category[lines.product], len(catalogue.categories))
    brands = _seen(lines, catalogue.brand[lines.product], int(catalogue.brand.max(initial=-1)) + 1)
    begun = lines.pieces.starts[lines.orders[0]]
    tables = {TOTALS: _totals(lines, catalogue), RHYTHM: _rhythm(lines), PAIRS: pairs}
    tables[CATEGORIES] = {name: categories[name] for name in _CATEGORY_COLUMNS}
    n_ln_n = _n_ln_n(categories["lines"]) - _n_ln_n(categories["lines"] - categories["bought"])
    more: dict[str, tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]] = {
        "products": (pairs, {"repeated_products": _now_repeated(pairs)}),
        "categories": (categories, {"category_lines": categories["bought"], "category_n_ln_n": n_ln_n}),
        "brands": (brands, {}),
        "stores": (_seen(lines, lines.store, only=begun), {}),
        "channels": (_seen(lines, lines.channel, only=begun), {}),
    }
    tables |= {BREADTH[thing]: _different(lines, thing, rows, sums) for thing, (rows, sums) in more.items()}
    return tables | _sales(lines, pairs, of_line)


def _totals(lines: Lines, catalogue: Catalogue) -> dict[str, NDArray[Any]]:
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


def _rhythm(lines: Lines) -> dict[str, NDArray[Any]]:
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


def _pairs(lines: Lines, catalogue: Catalogue) -> tuple[dict[str, NDArray[Any]], Ints]:
    """Per customer and product, one row per order and moment: `bought` lines then, `lines` and `orders` so far.

    `last_order`: the customer's order that holds it, counted from 1; `streak`: how many in a row up to that one do, as
    they came. Also the order line that each row begins with.
    """
    rows = np.flatnonzero(lines.bought)
    key = lines.customer[rows] * len(catalogue.products) + lines.product[rows]
    rows = rows[np.argsort(key, kind="stable")]
    nth = lines.pieces.spread(lines.orders[1])
    grain = Runs(lines.customer[rows], lines.product[rows], lines.time[rows], nth[rows])
    bought, rows = grain.lengths, rows[grain.starts]
    customer, product, time, nth = lines.customer[rows], lines.product[rows], lines.time[rows], nth[rows]
    runs = Runs(customer, product)
    step = nth - runs.before(nth, -1)  # 0 within an order, 1 from an order to the customer's next
    first = runs.places == 0
    broken = runs.latest_true(first | (step < 0) | (step > 1))
    return {
        C.CUSTOMER_ID: customer,
        C.PRODUCT_ID: product,
        SINCE: time,
        UNTIL: runs.after(time, FOREVER),
        BEFORE: runs.before(time, NEVER),
        "first_at": runs.spread(time[runs.starts]),
        "bought": bought,
        "lines": (so_far := runs.so_far(bought)),
        "lines_90d": _lately(runs, time, so_far, bought),
        "orders": runs.so_far(first | (step != 0)),
        "last_order": nth,
        "streak": nth - nth[broken] + 1,
        "moment": np.searchsorted(lines.moments.starts, rows, side="right") - 1,
    }, rows


_CATEGORY_COLUMNS = (C.CUSTOMER_ID, C.CATEGORY, SINCE, UNTIL, "first_at", "bought", "lines", "lines_90d")


def _seen(lines: Lines, thing: Ints, most: int = 1, *, only: Ints | None = None) -> dict[str, NDArray[Any]]:
    """Per customer and thing, one row per moment: `bought` lines then, `lines` so far. `only`: of these lines alone."""
    rows = np.flatnonzero(lines.bought) if only is None else only
    rows = rows[thing[rows] >= 0]
    most = max(most, int(thing.max(initial=0)) + 1)
    rows = rows[np.argsort(lines.customer[rows] * most + thing[rows], kind="stable")]
    grain = Runs(lines.customer[rows], thing[rows], lines.time[rows])
    bought, rows = grain.lengths, rows[grain.starts]
    customer, seen, time = lines.customer[rows], thing[rows], lines.time[rows]
    runs = Runs(customer, seen)
    return {
        C.CUSTOMER_ID: customer,
        C.CATEGORY: seen,
        SINCE: time,
        UNTIL: runs.after(time, FOREVER),
        BEFORE: runs.before(time, NEVER),
        "first_at": runs.spread(time[runs.starts]),
        "bought": bought,
        "lines": (so_far := runs.so_far(bought)),
        "lines_90d": _lately(runs, time, so_far, bought),
        "moment": np.searchsorted(lines.moments.starts, rows, side="right") - 1,
    }


def _lately(runs: Runs, time: Ints, so_far: Ints, bought: Ints) -> Ints:
    """The lines of the PAIR_DAYS up to each row, by whole seconds."""
    second = time // 1_000_000
    second -= second.min(initial=0)
    window = PAIR_DAYS * DAY // 1_000_000
    run = runs.ids * (int(second.max(initial=0)) + window + 1) + window
    start = np.searchsorted(run + second, run + second - window, side="left")
    return so_far - so_far[start] + bought[start]


def _different(
    lines: Lines, thing: str, rows: Mapping[str, NDArray[Any]], more: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Per customer: how many different things they have bought, ever and within days; changes as days go by, too."""
    moments = len(lines.moment_times)

    def at_moments(values: NDArray[Any]) -> Ints:
        # Whole numbers below 2^53 add up exactly as floats.
        return np.bincount(rows["moment"], weights=values, minlength=moments).astype(np.int64)

    entered = {thing: at_moments(_enters(rows)), **{name: at_moments(values) for name, values in more.items()}}
    times, changes = [lines.moment_times], [entered]
    for days in THINGS[thing]:
        name = f"{thing}_{days}d"
        entered[name] = at_moments(_enters(rows, days))
        times.append(lines.moment_times + days * DAY)
        changes.append({name: -at_moments(_leaves(rows, days))})
    names = list(entered)
    kept = [np.logical_or.reduce([values != 0 for values in change.values()]) for change in changes]
    customer = np.concatenate([lines.moment_customers[some] for some in kept])
    time = np.concatenate([when[some] for when, some in zip(times, kept, strict=True)])
    order = np.lexsort((time, customer))
    customer, time = customer[order], time[order]
    events, runs = Runs(customer, time), None
    customer, time = customer[events.starts], time[events.starts]
    runs = Runs(customer)
    totals = {}
    for name in names:
        parts = [
            change[name][some] if name in change else np.zeros(some.sum(), np.int64)
            for change, some in zip(changes, kept, strict=True)
        ]
        totals[name] = runs.so_far(events.sum(np.concatenate(parts)[order]))
    return {C.CUSTOMER_ID: customer, SINCE: time, UNTIL: runs.after(time, FOREVER), **totals}


def _enters(rows: Mapping[str, NDArray[Any]], days: int | None = None) -> NDArray[np.bool_]:
    """Where something is bought that was not before (in the days before)."""
    before = rows[BEFORE]
    new: NDArray[np.bool_] = before == NEVER if days is None else before + days * DAY < rows[SINCE]
    return new


def _leaves(rows: Mapping[str, NDArray[Any]], days: int) -> NDArray[np.bool_]:
    """Where something was not bought again within the days."""
    left: NDArray[np.bool_] = rows[UNTIL] > rows[SINCE] + days * DAY
    return left


def _now_repeated(pairs: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Where a second line makes a repeated product of it."""
    repeated: NDArray[np.bool_] = (pairs["lines"] > 1) & (pairs["lines"] - pairs["bought"] <= 1)
    return repeated


def _n_ln_n(n: NDArray[Any]) -> Ints:
    """In whole parts, so that what is added and taken away again leaves nothing behind."""
    whole: Ints = np.round(n * np.log(np.maximum(n, 1)) * LOGS).astype(np.int64)
    return whole


def _sales(lines: Lines, pairs: Mapping[str, NDArray[Any]], of_line: Ints) -> dict[str, dict[str, NDArray[Any]]]:
    """Per product and day (UTC, since 1970): what was sold then, of the customers given."""
    since, before = pairs[SINCE], pairs[BEFORE]
    first = before == NEVER
    sold = np.zeros((3, len(lines.time)), np.int64)
    sold[0, of_line] = first
    sold[1, of_line] = _now_repeated(pairs)
    sold[2, of_line] = np.where(first, 0, since - before)
    bought = lines.bought
    events = {
        "lines": bought.astype(np.int64),
        "buyers": sold[0],
        "repeat_buyers": sold[1],
        "gap_time": sold[2],
        "units": np.where(bought, lines.units, 0),
        "returned_units": np.where(bought, 0, -lines.units),
        "paid": np.where(bought, lines.amount, 0),
        "discounted": (bought & (lines.discount > 0)).astype(np.int64),
        "first_at": np.where(bought, lines.time, FOREVER),
        "last_at": np.where(bought, lines.time, NEVER),
    }
    enters, leaves = _enters(pairs, BUYERS_DAYS), _leaves(pairs, BUYERS_DAYS)
    product = np.concatenate([pairs[C.PRODUCT_ID][enters], pairs[C.PRODUCT_ID][leaves]])
    time = np.concatenate([since[enters], since[leaves] + BUYERS_DAYS * DAY])
    change = np.repeat([1, -1], [enters.sum(), leaves.sum()])
    return {
        SOLD: by_product_and_day(lines.product, lines.time // DAY, events),
        BUYERS: by_product_and_day(product, time // DAY, {"buyers_90d": change}),
    }


def by_product_and_day(product: Ints, day: Ints, values: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """One row for each product and day, in order: sums, but the least `first_at` and the greatest `last_at`."""
    order = np.argsort((product << 24) + day, kind="stable")
    product, day = product[order], day[order]
    runs = Runs(product, day)
    how = {"first_at": runs.least, "last_at": runs.most}
    sums = {name: how.get(name, runs.sum)(column[order]) for name, column in values.items()}
    return {C.PRODUCT_ID: product[runs.starts], "day": day[runs.starts], **sums}


def sales_so_far(days: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Per product and day: the totals up to the day's end, which hold for moments from the next midnight on."""
    runs = Runs(days[C.PRODUCT_ID])
    since = (days["day"] + 1) * DAY - 1
    totals = {}
    for name, values in days.items():
        if name == "first_at":
            first = runs.spread(runs.least(values))
            totals[name] = np.where(first <= since, first, NEVER)
        elif name == "last_at":
            rows = runs.latest_true(values != NEVER)
            totals[name] = np.where(rows >= 0, values[rows], NEVER)
        elif name not in (C.PRODUCT_ID, "day"):
            totals[name] = runs.so_far(values)
    return {C.PRODUCT_ID: days[C.PRODUCT_ID], SINCE: since, UNTIL: runs.after(since, FOREVER), **totals}
