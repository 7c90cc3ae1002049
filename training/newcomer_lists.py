"""What customers buy who share the attributes of one who never ordered.

Each attribute's value says of each product how much more of its customers buy it than of all customers; a profile's
list stands by everybody's share times these ratios (naive Bayes), each drawn towards 1 where few speak.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.engine import connect
from features.matrix import Purchases
from features.schema import CUSTOMERS, C
from training.newcomers import Newcomers
from training.protocols import Context

#: An attribute of more values than this is a name or a number, not a group.
MOST_VALUES = 50
#: A value's share of a product counts as so many customers drawn towards the shop's own share.
PRIOR_CUSTOMERS = 20.0
#: Customers of a value; fewer would let one customer pass for a group.
LEAST_CUSTOMERS = 20
DEPTH = 100


def value_ratios(bought: NDArray[np.float64], customers: NDArray[np.float64]) -> NDArray[np.float64]:
    """(values, products) the share of a value's customers who bought a product, over everybody's share.

    `bought` (values, products) customers of the value who bought it; `customers` (values,) all of the value.
    """
    everybody = bought.sum(axis=0) / max(float(customers.sum()), 1.0)
    share = (bought + PRIOR_CUSTOMERS * everybody) / (customers[:, None] + PRIOR_CUSTOMERS)
    speaks = (everybody > 0) & (customers >= LEAST_CUSTOMERS)[:, None]
    ratio: NDArray[np.float64] = np.where(speaks, share / np.maximum(everybody, 1e-12), 1.0)
    return ratio


def newcomer_lists(
    context: Context, purchases: Purchases, place: NDArray[np.int32], *, n_products: int
) -> Newcomers | None:
    """Lists of all profiles of customers who never ordered; None where nothing tells them apart."""
    if CUSTOMERS.name not in context.lake.rows:
        return None
    table = (
        connect(context.settings)
        .raw_sql(
            f"SELECT * EXCLUDE ({C.JOINED_AT}) FROM read_parquet('{context.lake.file(CUSTOMERS.name)}') "
            f"ORDER BY {C.CUSTOMER_ID}"
        )
        .to_arrow_table()
    )
    ids = table[C.CUSTOMER_ID].to_pylist()
    known = {customer: code for code, customer in enumerate(purchases.customer_ids.to_pylist())}
    code = np.array([known.get(customer, -1) for customer in ids], dtype=np.int64)
    if not (code < 0).any():
        return None
    owner = purchases.line_customer.astype(np.int64)
    pairs = np.unique(owner * n_products + place[purchases.products])
    buyer, product = pairs // n_products, pairs % n_products
    everybody = np.bincount(product, minlength=n_products) / max(purchases.n_customers, 1)
    attributes = [name for name in table.column_names if name != C.CUSTOMER_ID]
    columns: list[NDArray[np.int64]] = []
    weights: list[NDArray[np.float64]] = []
    for name in attributes:
        encoded = table[name].combine_chunks().cast(pa.string()).dictionary_encode()
        n_values = len(encoded.dictionary)
        if not 2 <= n_values <= MOST_VALUES:
            continue
        value = encoded.indices.fill_null(n_values).to_numpy(zero_copy_only=False).astype(np.int64)
        of_buyer = np.full(purchases.n_customers, n_values, dtype=np.int64)
        of_buyer[code[code >= 0]] = value[code >= 0]
        has = of_buyer[buyer] < n_values
        bought = np.bincount(of_buyer[buyer[has]] * n_products + product[has], minlength=n_values * n_products).reshape(
            n_values, n_products
        )
        sizes = np.bincount(of_buyer, minlength=n_values + 1)[:n_values].astype(np.float64)
        ratio = value_ratios(bought.astype(np.float64), sizes)
        columns.append(value)
        weights.append(np.vstack([np.log(ratio), np.zeros(n_products)]))  # no value says nothing
    if not columns:
        return None
    who = np.flatnonzero(code < 0)
    profiles, of_customer = np.unique(np.column_stack(columns)[who], axis=0, return_inverse=True)
    depth = min(DEPTH, int((everybody > 0).sum()))
    base = np.log(np.maximum(everybody, 1e-12))
    lists = np.empty((len(profiles), depth), dtype=np.int32)
    for row, profile in enumerate(profiles):
        score = base + sum(weight[value] for weight, value in zip(weights, profile, strict=True))
        lists[row] = np.argsort(-np.where(everybody > 0, score, -np.inf), kind="stable")[:depth]
    customers = pa.table(
        {C.CUSTOMER_ID: [ids[row] for row in who], "profile": of_customer.reshape(-1).astype(np.int32)}
    )
    return Newcomers(customers, lists)
