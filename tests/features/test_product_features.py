from __future__ import annotations

import pandas as pd
import pytest

from features.build import entity_features, features_of
from features.definitions import CUSTOMER_CATEGORY, CUSTOMER_PRODUCT, PRODUCT, Entity
from tests.features.small_shop import arrow, line, snapshot_of

AS_OF = "2024-06-01"
LINES = [
    line("ann", "1", "2024-05-02T00:00", "bread", amount=3, discount=1),
    line("ann", "2", "2024-05-12T00:00", "bread", amount=3),
    line("ann", "2", "2024-05-12T00:00", "milk", quantity=2, amount=4),
    line("ann", "3", "2024-05-22T00:00", "bread", quantity=2, amount=5),
    line("ann", "3", "2024-05-25T00:00", "bread", quantity=-1, amount=-2),
    line("bob", "1", "2024-05-30T00:00", "bread", amount=3),
    line("bob", "2", "2024-05-31T00:00", "tea", amount=9),
    line("bob", "3", "2024-06-01T00:00", "bread", amount=3),
    line("cat", "1", "2023-12-01T00:00", "milk", amount=2),
]
CATEGORIES = {"bread": "food", "milk": "food", "tea": "drinks"}


@pytest.fixture(scope="module")
def shop():
    products = [{"product_id": product, "category": category} for product, category in CATEGORIES.items()]
    return {"order_lines": arrow("order_lines", LINES), "products": arrow("products", products)}


def of(shop, entity: Entity) -> pd.DataFrame:
    snapshot = snapshot_of(shop, AS_OF)
    made = entity_features(snapshot, entity, features_of(snapshot, entity)).to_pandas()
    return made.set_index(list(entity.keys)).sort_index()


@pytest.mark.parametrize(
    ("product", "feature", "value"),
    [
        ("bread", "lines_30d", 4),
        ("bread", "lines_7d", 1),
        ("bread", "lines_life", 4),
        ("bread", "buyers_life", 2),
        ("milk", "buyers_90d", 1),
        ("bread", "repeat_rate_life", 1 / 2),
        ("bread", "reorder_gap_days", 20 / 2),  # ann twice after her first, bob never
        ("bread", "days_since_first_sold", 30),
        ("bread", "days_since_last_sold", 2),
        ("bread", "returned_share_life", 1 / 5),
        ("bread", "price_90d", 14 / 5),
        ("bread", "discounted_share_90d", 1 / 4),
        ("bread", "lines_trend_30d", (4 + 1) / (0 / 2 + 1)),
        ("bread", "category_share_90d", 4 / 5),
        ("tea", "category_share_90d", 1),
    ],
)
def test_product_feature_worked_by_hand(shop, product: str, feature: str, value: float) -> None:
    assert of(shop, PRODUCT).loc[product, feature] == pytest.approx(value)


@pytest.mark.parametrize(
    ("pair", "feature", "value"),
    [
        (("ann", "bread"), "lines_life", 3),
        (("ann", "bread"), "days_since_last_bought", 10),
        (("ann", "bread"), "days_since_first_bought", 30),
        (("ann", "bread"), "gap_mean_days", 10),
        (("ann", "bread"), "dueness", 1),
        (("ann", "bread"), "customer_orders", 3),
        (("ann", "bread"), "streak", 3),
        (("ann", "milk"), "streak", 0),
        (("ann", "milk"), "orders_since_last", 1),
        (("ann", "milk"), "lines_per_order", 1 / 3),
        (("ann", "milk"), "order_share", 1 / 3),
        (("bob", "bread"), "orders_since_last", 1),
        (("bob", "tea"), "streak", 1),
        (("ann", "bread"), "lines_90d_to_last", 3),
        (("cat", "milk"), "lines_90d_to_last", 1),
    ],
)
def test_customer_and_product_feature_worked_by_hand(shop, pair: tuple[str, str], feature: str, value: float) -> None:
    assert of(shop, CUSTOMER_PRODUCT).loc[pair, feature] == pytest.approx(value)


def test_pairs_are_those_bought_before_the_moment(shop) -> None:
    bought = [("ann", "bread"), ("ann", "milk"), ("bob", "bread"), ("bob", "tea"), ("cat", "milk")]
    assert of(shop, CUSTOMER_PRODUCT).index.tolist() == bought
    assert of(shop, CUSTOMER_CATEGORY).index.tolist() == [
        ("ann", "food"),
        ("bob", "drinks"),
        ("bob", "food"),
        ("cat", "food"),
    ]


def test_category_feature_adds_up_its_products(shop) -> None:
    ann = of(shop, CUSTOMER_CATEGORY).loc[("ann", "food")]
    assert (ann["lines_life"], ann["customer_orders"], ann["days_since_last_bought"]) == (4, 3, 10)
    assert (ann["orders_life"], ann["order_share"], ann["orders_since_last"], ann["streak"]) == (3, 1, 0, 3)


def test_product_says_what_the_shop_says_of_it(shop) -> None:
    assert of(shop, PRODUCT)["attribute_category"].to_dict() == CATEGORIES


def test_shop_without_products_has_no_category_features(shop) -> None:
    snapshot = snapshot_of({"order_lines": shop["order_lines"]}, AS_OF)
    assert features_of(snapshot, CUSTOMER_CATEGORY) == []
    assert "category_share_90d" not in {feature.name for feature in features_of(snapshot, PRODUCT)}
