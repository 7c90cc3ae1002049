"""All tables of the ledger of some customers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.ledger import BREADTH, CATEGORIES, PAIRS, RHYTHM, TOTALS, Catalogue, Lines
from features.ledger_customers import rhythm_of, totals_of
from features.ledger_sales import sales_of
from features.ledger_things import bought_of, different_things, n_ln_n, now_repeated
from features.runs import Ints, Runs
from features.schema import C


def ledger_of(lines: Lines, catalogue: Catalogue) -> dict[str, dict[str, NDArray[Any]]]:
    """The tables of these customers, by column. Keys are numbers; those of SALES hold sums of single days, by `day`."""
    things = {
        "products": bought_of(lines, lines.product, C.PRODUCT_ID),
        "categories": bought_of(lines, catalogue.category[lines.product], C.CATEGORY),
        "brands": bought_of(lines, catalogue.brand[lines.product], C.BRAND),
        "stores": bought_of(lines, lines.store, C.STORE_ID, only=_changing(lines, lines.store)),
        "channels": bought_of(lines, lines.channel, C.CHANNEL, only=_changing(lines, lines.channel)),
    }
    categories = things["categories"]
    spread = n_ln_n(categories["lines"]) - n_ln_n(categories["lines"] - categories["bought"])
    more = {
        "products": {"repeated_products": now_repeated(things["products"])},
        "categories": {"category_lines": categories["bought"], "category_n_ln_n": spread},
    }
    different = {
        BREADTH[thing]: different_things(lines, thing, rows, more.get(thing, {})) for thing, rows in things.items()
    }
    return {
        TOTALS: totals_of(lines, catalogue),
        RHYTHM: rhythm_of(lines),
        PAIRS: things["products"],
        CATEGORIES: categories,
        **different,
        **sales_of(lines, things["products"]),
    }


def _changing(lines: Lines, where: Ints) -> Ints:
    """The purchases with which an order at a moment comes to another place: most orders are of one throughout."""
    rows = np.flatnonzero(lines.bought & (where >= 0))
    return rows[Runs(lines.pieces.ids[rows], where[rows]).starts]
