"""A history in parts of whole customers: what is counted by customer and product needs no more in memory at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from features.matrix import Purchases, Terms

#: Lines that a part has, about: what is sorted at once.
LINES_AT_ONCE = 4_000_000


def parts_of(history: Purchases, *, lines: int = LINES_AT_ONCE) -> Iterator[tuple[int, Purchases]]:
    """Consecutive customers with about so many lines together, and the number of the first; views, not copies.

    Customers of a part are numbered from 0; products and stores as in the history. A history of nobody is one part.
    """
    line_start = history.order_start[history.customer_start]
    first = 0
    while True:
        last = int(np.searchsorted(line_start, line_start[first] + lines, side="right")) - 1
        last = min(max(last, first + 1), history.n_customers)
        yield first, _between(history, first, last)
        first = last
        if first >= history.n_customers:
            return


def _between(history: Purchases, first: int, last: int) -> Purchases:
    orders = slice(int(history.customer_start[first]), int(history.customer_start[last]))
    start = history.order_start[orders.start : orders.stop + 1]
    lines = slice(int(start[0]), int(start[-1]))
    terms: Terms | None = history.terms
    if terms is not None:
        terms = replace(
            terms,
            quantity=terms.quantity[lines],
            paid=terms.paid[lines],
            saved=terms.saved[lines],
            store=terms.store[orders],
        )
    return replace(
        history,
        customer_ids=history.customer_ids[first:last],
        customer_start=history.customer_start[first : last + 1] - orders.start,
        order_start=start - lines.start,
        order_day=history.order_day[orders],
        products=history.products[lines],
        terms=terms,
    )
