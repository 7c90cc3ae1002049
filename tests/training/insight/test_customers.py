"""What is known of each customer, worked by hand and against the profiles of a scoring."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from features.errors import DataError
from tests.training.insight.conftest import MakeShop
from training.insight.customers import customer_facts, spend_by_period
from training.insight.shop import Shop, earlier, shop_before
from training.profiles import profiles
from training.protocols import Context

LINES = (
    "o1,ann,tea,2024-01-01 10:00:00,2,6.00,2.00,north",
    "o1,ann,cake,2024-01-01 10:00:00,1,4.00,0,north",
    "o2,ann,tea,2024-03-02 19:00:00,1,4.00,0,south",
    "o2,ann,tea,2024-03-05 09:00:00,-1,-4.00,0,south",
    "o3,bob,tea,2024-03-20 08:00:00,1,3.00,1.00,north",
    "o4,cy,tea,2024-03-21 08:00:00,-1,-3.00,0,north",
    "o5,dee,tea,2024-04-01 00:00:00,1,3.00,0,north",
)
GOODS = ("tea,drinks,1.00", "cake,bakery,2.50")


def test_each_customer_worked_by_hand(make_shop: MakeShop) -> None:
    facts = customer_facts(make_shop(*LINES, goods=GOODS, as_of="2024-04-01")).set_index("customer_id")
    assert list(facts.index) == ["ann", "bob"]  # cy only sent something back; dee bought at the moment itself
    ann = facts.loc["ann"]
    assert (ann["orders"], ann["visits"], ann["products"], ann["categories"]) == (2, 2, 2, 2)
    assert ann["spend"] == pytest.approx(10.0)  # 6 + 4 + 4 - 4
    assert ann["margin"] == pytest.approx(10.0 - (2 * 1 + 2.5 + 1 - 1))
    assert ann["discount_share"] == pytest.approx(2 / 16)
    assert ann["returned_share"] == pytest.approx(4 / 14)
    assert ann["usual_gap_days"] == pytest.approx(61 + 9 / 24)
    assert (ann["days_since_last_order"], ann["days_since_first_order"]) == (29, 90)
    assert ann["weekend_share"] == pytest.approx(0.5)  # a Monday and a Saturday
    assert ann["evening_share"] == pytest.approx(0.5)
    assert (ann["stage"], facts.loc["bob", "stage"]) == ("lapsed", "new")
    # Periods of 28 days back from the moment: the first order lies in the fourth, the second in the second.
    assert (ann["periods_known"], ann["periods_active"]) == (4, 2)


def test_spend_by_period_adds_up_to_what_was_spent(make_shop: MakeShop) -> None:
    days, spend = spend_by_period(make_shop(*LINES, as_of="2024-04-01"))
    assert (len(days), days[-1]) == (13, "2024-03-04")
    # What was sent back lies with the order it belongs to.
    assert spend[0, -4:].tolist() == [10.0, 0.0, 0.0, 0.0]
    assert spend[1, -1] == pytest.approx(3.0)


def test_margin_is_not_told_where_a_cost_is_missing(make_shop: MakeShop) -> None:
    shop = make_shop(*LINES, goods=("tea,drinks,1.00", "cake,bakery,"), as_of="2024-04-01")
    assert not shop.has_margin
    assert customer_facts(shop)["margin"].isna().all()


def test_nobody_before_the_moment_is_said(make_shop: MakeShop) -> None:
    with pytest.raises(DataError, match="Nobody had bought before 2024-01-01"):
        make_shop(*LINES, as_of="2024-01-01")


def test_rows_at_or_after_the_moment_change_nothing(make_shop: MakeShop) -> None:
    before = customer_facts(make_shop(*LINES, as_of="2024-03-10"))
    cut = [line for line in LINES if "2024-03-2" not in line and "2024-04" not in line]
    pd.testing.assert_frame_equal(before, customer_facts(make_shop(*cut, as_of="2024-03-10")))
    assert before["spend"].tolist() == [10.0]


def test_earlier_is_the_lake_as_it_was_then(journey: Context, journey_shop: Shop) -> None:
    then = journey_shop.as_of - timedelta(days=84)
    anew = shop_before(journey, then, horizon_days=28)
    pd.testing.assert_frame_equal(customer_facts(earlier(journey_shop, then)), customer_facts(anew))
    with pytest.raises(DataError, match="not earlier"):
        earlier(journey_shop, datetime(2020, 1, 1))


def test_complete_journey_says_what_its_scores_say(journey: Context, journey_facts: pd.DataFrame) -> None:
    scored = profiles(journey, datetime(2018, 1, 2), horizon_days=28)
    for name in ("customer_id", "orders", "days_since_last_order", "days_since_first_order", "active"):
        assert journey_facts[name].tolist() == scored[name].tolist(), name
    np.testing.assert_allclose(journey_facts["spend"], scored["spend"])
