"""All tables of the ledger of some customers."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from features.ledger import BREADTH, CATEGORIES, PAIRS, RHYTHM, TOTALS, Catalogue, Lines
from features.ledger_customers import rhythm_of, totals_of
from features.ledger_sales import sales_of
from features.ledger_things import bought_of, different_things, n_ln_n, now_repeated
from features.schema import C


def ledger_of(lines: Lines, catalogue: Catalogue) -> dict[str, dict[str, NDArray[Any]]]:
    """The tables of these customers, by column. Keys are numbers; those of SALES hold sums of single days, by `day`."""
    begun = lines.pieces.starts[lines.orders[0]]
    things = {
        "products": bought_of(lines, lines.product, C.PRODUCT_ID),
        "categories": bought_of(lines, catalogue.category[lines.product], C.CATEGORY),
        "brands": bought_of(lines, catalogue.brand[lines.product], C.BRAND),
        "stores": bought_of(lines, lines.store, C.STORE_ID, only=begun),
        "channels": bought_of(lines, lines.channel, C.CHANNEL, only=begun),
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
