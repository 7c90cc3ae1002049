"""What sells with what, to whom, where, and what campaigns brought: worked by hand, and on Complete Journey."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from mlxtend.frequent_patterns import association_rules, fpgrowth
from scipy import sparse

from tests.features.loading import CAMPAIGNS
from tests.training.insight.conftest import MAPPING, MakeShop
from training.insight.baskets import Baskets, basket_rules, order_baskets, pair_counts
from training.insight.campaigns import MOST_CAMPAIGNS, campaign_report
from training.insight.selling import affinity, bought_categories, cross_sell, product_rhythm, top_categories, up_sell
from training.insight.shop import Shop


def held(*rows: tuple[int, ...]) -> sparse.csr_matrix:
    return sparse.csr_matrix(np.array(rows, dtype=np.float32))


def test_rules_worked_by_hand() -> None:
    # 100 orders: 20 with both, 20 more with bread alone, 10 more with butter alone, 50 with neither.
    rows = [(1, 1)] * 20 + [(1, 0)] * 20 + [(0, 1)] * 10 + [(0, 0)] * 50
    rules = basket_rules(Baskets(held(*rows), ["b1", "b2"], ["bread", "butter"]))
    assert [(rule.item, rule.other) for rule in rules] == [("butter", "bread"), ("bread", "butter")]
    strongest = rules[0]
    assert (strongest.orders, strongest.support, strongest.item_id) == (20, 0.2, "b2")
    assert strongest.confidence == pytest.approx(20 / 30)
    assert strongest.lift == pytest.approx((20 / 30) / 0.4)
    assert strongest.leverage == pytest.approx(0.2 - 0.4 * 0.3)
    assert strongest.conviction == pytest.approx((1 - 0.4) / (1 - 20 / 30))


def test_a_rule_without_exception_has_no_conviction() -> None:
    rules = basket_rules(Baskets(held(*[(1, 1)] * 20 + [(0, 1)] * 5 + [(0, 0)] * 25), ["a", "b"], ["a", "b"]))
    assert (rules[0].item, rules[0].confidence, rules[0].conviction) == ("a", 1.0, None)


def test_pairs_that_met_seldom_and_those_below_chance_are_no_rules() -> None:
    assert basket_rules(Baskets(held(*[(1, 1)] * 9 + [(0, 0)] * 91), ["a", "b"], ["a", "b"])) == []
    often_apart = held(*[(1, 1)] * 20 + [(1, 0)] * 40 + [(0, 1)] * 40)
    assert basket_rules(Baskets(often_apart, ["a", "b"], ["a", "b"])) == []


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sets(st.integers(0, 5)), min_size=1, max_size=40), st.integers(1, 3))
def test_counts_of_pairs_are_those_of_counting_one_by_one(orders: list[set[int]], least: int) -> None:
    matrix = held(*[tuple(int(item in order) for item in range(6)) for order in orders])
    first, second, n = pair_counts(matrix, least=least)
    found = {(int(i), int(j)): int(count) for i, j, count in zip(first, second, n, strict=True)}
    by_hand = {(i, j): sum(i in order and j in order for order in orders) for i in range(6) for j in range(i + 1, 6)}
    assert found == {pair: count for pair, count in by_hand.items() if count >= least}


def test_rules_on_complete_journey_are_those_of_fp_growth(journey_shop: Shop) -> None:
    baskets = order_baskets(journey_shop, by="department")
    ours = {(rule.item, rule.other): rule for rule in basket_rules(baskets, most=1_000)}
    frame = pd.DataFrame(baskets.held.toarray().astype(bool), columns=baskets.items)
    least = max(10, int(np.ceil(0.001 * len(frame)))) / len(frame)
    # The last place of a float decides nothing: half an order less is the same threshold.
    found = fpgrowth(frame, min_support=least - 0.5 / len(frame), use_colnames=True, max_len=2)
    theirs = association_rules(found, metric="lift", min_threshold=1.0 + 1e-12)
    named = {(*row.antecedents, *row.consequents): row for row in theirs.itertuples()}
    assert set(ours) == set(named)
    assert len(ours) > 100
    for pair, rule in ours.items():
        for name in ("support", "confidence", "lift", "leverage", "conviction"):
            assert getattr(rule, name) == pytest.approx(getattr(named[pair], name), rel=1e-6), (pair, name)


def test_cross_sell_worked_by_hand() -> None:
    bought = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=bool)
    found = cross_sell(bought, ["bread", "butter", "wine"])
    assert found["values"][0] == [None, pytest.approx(2 / 3), 0.0]
    assert found["lift"][0][1] == pytest.approx((2 / 3) / (3 / 4))
    assert found["open"][0] == [0, 1, 3]
    assert found["customers"] == [3, 3, 0]
    assert found["values"][2] == [0.0, 0.0, None]


def test_up_sell_worked_by_hand(make_shop: MakeShop) -> None:
    # Three teas with as many lines each, so each is a tier: 1, 2 and 5 apiece.
    goods = ("plain,tea,", "fine,tea,", "finest,tea,")
    price = {"plain": 1, "fine": 2, "finest": 5}
    early, late = "2023-08-01 10:00:00", "2024-02-01 10:00:00"
    bought = [
        *(("ann", "plain", early), ("ann", "finest", late)),
        *(("bob", "finest", early), ("bob", "plain", late)),
        *(("cy", "fine", early), ("cy", "fine", late)),
        ("dee", "plain", early),  # never again, so nothing to say
        *(("eve", "finest", early), ("eve", "fine", late)),
    ]
    lines = [f"{who}{at},{who},{what},{at},1,{price[what]},0,x" for who, what, at in bought]
    shop = make_shop(*lines, goods=goods, as_of="2024-06-01")
    assert top_categories(shop) == ["tea"]
    found = up_sell(shop, ["tea"])
    assert found["values"] == [[0, 0, 1], [0, 1, 0], [1, 1, 0]]
    (row,) = found["by_category"]
    assert (row["customers"], row["up"], row["down"]) == (4, 1 / 2, 2 / 3)


def test_affinity_worked_by_hand() -> None:
    buyers = np.array([[80.0, 10.0], [20.0, 90.0], [1.0, 1.0]])
    found = affinity(buyers, np.array([100.0, 100.0, 2.0]), groups=["young", "old", "few"], categories=["games", "tea"])
    assert found["values"][0][0] == pytest.approx(100 * 0.8 / (101 / 202))
    assert found["values"][2] == [None, None]  # two customers tell nothing
    assert found["sure"] == [[True, True], [True, True], [False, False]]
    same = affinity(np.array([[30.0], [31.0]]), np.array([100.0, 100.0]), groups=["a", "b"], categories=["c"])
    assert same["sure"] == [[False], [False]]


def test_products_say_who_came_back_and_when(make_shop: MakeShop) -> None:
    lines = [
        "o1,ann,tea,2024-01-01 10:00:00,1,3.00,0,x",
        "o2,ann,tea,2024-01-11 10:00:00,1,3.00,0,x",
        "o3,ann,tea,2024-01-31 10:00:00,1,3.00,0,x",
        "o4,bob,tea,2024-01-05 10:00:00,2,6.00,0,x",
        "o4,bob,cake,2024-01-05 10:00:00,1,2.00,0,x",
    ]
    tea, cake = product_rhythm(make_shop(*lines, as_of="2024-03-01"))
    assert (tea["product_id"], tea["buyers"], tea["orders"], tea["spend"]) == ("tea", 2, 4, 15.0)
    assert (tea["repeat_share"], tea["reorder_gap_days"]) == (0.5, 15.0)
    assert cake["repeat_share"] == 0.0
    assert np.isnan(cake["reorder_gap_days"])


def campaign(make_shop: MakeShop, contacts: list[str], responses: list[str], lines: list[str], as_of: str) -> Any:
    files = {
        "contacts.csv": ["campaign,customer,at,treated", *contacts],
        "responses.csv": ["campaign,customer,at", *responses],
    }
    shop = make_shop(*lines, as_of=as_of, mapping=MAPPING + CAMPAIGNS, files=files)
    return campaign_report(shop, margin=0.5, cost_per_contact=0.25)


def test_a_campaign_worked_by_hand(make_shop: MakeShop) -> None:
    day = datetime(2024, 3, 1)
    lines = [f"first{n},c{n},tea,2024-01-01 10:00:00,1,1.00,0,x" for n in range(6)]
    # Within the horizon c0, c1 and c2 spend 4, c4 spends 2; c3 orders before the contact and after the horizon only.
    for n, at, paid in ((0, 3, 4), (1, 0, 4), (2, 27, 4), (3, -1, 9), (3, 28, 9), (4, 5, 2)):
        lines.append(f"o{n}{at},c{n},tea,{day + timedelta(days=at)},1,{paid},0,x")
    contacts = [f"spring,c{n},2024-03-01 00:00:00,{'true' if n < 4 else 'false'}" for n in range(6)]
    contacts += ["spring,c0,2024-03-10 00:00:00,true", "late,c0,2024-06-01 00:00:00,true"]
    responses = ["spring,c0,2024-03-02 00:00:00", "spring,c0,2024-03-03 00:00:00", "spring,c3,2024-02-01 00:00:00"]
    late, spring = campaign(make_shop, contacts, responses, lines, "2024-06-10")
    assert (late["contacted"], late["not_yet"], late["response_rate"]) == (0, 1, None)
    assert (spring["contacted"], spring["held_out"], spring["responded"]) == (4, 2, 1)
    assert spring["response_rate"] == 0.25
    assert (spring["bought_share"], spring["held_out_bought_share"], spring["lift"]) == (0.75, 0.5, 0.25)
    assert spring["lift_low"] < 0 < spring["lift_high"]
    assert (spring["spend_mean"], spring["held_out_spend_mean"], spring["spend_lift"]) == (3.0, 1.0, 2.0)
    # Variances of 4, 4, 4, 0 and of 2, 0: 4 and 2; so the half width is 1.96 root(4/4 + 2/2).
    assert spring["spend_lift_high"] - 2.0 == pytest.approx(1.959964 * np.sqrt(2))
    assert spring["profit"] == pytest.approx(4 * (0.5 * 2.0 - 0.25))
    assert spring["profit_low"] == pytest.approx(4 * (0.5 * spring["spend_lift_low"] - 0.25))
    assert spring["break_even_spend"] == 0.5


def test_both_arms_are_looked_at_over_the_same_time(make_shop: MakeShop) -> None:
    # Held out when drawn, contacted two weeks later; and everybody orders on the fifth day alone.
    lines = [f"o{n},c{n},tea,2024-03-05 10:00:00,1,2.00,0,x" for n in range(8)]
    contacts = [f"spring,c{n},{'2024-03-15' if n < 4 else '2024-03-01'} 00:00:00,{n < 4}".lower() for n in range(8)]
    responses = ["spring,c0,2024-03-16 00:00:00", "spring,c1,2024-03-02 00:00:00"]
    (row,) = campaign(make_shop, contacts, responses, lines, "2024-05-20")
    assert (row["bought_share"], row["held_out_bought_share"], row["lift"], row["spend_lift"]) == (1.0, 1.0, 0.0, 0.0)
    # Who responded before they were contacted did not respond to it.
    assert (row["first_contact_at"], row["responded"]) == ("2024-03-01", 1)


def test_a_campaign_is_told_of_when_the_horizon_of_all_has_passed(make_shop: MakeShop) -> None:
    lines = [f"o{n},c{n},tea,2024-01-01 10:00:00,1,2.00,0,x" for n in range(2)]
    contacts = ["spring,c0,2024-03-01 00:00:00,true", "spring,c1,2024-03-10 00:00:00,false"]
    for as_of, told in (("2024-03-28", (0, 0, 2)), ("2024-03-29", (1, 1, 0))):
        (row,) = campaign(make_shop, contacts, ["x,y,2024-03-02 00:00:00"], lines, as_of)
        assert (row["contacted"], row["held_out"], row["not_yet"]) == told


def test_of_many_campaigns_the_newest_are_told(make_shop: MakeShop) -> None:
    start = datetime(2023, 1, 1)
    days = [start + timedelta(days=n) for n in range(MOST_CAMPAIGNS + 2)]
    lines = [f"o{n},ann,tea,{day},1,2.00,0,x" for n, day in enumerate(days)]
    contacts = [f"k{n:02},ann,{day},true" for n, day in enumerate(days)]
    rows = campaign(make_shop, contacts, ["x,y,2024-03-02 00:00:00"], lines, "2024-05-20")
    assert [row["campaign_id"] for row in rows] == [f"k{n:02}" for n in range(len(days) - 1, 1, -1)]
    # An order at the moment of the contact itself is after it.
    assert [row["spend_mean"] for row in rows[:3]] == [2.0, 4.0, 6.0]


def test_without_amounts_no_spend_and_no_profit_is_told(make_shop: MakeShop) -> None:
    lines = [f"o{n},c{n},tea,2024-0{month}-02 10:00:00,1,,0,x" for n in range(8) for month in (1, 3)]
    contacts = [f"spring,c{n},2024-03-01 00:00:00,{n < 6}".lower() for n in range(8)]
    (row,) = campaign(make_shop, contacts, ["x,y,2024-03-02 00:00:00"], lines, "2024-05-20")
    assert (row["lift"], row["bought_share"]) == (0.0, 1.0)
    money = ("spend_mean", "held_out_spend_mean", "spend_lift", "spend_lift_low", "profit", "profit_low", "profit_high")
    assert {row[name] for name in money} == {None}


def test_without_a_hold_out_no_lift_and_no_profit_is_told(make_shop: MakeShop) -> None:
    lines = ["o1,ann,tea,2024-01-01 10:00:00,1,1.00,0,x"]
    contacts, responses = ["spring,ann,2024-03-01 00:00:00,"], ["other,ann,2024-03-02 00:00:00"]
    (row,) = campaign(make_shop, contacts, responses, lines, "2024-06-10")
    assert (row["contacted"], row["held_out"], row["lift"], row["profit"]) == (1, 0, None, None)


def test_complete_journey_sold(journey_shop: Shop) -> None:
    categories = top_categories(journey_shop)
    bought = bought_categories(journey_shop, categories)
    found = cross_sell(bought, categories)
    assert found["rows"] == categories
    milk, bread = categories.index("FLUID MILK PRODUCTS"), categories.index("BAKED BREAD/BUNS/ROLLS")
    assert found["values"][milk][bread] > 0.9
    moved = up_sell(journey_shop, categories)
    assert np.trace(np.array(moved["values"])) > 0.5 * np.sum(moved["values"])
    assert sum(row["customers"] for row in moved["by_category"]) == np.sum(moved["values"])
    products = product_rhythm(journey_shop)
    assert products[0]["name"] == "BANANAS"
    campaigns = campaign_report(journey_shop)
    assert len(campaigns) == 27
    assert sum(row["contacted"] + row["not_yet"] for row in campaigns) == 6589
    assert {row["lift"] for row in campaigns} == {None}  # nobody was held out
    thirteen = next(row for row in campaigns if row["campaign_id"] == "13")
    assert thirteen["channel"] == "Type A"
    assert 0 < thirteen["response_low"] < thirteen["response_rate"] < thirteen["response_high"] < 1
