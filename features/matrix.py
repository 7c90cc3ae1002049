"""Purchases as arrays: orders of customers and products of orders, in compressed rows over integer codes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from features.engine import require_duckdb
from features.errors import DataError
from features.lake import Lake

MICROSECONDS_PER_DAY = 86_400_000_000


@dataclass(frozen=True)
class Terms:
    """On what terms products were bought: `quantity`, `paid` and `saved` (shop's discount) of each line of the orders.

    Money in the shop's currency; NaN where the shop says nothing. `store` (orders,) code of each order's store, -1
    where none is known; codes are below `n_stores`, and number `store_ids` where they were read.
    """

    quantity: NDArray[np.float32]
    paid: NDArray[np.float32]
    saved: NDArray[np.float32]
    store: NDArray[np.int32]
    n_stores: int
    store_ids: pa.Array | None = None

    def keep(self, orders: NDArray[np.bool_], lines: NDArray[np.bool_]) -> Terms:
        """Only the orders and lines where the masks are true."""
        return replace(
            self,
            quantity=self.quantity[lines],
            paid=self.paid[lines],
            saved=self.saved[lines],
            store=self.store[orders],
        )


@dataclass(frozen=True)
class Purchases:
    """Positive-quantity purchases: one entry per (customer, order, product), orders in time within a customer.

    Orders of customer c are `customer_start[c]:customer_start[c + 1]`; products of order o are
    `products[order_start[o]:order_start[o + 1]]`, each once. `order_day` is in days since 1970 (UTC), with
    fractions. Codes index `customer_ids` and `product_ids`, both sorted; a customer may have no orders in a subset.
    `terms` are of each product of an order, where they were read.
    """

    customer_ids: pa.Array
    product_ids: pa.Array
    customer_start: NDArray[np.int64]
    order_start: NDArray[np.int64]
    order_day: NDArray[np.float64]
    products: NDArray[np.int32]
    terms: Terms | None = None

    @property
    def n_customers(self) -> int:
        """Size of the customer vocabulary."""
        return len(self.customer_ids)

    @property
    def n_products(self) -> int:
        """Size of the product vocabulary."""
        return len(self.product_ids)

    @property
    def n_orders(self) -> int:
        """Number of orders."""
        return len(self.order_day)

    @property
    def orders_per_customer(self) -> NDArray[np.int64]:
        """(customers,) number of orders of each."""
        return np.diff(self.customer_start)

    @property
    def order_customer(self) -> NDArray[np.int32]:
        """(orders,) customer code of each order."""
        return np.repeat(np.arange(self.n_customers, dtype=np.int32), self.orders_per_customer)

    @property
    def line_order(self) -> NDArray[np.int64]:
        """(lines,) position of the order of each entry of `products`."""
        return np.repeat(np.arange(self.n_orders), self.order_sizes)

    @property
    def line_customer(self) -> NDArray[np.int32]:
        """(lines,) customer code of each entry of `products`."""
        return np.repeat(self.order_customer, self.order_sizes)

    @property
    def order_sizes(self) -> NDArray[np.int64]:
        """(orders,) number of distinct products of each order."""
        return np.diff(self.order_start)

    @property
    def orders_from_end(self) -> NDArray[np.int64]:
        """(orders,) 0 for a customer's last order, 1 for the one before, and so on."""
        return np.repeat(self.customer_start[1:], self.orders_per_customer) - 1 - np.arange(self.n_orders)

    def keep_orders(self, keep: NDArray[np.bool_]) -> Purchases:
        """The same vocabularies with only the orders where `keep` (orders,) is true."""
        kept = np.concatenate(([0], np.cumsum(keep)))
        sizes = self.order_sizes[keep]
        lines = np.repeat(keep, self.order_sizes)
        return replace(
            self,
            customer_start=kept[self.customer_start],
            order_start=np.concatenate(([0], np.cumsum(sizes))),
            order_day=self.order_day[keep],
            products=self.products[lines],
            terms=None if self.terms is None else self.terms.keep(keep, lines),
        )

    def before(self, day: float) -> Purchases:
        """Only the orders strictly before `day`."""
        return self.keep_orders(self.order_day < day)

    def baskets(self) -> sparse.csr_matrix:
        """(orders, products) matrix of ones."""
        ones = np.ones(len(self.products), dtype=np.float32)
        return sparse.csr_matrix((ones, self.products, self.order_start), shape=(self.n_orders, self.n_products))


def day_number(moment: Any) -> float:
    """Days since 1970 (UTC), with fractions, of a naive UTC datetime."""
    return float(np.datetime64(moment, "us").astype(np.int64) / MICROSECONDS_PER_DAY)


def _floats(column: pa.ChunkedArray) -> NDArray[np.float32]:
    """The column, NaN where it is empty."""
    values: NDArray[np.float32] = column.fill_null(np.nan).to_numpy().astype(np.float32)
    return values


_ORDERS = """
    CREATE OR REPLACE TEMP TABLE regulars_orders AS
    SELECT customer_id, order_id, min(ordered_at) AS ordered_at, min(store_id) AS store_id,
           dense_rank() OVER (ORDER BY customer_id) - 1 AS customer,
           row_number() OVER (ORDER BY customer_id, min(ordered_at), try_cast(order_id AS HUGEINT) NULLS LAST,
                              order_id) - 1 AS position
    FROM regulars_lines WHERE quantity > 0 GROUP BY customer_id, order_id
    """
_VOCABULARIES = """
    CREATE OR REPLACE TEMP TABLE regulars_products AS
    SELECT product_id, row_number() OVER (ORDER BY product_id) - 1 AS product
    FROM (SELECT DISTINCT product_id FROM regulars_lines WHERE quantity > 0);
    CREATE OR REPLACE TEMP TABLE regulars_stores AS
    SELECT store_id, row_number() OVER (ORDER BY store_id) - 1 AS store
    FROM (SELECT DISTINCT store_id FROM regulars_orders WHERE store_id IS NOT NULL);
    """


def read_purchases(lake: Lake, backend: Any) -> Purchases:
    """All purchases of the lake. An order is (customer_id, order_id) and happened when its first line did.

    Orders of one moment are taken in the order of their ids, numbers before text and by size.
    Raises DataError when no line has a positive quantity.
    """
    require_duckdb(backend.name, "reading of purchases in order, which recommendations are learned and ranked from,")
    backend.read_parquet(str(lake.file("order_lines")), table_name="regulars_lines")
    backend.raw_sql(_ORDERS)
    backend.raw_sql(_VOCABULARIES)
    return _in_order(backend)


#: Columns of order lines that purchases are made of.
READ = ("customer_id", "order_id", "product_id", "store_id", "ordered_at", "quantity", "amount", "discount")


def purchases_of(lines: pa.Table, product_ids: pa.Array, store_ids: pa.Array) -> Purchases:
    """The purchases of some customers from all their order lines (READ), coded by a shop's products and stores.

    The same arrays that `read_purchases` gives for these customers. Raises DataError as it does.
    """
    with duckdb.connect(config={"threads": 1}) as con:
        for name, table in {
            "regulars_lines": lines,
            "regulars_products": pa.table({"product_id": product_ids, "product": np.arange(len(product_ids))}),
            "regulars_stores": pa.table({"store_id": store_ids, "store": np.arange(len(store_ids))}),
        }.items():
            con.register(name, table)
        con.execute(_ORDERS)
        return _in_order(con)


def _in_order(database: Any) -> Purchases:
    """Purchases from the tables regulars_lines, _orders, _products and _stores of a DuckDB."""
    run = database.execute if isinstance(database, duckdb.DuckDBPyConnection) else database.raw_sql

    def fetch(sql: str) -> pa.Table:
        return run(sql).to_arrow_table()

    orders = fetch(
        "SELECT customer::INTEGER AS customer, epoch_us(ordered_at) AS at, coalesce(store, -1)::INTEGER AS store "
        "FROM regulars_orders LEFT JOIN regulars_stores USING (store_id) ORDER BY position"
    )
    if orders.num_rows == 0:
        raise DataError("The lake holds no purchase: no order line has a quantity above 0. Check the quantity column.")
    lines = fetch(
        """
        SELECT o.position AS position, p.product::INTEGER AS product, sum(l.quantity)::FLOAT AS quantity,
               sum(l.amount)::FLOAT AS paid, sum(l.discount)::FLOAT AS saved
        FROM regulars_lines l JOIN regulars_orders o USING (customer_id, order_id)
        JOIN regulars_products p USING (product_id)
        WHERE l.quantity > 0 GROUP BY ALL ORDER BY position, product
        """
    )
    customers = fetch("SELECT DISTINCT customer_id FROM regulars_orders ORDER BY customer_id")
    products = fetch("SELECT product_id FROM regulars_products ORDER BY product")
    stores = fetch("SELECT store_id FROM regulars_stores ORDER BY store")
    order_customer = orders["customer"].to_numpy()
    line_order = lines["position"].to_numpy()
    n_customers, n_orders = customers.num_rows, orders.num_rows
    return Purchases(
        customer_ids=customers["customer_id"].combine_chunks(),
        product_ids=products["product_id"].combine_chunks(),
        customer_start=np.concatenate(([0], np.cumsum(np.bincount(order_customer, minlength=n_customers)))),
        order_start=np.concatenate(([0], np.cumsum(np.bincount(line_order, minlength=n_orders)))),
        order_day=orders["at"].to_numpy() / MICROSECONDS_PER_DAY,
        products=lines["product"].to_numpy().astype(np.int32),
        terms=Terms(
            quantity=_floats(lines["quantity"]),
            paid=_floats(lines["paid"]),
            saved=_floats(lines["saved"]),
            store=orders["store"].to_numpy().astype(np.int32),
            n_stores=stores.num_rows,
            store_ids=stores["store_id"].combine_chunks(),
        ),
    )
