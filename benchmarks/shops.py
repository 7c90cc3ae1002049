"""Shops of different shapes, made from the Complete Journey's orders: sparse buyers, few products, no attributes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.matrix import Purchases
from training.candidates.attributes import Attributes
from training.candidates.history import spans

SPARSE_ORDERS = (4, 8)
CATEGORY_ORDERS = 12


def _relabelled(shop: Purchases, products: NDArray[np.int64]) -> Purchases:
    """The shop with other products, one code per line; a code below 0 drops the line. Ids say nothing."""
    customer_of_order = shop.order_customer
    order = shop.line_order
    kept = products >= 0
    _, codes = np.unique(products[kept], return_inverse=True)
    n_products = int(codes.max()) + 1
    key = np.unique(order[kept] * n_products + codes)
    orders, line_order = np.unique(key // n_products, return_inverse=True)
    customers, of_order = np.unique(customer_of_order[orders], return_inverse=True)
    return Purchases(
        customer_ids=pa.array([f"c{code:06d}" for code in range(len(customers))]),
        product_ids=pa.array([f"p{code:06d}" for code in range(n_products)]),
        customer_start=np.concatenate(([0], np.cumsum(np.bincount(of_order)))),
        order_start=np.concatenate(([0], np.cumsum(np.bincount(line_order)))),
        order_day=shop.order_day[orders],
        products=(key % n_products).astype(np.int32),
    )


def sparse_buyers(shop: Purchases, rng: np.random.Generator) -> Purchases:
    """Every customer keeps 4 to 8 consecutive orders, chosen by chance; products are anonymous."""
    wanted = rng.integers(SPARSE_ORDERS[0], SPARSE_ORDERS[1] + 1, shop.n_customers)
    enough = shop.orders_per_customer >= wanted
    room = np.where(enough, shop.orders_per_customer - wanted, 0)
    first = shop.customer_start[:-1] + rng.integers(0, room + 1)
    keep = np.zeros(shop.n_orders, dtype=bool)
    keep[spans(first[enough], wanted[enough])] = True
    kept = shop.keep_orders(keep)
    return _relabelled(kept, kept.products.astype(np.int64))


def few_products(shop: Purchases, attributes: Attributes) -> Purchases:
    """The last orders of every customer, with the product's category in place of the product: much is bought again."""
    kept = shop.keep_orders(shop.orders_from_end < CATEGORY_ORDERS)
    return _relabelled(kept, attributes.classes["category"][kept.products].astype(np.int64))
