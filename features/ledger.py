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

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.runs import Ints, Runs, in_order
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
DAY, SECOND = 86_400_000_000, 1_000_000  # microseconds
#: Days kept as the bits of one number: six weeks.
DAY_BITS = 42
NEVER, FOREVER = -62_135_596_800_000_000, 253_370_764_800_000_000  # the first days of the years 1 and 9999


@dataclass(frozen=True)
class Catalogue:
    """Every product by number, and what the ledger needs to know of it.

    `category` and `brand` are numbers of the product's, -1 where unknown; `mixed` holds 1 for products of a mix.
    `usual`: what a unit of a category cost everybody in the time before a day, NaN where unknown; for days on which it
    was sold, in the order of `usual_keys`.
    """

    products: pa.Array
    categories: pa.Array
    category: Ints
    brand: Ints
    mixed: Mapping[str, Ints]
    usual_keys: Ints
    usual: NDArray[np.float64]

    def usual_price(self, category: Ints, day: Ints) -> NDArray[np.float64]:
        """`usual` of categories on days since 1970; NaN where none was sold that day."""
        keys = key_of_day(category, day)
        order = in_order(keys)  # in order they are found several times as fast
        place = np.empty(len(keys), np.int64)
        place[order] = np.searchsorted(self.usual_keys, keys[order])
        known = np.append(self.usual_keys, -1)[place] == keys
        return np.where(known & (category >= 0), np.append(self.usual, np.nan)[place], np.nan)


def key_of_day(what: Ints, day: Ints) -> Ints:
    """One number for each thing (by number) and day since 1970, which sorts as both do."""
    return (what << 24) + day


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
    def moment(self) -> Ints:
        """The moment of each line."""
        return self.moments.ids

    @cached_property
    def nth_order(self) -> Ints:
        """Which of the customer's orders each line is of, counted from 1; 0 for those of an order without purchases."""
        return self.pieces.spread(self.orders[1])

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
