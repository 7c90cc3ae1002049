"""What the picture says of what is sold: together, next, dearer, to whom, and where."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.insight.baskets import basket_rules, order_baskets
from training.insight.faces import ALL, CUSTOMER, Cube
from training.insight.places import place_performance
from training.insight.selling import (
    affinity,
    bought_categories,
    cross_sell,
    product_rhythm,
    top_categories,
    up_sell,
)
from training.insight.shop import Shop

#: Rules shown, of categories and of products.
MOST_RULES = 40


def sold_tables(shop: Shop, cube: Cube) -> dict[str, Any]:
    """The tables products, baskets, cross_sell, up_sell, affinity, places; null where the shop's data do not tell."""
    tables: dict[str, Any] = {"products": product_rhythm(shop), "baskets": _baskets(shop)}
    categories = top_categories(shop)
    tables["cross_sell"] = tables["up_sell"] = None
    if len(categories) > 1:
        tables["cross_sell"] = cross_sell(bought_categories(shop, categories), categories)
        tables["up_sell"] = up_sell(shop, categories) if shop.has_spend else None
    tables["affinity"] = _affinity(shop, cube)
    tables["places"] = place_performance(cube)
    return tables


def _baskets(shop: Shop) -> dict[str, Any]:
    """Rules between products, and between categories where there are any; none of a name with itself."""
    found: dict[str, Any] = {}
    for name, column in (("products", "product_id"), ("categories", shop.grouping)):
        if column is None:
            found[name] = None
            continue
        rules = basket_rules(order_baskets(shop, by=column), most=4 * MOST_RULES)
        found[name] = [rule.as_json() for rule in rules if rule.item != rule.other][:MOST_RULES]
    return found


def _affinity(shop: Shop, cube: Cube) -> dict[str, Any] | None:
    """For each dimension of customers, how much its groups like each category."""
    products = next((one for one in cube.dimensions if one.name == shop.grouping), None)
    if products is None:
        return None
    found = {}
    for one in cube.dimensions:
        if one.kind == CUSTOMER:
            buyers = cube.face(one.name, products.name, "customers")
            customers = np.nan_to_num(cube.face(one.name, ALL, "customers")[:, 0])
            found[one.name] = affinity(buyers, customers, groups=one.values, categories=products.values)
    return found
