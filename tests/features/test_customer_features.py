from __future__ import annotations

import math
from datetime import datetime, timedelta
from decimal import Decimal

import pandas as pd
import pytest

from features.build import features_of
from features.customer_rhythm import STAGES
from features.mixes import slugs
from tests.features.small_shop import arrow, features_at, line, snapshot_of

AS_OF = "2024-06-01"


@pytest.fixture(scope="module")
def ann() -> pd.Series:
    """Ann orders on days 30, 20, 20 and 4 before the moment, sends something back, and orders again afterwards."""
    lines = [
        line("ann", "1", "2024-05-02T09:00", "bread", amount=10, discount=2, store_id="north"),
        line("ann", "1", "2024-05-02T09:00", "milk", amount=5, store_id="north"),
        line("ann", "2", "2024-05-12T18:30", "bread", amount=20, coupon=1, store_id="south"),
        line("ann", "3", "2024-05-12T20:00", "tea", quantity=2, amount=8, store_id="south"),
        line("ann", "4", "2024-05-28T12:00", "bread", amount=10, store_id="south"),
        line("ann", "4", "2024-05-29T12:00", "tea", quantity=-1, amount=-4, store_id="south"),
        line("ann", "5", "2024-06-01T00:00", "bread", amount=100, store_id="east"),
        line("bob", "1", "2024-05-31T23:59", "milk", amount=1),
        line("eve", "1", "2024-05-31T12:00", "milk", quantity=-1, amount=-1),
    ]
    products = [
        {"product_id": "bread", "category": "bakery", "department": "food", "brand": "Own"},
        {"product_id": "milk", "category": "dairy", "department": "food", "brand": "Farm"},
        {"product_id": "tea", "category": "drinks", "department": "other"},
    ]
    contacts = [
        {"campaign_id": "a", "customer_id": "ann", "contacted_at": "2024-05-22"},
        {"campaign_id": "b", "customer_id": "ann", "contacted_at": "2024-05-30", "treated": False},
        {"campaign_id": "c", "customer_id": "ann", "contacted_at": "2024-06-02"},
    ]
    shop = {
        "order_lines": arrow("order_lines", lines),
        "products": arrow("products", products),
        "contacts": arrow("contacts", contacts),
        "customers": arrow("customers", [{"customer_id": "ann", "Age Band": "30-39"}], attributes=["Age Band"]),
    }
    found = features_at(shop, AS_OF)
    assert found.index.tolist() == ["ann", "bob"]  # eve only ever returned something
    return found.loc["ann"]


@pytest.mark.parametrize(
    ("feature", "value"),
    [
        ("orders_life", 4),
        ("orders_7d", 1),
        ("orders_14d", 1),
        ("orders_30d", 4),  # 2024-05-02 09:00 is after 2024-05-02 00:00, which is in the window
        ("days_since_last_order", 3.5),
        ("days_since_first_order", 29 + 15 / 24),
        ("lines_per_order_life", 5 / 4),  # bread, milk; bread; tea; bread: a return is no line bought
        ("spend_life", 49),
        ("spend_7d", 6),  # net of the return of the same order
        ("spend_30d", 49),
        ("spend_per_order_life", 49 / 4),
        ("returned_share_life", 4 / 53),
        ("discount_share_180d", 2 / 51),
        ("coupon_order_share_180d", 1 / 4),
        ("stores_180d", 2),
        ("weekend_share_180d", 2 / 4),  # 12 May 2024 was a Sunday
        ("evening_share_180d", 2 / 4),
        ("morning_share_180d", 1 / 4),
        ("brands_180d", 2),
        ("brand_share_own", 3 / 4),  # tea has no brand, so bread and milk are all there is
        ("spend_decile_365d", 10),
        ("lifecycle_stage", 0),  # three visits within 30 days of the first: new
        ("visits_life", 3),
        ("gap_mean_days", 13),
        ("gap_median_days", 13),
        ("gap_spread_days", math.sqrt(18)),
        ("gap_longest_days", 16),
        ("gap_last_days", 16),
        ("gap_recent_days", 13),
        ("weeks_active_12w", 3),
        ("silence_to_gap_mean", 3.5 / 13),
        ("silence_to_gap_longest", 3.5 / 16),
        ("silence_deviations", (3.5 - 13) / (math.sqrt(18) + 1)),
        ("days_to_expected_order", 9.5),
        ("orders_trend_7d", (1 + 1) / (0 + 1)),
        ("orders_trend_30d", (4 + 1) / (0 + 1)),
        ("products_life", 3),
        ("products_90d", 3),
        ("new_products_30d", 3),
        ("repeated_product_share_life", 1 / 3),
        ("categories_life", 3),
        ("categories_lost_90d", 0),
        # bakery 3 lines, dairy 1, drinks 1
        ("category_entropy_life", -(0.6 * math.log(0.6) + 2 * 0.2 * math.log(0.2))),
        ("department_share_food", 4 / 5),
        ("department_share_other", 1 / 5),
        ("contacts_90d", 1),  # not the one held out, not the one to come
        ("days_since_last_contact", 10),
    ],
)
def test_feature_worked_by_hand(ann: pd.Series, feature: str, value: float) -> None:
    assert ann[feature] == pytest.approx(value, abs=1e-9)


def test_decayed_visits_halve_with_each_half_life(ann: pd.Series) -> None:
    # Visits 3, 19 and 29 whole days before the last day.
    expected = sum(0.5 ** (days / 14) for days in (3, 19, 29))
    assert ann["visits_decayed_14d"] == pytest.approx(expected, abs=1e-8)


def test_slope_of_weekly_visits_is_that_of_least_squares(ann: pd.Series) -> None:
    # Weeks counted back from the moment: day 3 lies in week 0, day 19 in week 2, day 29 in week 4.
    counts = [0] * 12
    for back in (0, 2, 4):
        counts[11 - back] += 1
    mean = 11 / 2
    slope = sum((week - mean) * n for week, n in enumerate(counts)) / sum((week - mean) ** 2 for week in range(12))
    assert ann["visits_slope_12w"] == pytest.approx(slope, abs=1e-12)


def test_attributes_are_text_columns_of_their_own(ann: pd.Series) -> None:
    assert ann["attribute_age_band"] == "30-39"


def test_one_time_buyer_has_no_gaps_and_no_measure_in_gaps() -> None:
    bob = features_at({"order_lines": arrow("order_lines", [line("bob", "1", "2024-05-01")])}, AS_OF).loc["bob"]
    measured_in_gaps = [name for name in bob.index if name.startswith(("gap_", "silence_", "days_to_"))]
    assert len(measured_in_gaps) == 11
    assert bob[measured_in_gaps].isna().all()
    assert bob["days_since_last_order"] == 31


def test_price_level_compares_with_what_everybody_paid_before_in_the_same_categories() -> None:
    lines = [
        line("cid", "1", "2024-05-01", "brie", amount=6),
        line("cid", "1", "2024-05-01", "gouda", amount=2),
        line("cid", "1", "2024-05-01", "tea", quantity=2, amount=8),
        line("ann", "1", "2024-05-02", "brie", amount=6),
        line("bob", "1", "2024-05-02", "gouda", amount=2),
        line("bob", "1", "2024-05-02", "tea", quantity=2, amount=12),
    ]
    products = [{"product_id": p, "category": c} for p, c in (("brie", "cheese"), ("gouda", "cheese"), ("tea", "tea"))]
    shop = {"order_lines": arrow("order_lines", lines), "products": arrow("products", products)}
    found = features_at(shop, AS_OF)["price_level_180d"]
    # Until then a unit of cheese cost 4 on average, of tea 4; nothing is known of the first day.
    assert found.drop("cid").to_dict() == pytest.approx({"ann": 6 / 4, "bob": (2 + 12) / (4 + 2 * 4)})
    assert math.isnan(found["cid"])


@pytest.mark.parametrize(
    ("days_before", "stage"),
    [
        ([5], "new"),
        ([25, 15, 5], "new"),
        ([45], "forming"),
        ([70], "cooling"),
        ([130], "dormant"),
        ([60, 40, 20], "forming"),
        ([40, 30, 20, 10], "stable"),
        ([55, 45, 35, 25], "cooling"),
        ([75, 65, 55, 45], "dormant"),
        ([99, 98, 97, 96, 95, 5], "returned"),
    ],
)
def test_lifecycle_stage_goes_by_the_own_cadence(days_before: list[int], stage: str) -> None:
    moment = datetime.fromisoformat(AS_OF)
    lines = [line("ann", str(days), (moment - timedelta(days=days)).isoformat()) for days in days_before]
    code = features_at({"order_lines": arrow("order_lines", lines)}, AS_OF).loc["ann", "lifecycle_stage"]
    assert STAGES[int(code)] == stage


def test_names_that_come_out_alike_are_numbered() -> None:
    assert slugs(["Age Band", "age-band", "Größe", "!"]) == {
        "Age Band": "age_band",
        "age-band": "age_band_2",
        "Größe": "größe",
        "!": "unnamed",
    }


def test_category_lost_is_one_bought_in_the_quarter_before_last_and_not_since() -> None:
    lines = [
        line("ann", "1", "2024-01-15", "milk"),  # 138 days before
        line("ann", "2", "2024-05-20", "bread"),
        line("ann", "3", "2023-10-01", "tea"),  # longer ago than 180 days
    ]
    products = [{"product_id": name, "category": name} for name in ("milk", "bread", "tea")]
    shop = {"order_lines": arrow("order_lines", lines), "products": arrow("products", products)}
    assert features_at(shop, AS_OF).loc["ann", "categories_lost_90d"] == 1


def test_shop_with_order_lines_alone_has_the_features_they_allow() -> None:
    snapshot = snapshot_of({"order_lines": arrow("order_lines", [line("ann", "1", "2024-05-01")])}, AS_OF)
    names = {feature.name for feature in features_of(snapshot)}
    assert {"orders_30d", "gap_mean_days", "products_life", "silence_to_gap_mean"} <= names
    assert not [name for name in names if "spend" in name or "categor" in name or "contact" in name or "store" in name]


def test_money_is_added_exactly() -> None:
    # Ten thousand times 0.1 is 1000 in decimals and not in binary fractions.
    lines = [line("ann", str(i), "2024-05-01", amount=Decimal("0.1")) for i in range(10_000)]
    assert features_at({"order_lines": arrow("order_lines", lines)}, AS_OF).loc["ann", "spend_life"] == 1000.0


def test_order_spread_over_time_counts_by_its_first_line() -> None:
    lines = [line("ann", "1", "2024-05-02T10:00", "bread"), line("ann", "1", "2024-05-30T10:00", "milk")]
    ann = features_at({"order_lines": arrow("order_lines", lines)}, AS_OF).loc["ann"]
    assert (ann["orders_life"], ann["orders_7d"], ann["lines_per_order_life"]) == (1, 0, 2)


def test_orders_of_one_id_by_two_customers_are_two_orders() -> None:
    lines = [line("ann", "1", "2024-05-02"), line("bob", "1", "2024-05-02")]
    found = features_at({"order_lines": arrow("order_lines", lines)}, AS_OF)
    assert found["orders_life"].tolist() == [1, 1]
