"""Running totals of what customers buy: each product and category of each of them, and how many different ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.ledger import BEFORE, DAY, FOREVER, LOGS, NEVER, PAIR_DAYS, SECOND, SINCE, THINGS, UNTIL, Lines
from features.runs import Ints, Runs, in_order
from features.schema import C


def bought_of(lines: Lines, thing: Ints, name: str, *, only: Ints | None = None) -> dict[str, NDArray[Any]]:
    """Per customer and thing (by line, -1: none), one row per order and moment: `bought` lines then, others so far.

    So many `orders` hold it; `last_order` is the latest of them, counted from the customer's first as 1, and `streak`
    how many in a row up to that one.

    `line` is the order line that each row begins with, `moment` its moment. `only`: of these lines alone.
    """
    rows = np.flatnonzero(lines.bought) if only is None else only
    rows = rows[thing[rows] >= 0]
    key = lines.customer[rows] * (int(thing.max(initial=0)) + 1) + thing[rows]
    rows = rows[in_order(key)]
    # An order has one place among the customer's, so the lines of one are told from those of another by it.
    grain = Runs(lines.customer[rows], thing[rows], lines.time[rows], lines.nth_order[rows])
    bought, rows = grain.lengths, rows[grain.starts]
    customer, what, time, nth = lines.customer[rows], thing[rows], lines.time[rows], lines.nth_order[rows]
    runs = Runs(customer, what)
    so_far = runs.so_far(bought)
    orders, last, streak = _orders_of(runs, nth)
    return {
        C.CUSTOMER_ID: customer,
        name: what,
        SINCE: time,
        UNTIL: runs.after(time, FOREVER),
        BEFORE: runs.before(time, NEVER),
        "first_at": runs.spread(time[runs.starts]),
        "bought": bought,
        "lines": so_far,
        "lines_90d": _lately(runs, time, so_far, bought),
        "orders": orders,
        "last_order": last,
        "streak": streak,
        "line": rows,
        "moment": lines.moment[rows],
    }


def _orders_of(runs: Runs, nth: Ints) -> tuple[Ints, Ints, Ints]:
    """Per row of `nth` orders: how many different ones so far, the latest, and how many in a row up to that one."""
    step = nth - runs.before(nth, -1)  # 0 within an order, 1 from an order to the customer's next
    first = runs.places == 0
    broken = runs.latest_true(first | (step > 1))
    orders, last, streak = runs.so_far(first | (step != 0)), nth.copy(), nth - nth[broken] + 1
    # Few orders go on after the customer's next one, so these are walked through.
    for run in np.unique(runs.ids[step < 0]):
        seen: set[int] = set()
        latest = in_a_row = 0
        for row in range(runs.starts[run], runs.starts[run] + runs.lengths[run]):
            order = int(nth[row])
            seen.add(order)
            if order > latest:
                latest, in_a_row = order, in_a_row + 1 if order == latest + 1 else 1
            while latest - in_a_row in seen:
                in_a_row += 1
            orders[row], last[row], streak[row] = len(seen), latest, in_a_row
    return orders, last, streak


def _lately(runs: Runs, time: Ints, so_far: Ints, bought: Ints) -> Ints:
    """The lines of the PAIR_DAYS up to each row, by whole seconds."""
    second = time // SECOND
    second -= second.min(initial=0)
    window = PAIR_DAYS * DAY // SECOND
    run = runs.ids * (int(second.max(initial=0)) + window + 1) + window
    start = np.searchsorted(run + second, run + second - window, side="left")
    return so_far - so_far[start] + bought[start]


def different_things(
    lines: Lines, thing: str, rows: Mapping[str, NDArray[Any]], more: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Per customer: how many different things they have bought, ever and within days; changes as days go by, too."""
    moments = len(lines.moment_times)

    def at_moments(values: NDArray[Any]) -> Ints:
        # Whole numbers below 2^53 add up exactly as floats.
        return np.bincount(rows["moment"], weights=values, minlength=moments).astype(np.int64)

    entered = {thing: at_moments(enters(rows)), **{name: at_moments(values) for name, values in more.items()}}
    times, changes = [lines.moment_times], [entered]
    for days in THINGS[thing]:
        name = f"{thing}_{days}d"
        entered[name] = at_moments(enters(rows, days))
        times.append(lines.moment_times + days * DAY)
        changes.append({name: -at_moments(leaves(rows, days))})
    names = list(entered)
    kept = [np.logical_or.reduce([values != 0 for values in change.values()]) for change in changes]
    customer = np.concatenate([lines.moment_customers[some] for some in kept])
    time = np.concatenate([when[some] for when, some in zip(times, kept, strict=True)])
    order = np.lexsort((time, customer))
    customer, time = customer[order], time[order]
    events = Runs(customer, time)
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


def enters(rows: Mapping[str, NDArray[Any]], days: int | None = None) -> NDArray[np.bool_]:
    """Where something is bought that was not before (in the days before)."""
    before = rows[BEFORE]
    new: NDArray[np.bool_] = before == NEVER if days is None else before + days * DAY < rows[SINCE]
    return new


def leaves(rows: Mapping[str, NDArray[Any]], days: int) -> NDArray[np.bool_]:
    """Where something was not bought again within the days."""
    left: NDArray[np.bool_] = rows[UNTIL] > rows[SINCE] + days * DAY
    return left


def now_repeated(pairs: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Where a second line makes a repeated product of it."""
    repeated: NDArray[np.bool_] = (pairs["lines"] > 1) & (pairs["lines"] - pairs["bought"] <= 1)
    return repeated


def n_ln_n(n: NDArray[Any]) -> Ints:
    """In whole parts, so that what is added and taken away again leaves nothing behind."""
    whole: Ints = np.round(n * np.log(np.maximum(n, 1)) * LOGS).astype(np.int64)
    return whole
