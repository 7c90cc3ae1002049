"""Totals of products within a day: those up to its midnight, and what has happened since.

The ledger keeps products by day; these add the hours of the day in which a moment lies.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import ibis

from features.ledger import BEFORE, BUYERS_DAYS, MONEY, NEVER, SINCE, UNITS, UNTIL
from features.schema import C

_NEVER = datetime(1970, 1, 1) + timedelta(microseconds=NEVER)


def sold_since(sold: Any, lines: Any, pairs: Any) -> Any:
    """Totals of products (Ibis) with these order lines, and rows of pairs of the ledger, of after them added."""
    quantity = lines[C.QUANTITY]
    bought = quantity > 0
    by_line = lines.select(
        C.PRODUCT_ID,
        lines=bought.cast("int64"),
        units=_whole(ibis.greatest(quantity, 0.0) * UNITS),
        returned_units=_whole(ibis.greatest(-quantity, 0.0) * UNITS),
        paid=_whole(ibis.cases((bought, lines[C.AMOUNT] * MONEY), else_=0)),
        discounted=(bought & (lines[C.DISCOUNT] > 0)).fill_null(False).cast("int64"),
    )
    # What only came back until now has a time of never, which would be the least.
    sold = sold.mutate(first_at=sold.first_at.nullif(ibis.literal(_NEVER)))
    first = pairs[BEFORE] == ibis.literal(_NEVER)
    # By whole seconds, as the ledger has them.
    passed = pairs[SINCE].truncate("s").epoch_seconds() - pairs[BEFORE].truncate("s").epoch_seconds()
    by_pair = pairs.select(
        C.PRODUCT_ID,
        buyers=first.cast("int64"),
        repeat_buyers=((pairs.lines > 1) & (pairs.lines - pairs.bought <= 1)).cast("int64"),
        gap_seconds=ibis.cases((first, 0), else_=passed.cast("int64")),
        first_at=pairs[SINCE],
        last_at=pairs[SINCE],
    )
    return _added(sold, by_line, by_pair)


def buyers_since(buyers: Any, bought: Any, left: Any) -> Any:
    """Buyers of late with rows of pairs added: those bought since, and those so long ago that they may drop out."""
    window = ibis.interval(days=BUYERS_DAYS)
    come = bought.filter(bought[BEFORE] + window < bought[SINCE])
    gone = left.filter(left[UNTIL] > left[SINCE] + window)
    return _added(
        buyers,
        come.select(C.PRODUCT_ID, buyers_90d=ibis.literal(1)),
        gone.select(C.PRODUCT_ID, buyers_90d=ibis.literal(-1)),
    )


def _whole(value: Any) -> Any:
    return value.cast("float64").round().cast("int64").fill_null(0)


def _added(totals: Any, *changes: Any) -> Any:
    """Sums by product of every column, the least `first_at` and the greatest `last_at`."""
    names = [name for name in totals.columns if name != C.PRODUCT_ID]
    kinds = totals.schema()
    alike = [
        change.select(
            C.PRODUCT_ID,
            **{name: (change[name] if name in change.columns else ibis.null()).cast(kinds[name]) for name in names},
        )
        for change in (totals, *changes)
    ]
    every = ibis.union(*alike)
    how = {"first_at": "min", "last_at": "max"}
    return every.group_by(C.PRODUCT_ID).aggregate(
        **{name: getattr(every[name], how.get(name, "sum"))().cast(kinds[name]) for name in names}
    )
