"""All tables of the ledger of some customers."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from features.ledger import BREADTH, CATEGORIES, PAIRS, RHYTHM, SINCE, TOTALS, UNTIL, Catalogue, Lines
from features.ledger_customers import rhythm_of, totals_of
from features.ledger_sales import sales_of
from features.ledger_things import different_things, n_ln_n, now_repeated, pairs_of, things_of
from features.schema import C

_CATEGORY_COLUMNS = (C.CUSTOMER_ID, C.CATEGORY, SINCE, UNTIL, "first_at", "bought", "lines", "lines_90d")


def ledger_of(lines: Lines, catalogue: Catalogue) -> dict[str, dict[str, NDArray[Any]]]:
    """The tables of these customers, by column. Keys are numbers; those of SALES hold sums of single days, by `day`."""
    pairs, of_line = pairs_of(lines, catalogue)
    categories = things_of(lines, catalogue.category[lines.product], len(catalogue.categories))
    brands = things_of(lines, catalogue.brand[lines.product], int(catalogue.brand.max(initial=-1)) + 1)
    begun = lines.pieces.starts[lines.orders[0]]
    tables = {TOTALS: totals_of(lines, catalogue), RHYTHM: rhythm_of(lines), PAIRS: pairs}
    tables[CATEGORIES] = {name: categories[name] for name in _CATEGORY_COLUMNS}
    spread = n_ln_n(categories["lines"]) - n_ln_n(categories["lines"] - categories["bought"])
    more: dict[str, tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]] = {
        "products": (pairs, {"repeated_products": now_repeated(pairs)}),
        "categories": (categories, {"category_lines": categories["bought"], "category_n_ln_n": spread}),
        "brands": (brands, {}),
        "stores": (things_of(lines, lines.store, only=begun), {}),
        "channels": (things_of(lines, lines.channel, only=begun), {}),
    }
    tables |= {BREADTH[thing]: different_things(lines, thing, rows, sums) for thing, (rows, sums) in more.items()}
    return tables | sales_of(lines, pairs, of_line)
