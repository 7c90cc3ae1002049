"""Running totals of products: what was sold of each, and to how many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.ledger import (
    BEFORE,
    BUYERS,
    BUYERS_DAYS,
    DAY,
    FOREVER,
    NEVER,
    SECOND,
    SINCE,
    SOLD,
    UNTIL,
    Lines,
    key_of_day,
)
from features.ledger_things import enters, leaves, now_repeated
from features.runs import Ints, Runs, in_order
from features.schema import C


def sales_of(lines: Lines, pairs: Mapping[str, NDArray[Any]]) -> dict[str, dict[str, NDArray[Any]]]:
    """Per product and day (UTC, since 1970): what was sold then, of the customers given."""
    since, before = pairs[SINCE], pairs[BEFORE]
    first = before == NEVER
    of_line = pairs["line"]
    sold = np.zeros((3, len(lines.time)), np.int64)
    sold[0, of_line] = first
    sold[1, of_line] = now_repeated(pairs)
    # Whole seconds: the microseconds of a million buyers and their years are more than 64 bits hold.
    sold[2, of_line] = np.where(first, 0, since // SECOND - before // SECOND)
    bought = lines.bought
    events = {
        "lines": bought.astype(np.int64),
        "buyers": sold[0],
        "repeat_buyers": sold[1],
        "gap_seconds": sold[2],
        "units": np.where(bought, lines.units, 0),
        "returned_units": np.where(bought, 0, -lines.units),
        "paid": np.where(bought, lines.amount, 0),
        "discounted": (bought & (lines.discount > 0)).astype(np.int64),
        "first_at": np.where(bought, lines.time, FOREVER),
        "last_at": np.where(bought, lines.time, NEVER),
    }
    come, gone = enters(pairs, BUYERS_DAYS), leaves(pairs, BUYERS_DAYS)
    product = np.concatenate([pairs[C.PRODUCT_ID][come], pairs[C.PRODUCT_ID][gone]])
    time = np.concatenate([since[come], since[gone] + BUYERS_DAYS * DAY])
    change = np.repeat([1, -1], [come.sum(), gone.sum()])
    return {
        SOLD: by_product_and_day(lines.product, lines.time // DAY, events),
        BUYERS: by_product_and_day(product, time // DAY, {"buyers_90d": change}),
    }


def by_product_and_day(product: Ints, day: Ints, values: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """One row for each product and day, in order: sums, but the least `first_at` and the greatest `last_at`."""
    order = in_order(key_of_day(product, day))
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
