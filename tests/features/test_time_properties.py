"""Point in time, as properties: the past alone decides every feature of every entity, to the bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import hypothesis.strategies as st
import ibis
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from features.build import entity_features, features_of
from features.definitions import ENTITIES, Feature
from features.snapshot import Relation, Snapshot
from features.time_safety import moved_between, moved_features, with_other_futures
from tests.features.small_shop import arrow, line, tables_of

AS_OF = datetime(2024, 6, 1)
INSTANT = timedelta(microseconds=1)
#: Every column that any feature needs, whatever the rows that hypothesis makes happen to hold.
GIVEN = frozenset(
    {f"order_lines.{name}" for name in ("amount", "discount", "coupon", "channel", "store_id")}
    | {f"products.{name}" for name in ("category", "department", "brand")}
    | {"contacts.contacted_at", "responses.responded_at"}
)
CATALOGUE = [("bread", "bakery", "food", "own"), ("milk", "dairy", "food", "farm"), ("tea", "drinks", "food", "own")]
PRODUCTS = arrow(
    "products",
    [{"product_id": p, "category": c, "department": d, "brand": b} for p, c, d, b in CATALOGUE]
    + [{"product_id": "pin", "category": "tools", "department": "house", "brand": None}],
)
PEOPLE = st.sampled_from(["ann", "bob", "cat"])
relaxed = settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])

past_times = st.integers(1, 400 * 24 * 4).map(lambda quarters: AS_OF - timedelta(minutes=15 * quarters))
past_times |= st.just(AS_OF - INSTANT) | st.sampled_from([7, 30, 90, 180]).map(
    lambda days: AS_OF - timedelta(days=days)
)
later_times = st.just(AS_OF) | st.integers(0, 100 * 24).map(lambda hours: AS_OF + timedelta(hours=hours))


def lines(times: st.SearchStrategy[datetime], *, order: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Order lines. Few order ids, so that an order has lines at several times, and returns under the same id."""
    one = st.builds(
        lambda customer, number, at, product, quantity, cents, coupon, store: line(
            customer,
            f"{order}{number}",
            at.isoformat(),
            product,
            quantity=quantity,
            amount=cents / 100 if quantity >= 0 else -cents / 100,
            discount=cents % 3,
            coupon=coupon,
            store_id=store,
            channel=store,
        ),
        PEOPLE,
        st.integers(1, 6),
        times,
        st.sampled_from(["bread", "milk", "tea", "pin"]),
        st.sampled_from([1.0, 2.0, 1.0, 0.0, -1.0]),
        st.integers(0, 500),
        st.sampled_from([None, 0, 1]),
        st.sampled_from(["s1", "s2", None]),
    )
    return st.lists(one, min_size=1, max_size=25)


def campaigns(times: st.SearchStrategy[datetime]) -> st.SearchStrategy[list[tuple[str, datetime, str]]]:
    return st.lists(st.tuples(PEOPLE, times, st.sampled_from(["contacts", "responses"])), max_size=6)


def shop(bought: Sequence[Mapping[str, Any]], events: Sequence[tuple[str, datetime, str]]) -> dict[str, pa.Table]:
    """The tables of these rows; `events` are contacts and responses."""
    column = {"contacts": "contacted_at", "responses": "responded_at"}
    made = {
        name: arrow(
            name,
            [{"campaign_id": "x", "customer_id": c, time: at.isoformat()} for c, at, kind in events if kind == name],
        )
        for name, time in column.items()
    }
    return {"order_lines": arrow("order_lines", bought), "products": PRODUCTS, **made}


def bits(tables: Mapping[str, pa.Table], as_of: datetime = AS_OF) -> dict[str, list[tuple[Any, ...]]]:
    """Every feature of every entity, floats as hexadecimal: equal only where all bits are."""
    snapshot = Snapshot(tables_of(tables)[0], as_of, GIVEN)
    found = {}
    for name, entity in ENTITIES.items():
        table = entity_features(snapshot, entity, features_of(snapshot, entity)).order_by(list(entity.keys))
        rows = table.to_pyarrow().to_pylist()
        found[name] = [
            tuple((column, value.hex() if isinstance(value, float) else value) for column, value in row.items())
            for row in rows
        ]
    return found


def test_the_shop_of_these_tests_has_every_built_in_feature_and_every_entity() -> None:
    bought = [line("ann", "1", "2024-05-01", amount=1, store_id="s", channel="c", discount=1, coupon=1)]
    found = bits(shop(bought, []))
    assert {name: len(rows) for name, rows in found.items()} == dict.fromkeys(ENTITIES, 1)
    columns = {name for name, _ in found["customer"][0]}
    assert {"price_level_180d", "brands_180d", "contacts_90d", "responses_365d", "channels_180d"} <= columns


@relaxed
@given(
    lines(past_times, order=""),
    campaigns(past_times),
    lines(later_times, order=""),
    campaigns(later_times),
    st.randoms(use_true_random=False),
)
def test_any_two_futures_of_one_past_give_the_same_features_to_the_bit(past, events, future, later, random) -> None:
    """The future's lines go under the past's order ids too: returns of its orders, and more bought in them."""
    alone = bits(shop(past, events))
    followed = [*past, *future]
    random.shuffle(followed)
    assert bits(shop(followed, [*events, *later])) == alone


@relaxed
@given(lines(past_times, order=""), lines(st.just(AS_OF), order=""), campaigns(st.just(AS_OF)))
def test_whatever_happens_exactly_at_the_moment_is_out_for_every_entity(past, at_once, events) -> None:
    assert bits(shop([*past, *at_once], events)) == bits(shop(past, []))


@relaxed
@given(lines(past_times, order=""), lines(later_times, order=""), campaigns(past_times | later_times))
def test_the_check_passes_for_every_built_in_feature_of_every_entity(past, future, events) -> None:
    tables, _ = tables_of(shop([*past, *future], events))
    real = Snapshot(tables, AS_OF, GIVEN)
    others = with_other_futures(real)
    for entity in ENTITIES.values():
        assert moved_between(real, others, features_of(real, entity), entity=entity) == {}


STEPS = [
    line("ann", "1", "2024-05-01T10:00", "bread", amount=4),
    line("ann", "1", "2024-05-03T10:00", "milk", amount=3),  # the same order goes on two days later
    line("ann", "1", "2024-05-09T10:00", "bread", quantity=-1, amount=-4),  # and part of it comes back
]


@pytest.mark.parametrize(
    ("as_of", "orders", "spend", "products", "since"),
    [
        (datetime(2024, 5, 1, 10), None, None, None, None),  # the first line is exactly at the moment
        (datetime(2024, 5, 1, 10) + INSTANT, 1, 4, 1, 0),
        (datetime(2024, 5, 3, 10), 1, 4, 1, 2),
        (datetime(2024, 5, 3, 10) + INSTANT, 1, 7, 2, 2),
        (datetime(2024, 5, 9, 10), 1, 7, 2, 8),
        (datetime(2024, 5, 9, 10) + INSTANT, 1, 3, 2, 8),
    ],
)
def test_an_order_of_several_times_is_known_line_by_line(as_of, orders, spend, products, since) -> None:
    found = bits(shop(STEPS, []), as_of)
    if orders is None:
        assert found == {name: [] for name in ENTITIES}
        return
    row = {name: float.fromhex(value) for name, value in found["customer"][0] if name != "customer_id" and value}
    told = [row[name] for name in ("orders_life", "spend_life", "products_life", "days_since_last_order")]
    assert told == [orders, spend, products, since]
    assert len(found["product"]) == len(found["customer_product"]) == products


@pytest.mark.parametrize("entity", ENTITIES.values(), ids=lambda entity: entity.name)
def test_a_planted_leak_of_the_moment_itself_is_caught_for_every_entity(entity) -> None:
    """It counts lines at or before the moment: wrong by the rows of one instant."""

    def until_and_with(rows: Any, at: Snapshot) -> Any:
        lines_ = at.tables["order_lines"]
        counted = (lines_.ordered_at <= ibis.literal(at.as_of)).sum().as_scalar()
        return counted + (rows.count() * 0 if entity.of is Relation.ORDERS else 0)

    over = Relation.ORDERS if entity.of is Relation.ORDERS else Relation.FEATURES
    leak = Feature("leak", over, until_and_with, "Planted.", "lines", entity=entity)
    tables, _ = tables_of(shop([*STEPS, line("bob", "1", AS_OF.isoformat())], []))
    honest = features_of(Snapshot(tables, AS_OF, GIVEN), entity)
    moved = moved_features(tables, GIVEN, AS_OF, [*honest, leak], entity=entity)
    assert list(moved) == ["leak"]
