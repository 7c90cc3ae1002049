from __future__ import annotations

from datetime import datetime, timedelta

from features.customers import CUSTOMER_FEATURES
from features.definitions import Feature
from features.schema import C
from features.snapshot import Relation
from features.time_safety import moved_features, other_futures
from tests.features.small_shop import arrow, features_at, line, tables_of

AS_OF = datetime(2024, 6, 1)


def _shop_with_a_future():
    bought = [line("ann", "1", "2024-05-01"), line("bob", "1", "2024-05-10"), line("ann", "2", "2024-06-20", amount=5)]
    return tables_of({"order_lines": arrow("order_lines", bought)})


def test_planted_leak_is_caught_and_named() -> None:
    tables, columns = _shop_with_a_future()
    leak = Feature(
        "orders_ever_and_after",
        Relation.ORDERS,
        # Reads the table past the snapshot: how often the shop sells at all, tomorrow included.
        lambda orders, at: orders.bought.sum() + at.tables["order_lines"].count().as_scalar(),
        "Planted.",
        "orders",
    )
    honest = next(feature for feature in CUSTOMER_FEATURES if feature.name == "orders_life")
    moved = moved_features(tables, columns, AS_OF, [honest, leak])
    assert list(moved) == ["orders_ever_and_after"]
    assert set(moved["orders_ever_and_after"]) == {"deleted", "added"}


def test_leak_of_a_value_and_not_of_a_count_is_caught_by_shuffling() -> None:
    tables, columns = _shop_with_a_future()
    leak = Feature(
        "largest_amount",
        Relation.ORDERS,
        lambda orders, at: at.tables["order_lines"].amount.max().as_scalar() + orders.bought.sum(),
        "Planted.",
        "currency",
    )
    assert "shuffled" in moved_features(tables, columns, AS_OF, [leak])["largest_amount"]


def test_the_futures_differ_from_the_one_that_came() -> None:
    tables, _ = _shop_with_a_future()
    came = tables["order_lines"].count().to_pyarrow().as_py()
    rows = {change: t["order_lines"].count().to_pyarrow().as_py() for change, t in other_futures(tables, AS_OF)}
    assert came == 3
    assert rows == {"deleted": 2, "shuffled": 3, "added": 3 + 2 * 2}


def test_event_at_the_moment_itself_is_out_and_one_microsecond_before_is_in() -> None:
    at, before = AS_OF.isoformat(), (AS_OF - timedelta(microseconds=1)).isoformat()
    lines_ = [line("ann", "1", "2024-05-01"), line("ann", "2", at), line("bob", "1", before), line("cat", "1", at)]
    found = features_at({"order_lines": arrow("order_lines", lines_)}, AS_OF.isoformat())
    assert found.index.tolist() == ["ann", "bob"]
    assert found["orders_life"].tolist() == [1, 1]


def test_window_begins_with_its_first_instant() -> None:
    edge = AS_OF - timedelta(days=7)
    lines_ = [line("ann", "1", edge.isoformat()), line("bob", "1", (edge - timedelta(microseconds=1)).isoformat())]
    found = features_at({"order_lines": arrow("order_lines", lines_)}, AS_OF.isoformat())
    assert found["orders_7d"].tolist() == [1, 0]


def test_feature_bits_do_not_depend_on_threads_or_row_order() -> None:
    rows = [
        line("ann", str(i), (AS_OF - timedelta(hours=7 * i + 1)).isoformat(), f"p{i % 17}", amount=round(i * 0.01, 2))
        for i in range(900)
    ]
    one = features_at({"order_lines": arrow("order_lines", rows)}, AS_OF.isoformat())
    other = features_at({"order_lines": arrow("order_lines", rows[::-1])}, AS_OF.isoformat())
    assert one.equals(other[one.columns])
    assert C.AMOUNT not in one.columns
