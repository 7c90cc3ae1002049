"""Purchases written by hand or drawn by chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from features.matrix import Purchases, Terms

#: (day, products) of each order of each customer, in time.
Orders = Mapping[str, Sequence[tuple[float, Sequence[str]]]]


def purchases(orders: Orders, *, products: Sequence[str] | None = None) -> Purchases:
    """The orders as arrays; `products` may name more than were bought. Terms follow from product and day alone."""
    customers = sorted(orders)
    bought = {product for c in customers for _, basket in orders[c] for product in basket}
    vocabulary = sorted(bought | set(products or ()))
    code = {product: number for number, product in enumerate(vocabulary)}
    baskets = [sorted({code[product] for product in basket}) for c in customers for _, basket in orders[c]]
    bought_codes = np.array([product for basket in baskets for product in basket], dtype=np.int32)
    order_day = np.array([day for c in customers for day, _ in orders[c]], dtype=np.float64)
    whole_day = np.repeat(np.floor(order_day), [len(basket) for basket in baskets])
    return Purchases(
        customer_ids=pa.array(customers, pa.string()),
        product_ids=pa.array(vocabulary, pa.string()),
        customer_start=np.concatenate(([0], np.cumsum([len(orders[c]) for c in customers]))).astype(np.int64),
        order_start=np.concatenate(([0], np.cumsum([len(basket) for basket in baskets]))).astype(np.int64),
        order_day=order_day,
        products=bought_codes,
        terms=Terms(
            quantity=(1 + (bought_codes + whole_day) % 3).astype(np.float32),
            paid=(1 + bought_codes % 7 + whole_day % 2).astype(np.float32),
            saved=(0.5 * ((bought_codes + whole_day) % 4 == 0)).astype(np.float32),
            store=(np.floor(order_day) % 3).astype(np.int32),
            n_stores=3,
        ),
    )


def random_orders(
    rng: np.random.Generator,
    *,
    customers: int,
    products: int,
    orders: tuple[int, int] = (4, 9),
    size: int = 4,
    loyal: float = 0.5,
) -> dict[str, list[tuple[float, list[str]]]]:
    """Customers with a few products of their own, and the rest by popularity."""
    popularity = 1.0 / np.arange(1, products + 1)
    popularity /= popularity.sum()
    found = {}
    for customer in range(customers):
        own = rng.choice(products, size=min(5, products), replace=False)
        days = np.sort(rng.uniform(100, 200, size=rng.integers(*orders)))
        found[f"c{customer:04d}"] = [
            (
                float(day),
                [
                    f"p{int(rng.choice(own)) if rng.random() < loyal else int(rng.choice(products, p=popularity)):04d}"
                    for _ in range(rng.integers(1, size + 1))
                ],
            )
            for day in days
        ]
    return found
