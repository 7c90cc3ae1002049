"""Purchases as arrays, on a shop worked by hand: five rows that count, and others that must not."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.engine import connect
from features.errors import DataError
from features.lake import read_lake
from features.matrix import Purchases, Terms, day_number, read_purchases
from tests.features.loading import Shop

# ann: o2 on day 2 (tea, jam), o10 on day 9 (tea, twice in one order); bob: o1 on day 5 (rye), o2 on day 5 (jam).
LINES = (
    "o10,ann,tea,2024-01-10 00:00:00,1,1",
    "o10,ann,tea,2024-01-10 06:00:00,3,2",
    "o2,ann,tea,2024-01-03 12:00:00,2,1",
    "o2,ann,jam,2024-01-03 18:00:00,1,1",
    "o2,bob,jam,2024-01-06 00:00:00,1,1",
    "o1,bob,rye,2024-01-06 00:00:00,1,1",
    # Neither a return nor a line of nothing is a purchase, nor do they make a product or customer known.
    "o2,bob,pie,2024-01-06 00:00:00,-1,-1",
    "o3,bob,tea,2024-01-07 00:00:00,0,1",
    "o4,eve,tea,2024-01-08 00:00:00,-2,-1",
)


def purchases(shop: Shop, *lines: str) -> Purchases:
    shop.load_lines(*lines)
    return read_purchases(read_lake(shop.home), connect(shop.settings))


@pytest.fixture
def five(shop: Shop) -> Purchases:
    return purchases(shop, *LINES)


def test_five_row_shop_by_hand(five: Purchases) -> None:
    assert five.customer_ids.to_pylist() == ["ann", "bob"]
    assert five.product_ids.to_pylist() == ["jam", "rye", "tea"]
    assert (five.n_customers, five.n_products, five.n_orders) == (2, 3, 4)
    assert five.customer_start.tolist() == [0, 2, 4]
    assert five.order_start.tolist() == [0, 2, 3, 4, 5]
    # ann's orders in time; bob's two of one moment by their ids. An order happened when its first line did.
    first_of_january = day_number(datetime(2024, 1, 1))
    assert (five.order_day - first_of_january).tolist() == [2.5, 9.0, 5.0, 5.0]
    assert five.products.tolist() == [0, 2, 2, 1, 0]
    assert five.products.dtype == np.int32


def test_what_follows_from_the_arrays(five: Purchases) -> None:
    assert five.orders_per_customer.tolist() == [2, 2]
    assert five.order_customer.tolist() == [0, 0, 1, 1]
    assert five.order_sizes.tolist() == [2, 1, 1, 1]
    assert five.orders_from_end.tolist() == [1, 0, 1, 0]
    assert five.baskets().toarray().tolist() == [[1, 0, 1], [0, 0, 1], [0, 1, 0], [1, 0, 0]]


def test_terms_are_summed_over_the_lines_of_a_product_in_an_order(five: Purchases) -> None:
    assert five.terms is not None
    assert five.terms.quantity.tolist() == [1, 2, 4, 1, 1]
    assert five.terms.paid.tolist() == [1, 1, 3, 1, 1]
    # The shop names neither discounts nor stores.
    assert np.isnan(five.terms.saved).all()
    assert five.terms.store.tolist() == [-1, -1, -1, -1]
    assert five.terms.n_stores == 0


def test_before_takes_orders_strictly_before(five: Purchases) -> None:
    day = day_number(datetime(2024, 1, 6))
    early = five.before(day)
    assert early.customer_ids is five.customer_ids
    assert early.product_ids is five.product_ids
    assert early.customer_start.tolist() == [0, 1, 1]
    assert early.order_start.tolist() == [0, 2]
    assert early.products.tolist() == [0, 2]
    assert early.orders_per_customer.tolist() == [1, 0]
    assert five.before(np.nextafter(day, np.inf)).n_orders == 3
    assert five.before(-np.inf).n_orders == 0
    assert five.before(-np.inf).baskets().shape == (0, 3)


def test_keep_orders_leaves_the_whole_as_it_was(five: Purchases) -> None:
    kept = five.keep_orders(five.orders_from_end > 0)
    assert kept.order_start.tolist() == [0, 2, 3]
    assert kept.products.tolist() == [0, 2, 1]
    assert kept.customer_start.tolist() == [0, 1, 2]
    assert kept.orders_from_end.tolist() == [0, 0]
    assert five.n_orders == 4
    assert five.keep_orders(np.ones(4, dtype=bool)).products.tolist() == five.products.tolist()
    assert five.keep_orders(np.zeros(4, dtype=bool)).customer_start.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (("10", "9", "x"), ["9", "10", "x"]),
        (("b", "a", "10"), ["10", "a", "b"]),
        (("007", "07", "7"), ["007", "07", "7"]),
    ],
)
def test_orders_of_one_moment_stand_by_size_then_name(shop: Shop, ids: tuple[str, ...], expected: list[str]) -> None:
    # Each order has a product of its own, named as the order.
    found = purchases(shop, *[f"{order},ann,{order},2024-01-02,1,1" for order in ids])
    assert [found.product_ids[code].as_py() for code in found.products] == expected


def test_order_id_shared_by_customers_is_an_order_of_each(shop: Shop) -> None:
    found = purchases(shop, "o1,ann,tea,2024-01-02,1,1", "o1,bob,jam,2024-01-02,1,1")
    assert found.orders_per_customer.tolist() == [1, 1]


def test_shop_without_purchases_is_refused(shop: Shop) -> None:
    with pytest.raises(DataError, match=r"no order line has a quantity above 0. Check the quantity column"):
        purchases(shop, "o1,ann,tea,2024-01-02,-1,-1", "o1,ann,tea,2024-01-02,0,1")


def test_day_number() -> None:
    assert day_number(datetime(1970, 1, 1)) == 0
    assert day_number(datetime(1969, 12, 31, 12)) == -0.5
    assert day_number(datetime(2000, 3, 1, 6)) == 11017.25


ORDERS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 9), st.sets(st.integers(0, 4), min_size=1)), min_size=1, max_size=20
)


@settings(deadline=None, max_examples=60)
@given(orders=ORDERS, kept=st.data())
def test_keep_orders_is_the_same_as_leaving_orders_out(
    orders: list[tuple[int, int, set[int]]], kept: st.DataObject
) -> None:
    """On any purchases, keeping orders by mask gives what building from those orders alone gives."""
    orders = sorted(orders, key=lambda order: order[:2])
    mask = np.array([kept.draw(st.booleans()) for _ in orders])
    whole, part = build(orders), build([order for order, keep in zip(orders, mask, strict=True) if keep])
    found = whole.keep_orders(mask)
    for name in ("customer_start", "order_start", "order_day", "products", "orders_from_end", "order_customer"):
        np.testing.assert_array_equal(getattr(found, name), getattr(part, name), err_msg=name)
    assert found.terms is not None
    assert part.terms is not None
    for name in ("quantity", "paid", "saved", "store"):
        np.testing.assert_array_equal(getattr(found.terms, name), getattr(part.terms, name), err_msg=name)


def build(orders: list[tuple[int, int, set[int]]]) -> Purchases:
    import pyarrow as pa

    by_customer = defaultdict(list)
    for customer, day, products in orders:
        by_customer[customer].append((day, sorted(products)))
    flat = [order for customer in range(4) for order in by_customer[customer]]
    sizes = [len(products) for _, products in flat]
    line = np.array([10 * day + code for day, products in flat for code in products], dtype=np.float32)
    return Purchases(
        customer_ids=pa.array(list("abcd")),
        product_ids=pa.array(list("vwxyz")),
        customer_start=np.concatenate(([0], np.cumsum([len(by_customer[c]) for c in range(4)]))).astype(np.int64),
        order_start=np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
        order_day=np.array([day for day, _ in flat], dtype=np.float64),
        products=np.array([code for _, products in flat for code in products], dtype=np.int32),
        terms=Terms(line, line + 1, line + 2, np.array([day for day, _ in flat], dtype=np.int32), n_stores=10),
    )


def test_reading_agrees_with_a_plain_count(shop: Shop) -> None:
    rng = np.random.default_rng(5)
    start = datetime(2024, 1, 1)
    lines, expected = set(), defaultdict(set)
    for _ in range(400):
        customer, order, product = (int(rng.integers(n)) for n in (7, 40, 9))
        quantity = int(rng.integers(-1, 3))
        moment = start + timedelta(hours=int(rng.integers(2000)))
        lines.add(f"{order},c{customer},p{product},{moment},{quantity},1")
        if quantity > 0:
            expected[f"c{customer}", str(order)].add(f"p{product}")
    found = purchases(shop, *sorted(lines))
    assert found.n_orders == len(expected)
    baskets = np.split(found.products, found.order_start[1:-1])
    by_customer = defaultdict(list)
    for code, basket in zip(found.order_customer, baskets, strict=True):
        by_customer[found.customer_ids[code].as_py()].append({found.product_ids[p].as_py() for p in basket})
    for customer, orders in by_customer.items():
        wanted = [products for (who, _), products in expected.items() if who == customer]
        assert sorted(map(sorted, orders)) == sorted(map(sorted, wanted))
    for start_, stop in zip(found.customer_start[:-1], found.customer_start[1:], strict=True):
        assert (np.diff(found.order_day[start_:stop]) >= 0).all()
