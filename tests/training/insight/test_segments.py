"""Scores, segments, deciles, best customers, grades and tags, worked by hand and on Complete Journey."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from tests.training.insight.conftest import MakeShop
from training.insight.best import BestRule, best_customers, best_summary, usual_rule
from training.insight.customer_grades import GRADES, GradeRule, customer_grades, usual_grade_rule
from training.insight.customers import customer_facts, spend_by_period
from training.insight.deciles import customer_deciles, decile_of, gini, sales_decile_of, sales_deciles
from training.insight.lifetime import historic_value, predicted_value, spread
from training.insight.places import usual_stores
from training.insight.portrait import Rules, portray
from training.insight.rfm import GRID, SEGMENTS, quantile_scores, rfm, rfm_grid, segment_table
from training.insight.shop import Shop
from training.insight.tags import TAGS, customer_tags, spend_trend


def test_scores_are_fifths_and_equal_values_stay_together() -> None:
    assert quantile_scores(np.arange(10.0)).tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    # Six of ten are equal and lowest: their middle place is 3 of 10, so the second fifth.
    assert quantile_scores(np.array([0.0] * 6 + [1, 2, 3, 4])).tolist() == [2] * 6 + [4, 4, 5, 5]
    assert quantile_scores(np.ones(4)).tolist() == [3] * 4
    assert quantile_scores(np.empty(0)).tolist() == []


def five(**columns: list[float]) -> pd.DataFrame:
    """Five customers, from one who left long ago to one who is here daily."""
    base = {
        "days_since_last_order": [400, 90, 30, 10, 1],
        "visits_lately": [0, 2, 5, 10, 50],
        "spend_lately": [0.0, 20.0, 50.0, 100.0, 900.0],
        "orders_lately": [0, 2, 5, 10, 50],
    }
    return pd.DataFrame(base | columns)


def test_segments_stand_where_the_grid_says() -> None:
    scored = rfm(five())
    assert scored[["r", "f", "m"]].to_numpy().tolist() == [[n] * 3 for n in range(1, 6)]
    assert scored["segment"].tolist() == ["hibernating", "hibernating", "need_attention", "loyal", "champions"]
    # The best of old, gone silent: it cannot be lost.
    assert rfm(five(days_since_last_order=[1, 10, 30, 90, 400]))["segment"].iloc[4] == "cannot_lose"
    assert {name for row in GRID for name in row} == set(SEGMENTS)
    assert rfm_grid(scored) == [[int(row == column) for column in range(5)] for row in range(4, -1, -1)]


def test_without_amounts_frequency_stands_for_value() -> None:
    scored = rfm(five(spend_lately=[np.nan] * 5))
    assert scored["m"].isna().all()
    assert scored["segment"].tolist() == rfm(five())["segment"].tolist()


def test_a_table_of_groups_counts_everybody_once() -> None:
    rows = segment_table(five(), np.array(["x", "x", "y", "y", "y"]), ("x", "y", "z"))
    assert [row["customers"] for row in rows] == [2, 3, 0]
    assert rows[1]["spend_share"] == pytest.approx(1050 / 1070)
    assert rows[2]["spend_mean"] is None


def test_tenths_of_customers_worked_by_hand() -> None:
    amounts = np.array([10.0, 50, 30, 20, 40, 5, 5, 20, 10, 10])  # 200 in all
    rows = customer_deciles(amounts)
    assert [row.amount for row in rows] == [50, 40, 30, 20, 20, 10, 10, 10, 5, 5]
    assert rows[2].share_so_far == pytest.approx(0.6)
    assert decile_of(amounts).tolist() == [6, 1, 3, 4, 2, 9, 10, 5, 7, 8]


def test_tenths_of_sales_say_how_many_customers_make_each() -> None:
    # 100 in all: one customer of 50 fills half; its middle lies at 25, in the third tenth. Then five of 10.
    amounts = np.array([10.0, 50, 10, 10, 10, 10, 0, -5])
    assert sales_decile_of(amounts).tolist() == [6, 3, 7, 8, 9, 10, 0, 0]
    rows = sales_deciles(amounts)
    assert [row.customers for row in rows] == [0, 0, 1, 0, 0, 1, 1, 1, 1, 1]
    assert sum(row.share for row in rows) == pytest.approx(1.0)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200))
def test_tenths_hold_everybody_and_everything(amounts: list[float]) -> None:
    values = np.array(amounts)
    sizes = [row.customers for row in customer_deciles(values)]
    assert sum(sizes) == len(values)
    assert max(sizes) - min(sizes) <= 1
    assert sum(row.amount for row in sales_deciles(values)) == pytest.approx(values.sum())
    assert (np.diff(sales_decile_of(values)[np.argsort(-values, kind="stable")][: (values > 0).sum()]) >= 0).all()


def test_gini_of_equals_is_0_and_of_one_who_has_all_near_1() -> None:
    assert gini(np.ones(10)) == pytest.approx(0)
    assert gini(np.array([0.0] * 9 + [5])) == pytest.approx(0.9)
    assert gini(np.array([1.0, 3.0])) == pytest.approx(0.25)
    assert gini(np.zeros(3)) == 0


def test_best_customers_reach_all_thresholds() -> None:
    facts = five(categories_lately=[0, 1, 2, 3, 4])
    assert best_customers(facts, BestRule(spend=50, categories=3, visits=5)).tolist() == [False] * 3 + [True] * 2
    found = best_summary(facts, BestRule(spend=50, categories=3, visits=5))
    assert found["reach"] == {"spend": 3, "categories": 2, "visits": 3}
    assert found["spend_share"] == pytest.approx(1000 / 1070)
    # Of the four who came lately, four fifths of the way: 10 + 0.4 x 40.
    assert usual_rule(facts).visits == 26
    without = best_customers(five(spend_lately=[np.nan] * 5, categories_lately=[0, 1, 2, 3, 4]), BestRule(50, 3, 5))
    assert without.tolist() == [False] * 3 + [True] * 2


def graded(**columns: list[object]) -> pd.DataFrame:
    base = {
        "margin_lately": [np.nan] * 4,
        "spend_lately": [100.0, 100.0, 10.0, 10.0],
        "orders_lately": [9, 2, 9, 1],
        "periods_active": [12, 3, 12, 1],
        "periods_known": [13, 13, 13, 13],
        "stage": ["regular"] * 4,
    }
    return pd.DataFrame(base | columns)


def test_grades_are_value_and_loyalty() -> None:
    rule = GradeRule(value=50, loyalty=0.5)
    assert customer_grades(graded(), rule).tolist() == ["A", "B", "C", "D"]
    # Who is lost is not loyal, whoever they were; and two periods are too few to tell.
    assert customer_grades(graded(stage=["lost"] * 4), rule).tolist() == ["B", "B", "D", "D"]
    few = graded(periods_known=[2] * 4, periods_active=[2] * 4)
    assert customer_grades(few, rule).tolist() == ["B", "B", "D", "D"]
    assert customer_grades(graded(margin_lately=[1.0, 60, 70, 1]), rule).tolist() == ["C", "B", "A", "D"]
    usual = usual_grade_rule(graded())
    assert (usual.value, usual.loyalty) == pytest.approx((55.0, 28 / 52))


def test_tags_worked_by_hand() -> None:
    n = 10
    facts = pd.DataFrame(
        {
            "best": [True] + [False] * 9,
            "stage": ["regular"] * 9 + ["new"],
            "orders": [20] * 9 + [1],
            "visits_lately": range(n),
            "order_spend": [5.0] * n,
            "categories_lately": range(n),
            "top_share": [0.6, 0.2] * 5,
            "discount_share": [0.0, 0.5] + [0.1] * 8,
            "weekend_share": [1.0] + [0.2] * 8 + [1.0],
            "evening_share": [0.2] * n,
            "returned_share": [0.0] * 9 + [0.2],
            "responses": [0, 3] + [0] * 8,
            "trend": [2.0, 0.4] + [1.0] * 8,
        }
    )
    has, rows = customer_tags(facts, as_of="2024-04-01")
    who = {name: np.flatnonzero(held).tolist() for name, held in has.items()}
    assert who["best"] == who["growing"] == who["full_price"] == [0]
    assert who["responds"] == who["shrinking"] == who["bargain_hunter"] == [1]
    assert who["newcomer"] == who["one_order"] == who["returns_much"] == [9]
    assert who["weekend"] == [0]  # the newcomer's one order is no habit
    assert who["evening"] == []
    assert who["frequent"] == [9]
    assert {row["tag"]: row["customers"] for row in rows} == {tag.name: len(who[tag.name]) for tag in TAGS}
    assert {row["as_of"] for row in rows} == {"2024-04-01"}
    fewer, _ = customer_tags(facts, as_of="2024-04-01", able=frozenset({"spend"}))
    assert set(has) - set(fewer) == {
        *("bargain_hunter", "full_price", "specialist", "responds", "growing", "shrinking", "explorer")
    }


def test_trend_is_the_last_three_periods_over_the_three_before() -> None:
    spend = np.array([[0, 0, 9, 0, 0, 4, 0, 0]], dtype=np.float32)
    assert spend_trend(spend, np.array([168.0])).tolist() == [0.5]
    # Who came within the six periods has no spend before to compare with.
    assert np.isnan(spend_trend(spend, np.array([167.0]))).all()


def pictured(shop: Shop) -> tuple[dict[str, Any], dict[str, Any], dict[str, dict[str, Any]]]:
    facts = customer_facts(shop)
    columns, tables = portray(shop, facts, spend_by_period(shop)[1], rules=Rules(), scores={})
    return columns, tables, {row["tag"]: row for row in tables["tags"]}


def ordered(who: str, day: str, paid: str, *, off: str = "0", times: int = 6, product: str = "tea") -> list[str]:
    days = pd.date_range(day, periods=times)
    return [f"{who}{at:%m%d}{product},{who},{product},{at:%Y-%m-%d} 10:00:00,1,{paid},{off},x" for at in days]


def test_most_customers_silent_for_a_year_leave_the_others_their_tags(make_shop: MakeShop) -> None:
    lines = [line for n in range(17) for line in ordered(f"old{n}", "2022-03-01", "10")]
    lines += ordered("new0", "2024-05-01", "10") + ordered("new1", "2024-05-01", "10")
    lines += ordered("new2", "2024-05-01", "10", off="1", times=7)
    columns, tables, tags = pictured(make_shop(*lines, as_of="2024-06-01"))
    assert tables["best"]["rule"] == {"spend": 66.0, "categories": 0, "visits": 6}
    assert tables["best"]["reach"] == {"spend": 1, "categories": None, "visits": 3}
    assert np.flatnonzero(columns["best"]).tolist() == [2]
    # Categories are not known, and nobody who came last month grows.
    assert "explorer" not in tags
    assert tags["growing"]["customers"] == tags["shrinking"]["customers"] == 0
    assert (tags["bargain_hunter"]["customers"], tags["full_price"]["customers"]) == (1, 19)


def test_who_never_came_lately_is_not_best_whatever_the_thresholds() -> None:
    assert best_customers(five(categories_lately=[0] * 5), BestRule(0, 0, 0)).tolist() == [False] + [True] * 4


def test_a_customer_with_amounts_left_empty_takes_no_tag_from_others(make_shop: MakeShop) -> None:
    lines = [line for n in range(10) for line in ordered(f"c{n}", "2024-05-01", "" if n == 7 else f"{10 + n}")]
    _, _, tags = pictured(make_shop(*lines, as_of="2024-06-01"))
    assert tags["big_orders"]["threshold"] == pytest.approx(18.2)
    assert tags["big_orders"]["customers"] == 1


def test_a_tag_whose_threshold_nobody_gives_is_left_out(make_shop: MakeShop) -> None:
    lines = ordered("ann", "2022-03-01", "10", off="1")
    _, _, tags = pictured(make_shop(*lines, as_of="2024-06-01"))
    assert not {"frequent", "big_orders", "bargain_hunter"} & set(tags)


def test_the_top_category_is_one_whose_spend_is_known(make_shop: MakeShop) -> None:
    lines = ordered("ann", "2024-05-01", "100", times=1) + ordered("ann", "2024-05-02", "", times=1, product="doll")
    columns, _, _ = pictured(make_shop(*lines, goods=("tea,drinks,", "doll,toys,"), as_of="2024-06-01"))
    assert columns["top_category"].tolist() == ["drinks"]


def test_the_usual_store_is_that_of_most_orders_of_the_last_year_and_of_equals_the_latest(make_shop: MakeShop) -> None:
    def at(who: str, *days_and_stores: str) -> list[str]:
        parts = (one.split(" ") for one in days_and_stores)
        return [f"{who}{day},{who},tea,{day},1,5,,{store}" for day, store in parts]

    shop = make_shop(
        *at("ann", "2024-03-01 north", "2024-04-01 north", "2024-05-01 south"),
        *at("bob", "2024-03-01 south", "2024-04-01 north"),
        # Three orders in the north, but more than 364 days before the last.
        *at("cat", "2022-01-01 north", "2022-02-01 north", "2022-03-01 north", "2023-05-01 south"),
        *at("dan", "2024-03-01 "),
        as_of="2024-06-01",
    )
    assert usual_stores(shop).tolist() == ["north", "north", "south", None]
    nowhere = make_shop("1,ann,tea,2024-05-01,1,5,,", as_of="2024-06-01")
    assert usual_stores(nowhere).tolist() == [None]


def test_lifetime_value_is_margin_where_known_and_the_models_where_there_is_one() -> None:
    facts = pd.DataFrame({"spend": [10.0, 20.0], "margin": [np.nan, np.nan]})
    assert historic_value(facts).tolist() == [10, 20]
    assert historic_value(facts.assign(margin=[3.0, 4.0])).tolist() == [3, 4]
    ahead = {"expected_spend": np.array([1.0, 2.0]), "lifetime_value": np.array([np.nan, np.nan])}
    name, values = predicted_value(ahead) or ("", np.empty(0))
    assert (name, values.tolist()) == ("expected_spend", [1, 2])
    assert predicted_value({}) is None
    found = spread(np.arange(101.0))
    assert found["mean"] == 50
    assert found["quantiles"]["50%"] == 50
    assert sum(found["counts"]) == 101
    assert spread(np.array([np.nan]))["customers"] == 0


def test_complete_journey_in_segments(journey_facts: pd.DataFrame) -> None:
    facts = journey_facts
    assert len(facts) == 2469
    scored = rfm(facts)
    for name in ("r", "f", "m"):
        counts = scored[name].value_counts()
        assert counts.between(0.12 * len(facts), 0.28 * len(facts)).all(), name
    rows = segment_table(facts, scored["segment"], SEGMENTS)
    assert sum(int(row["customers"]) for row in rows) == len(facts)
    spent = {row["group"]: row["spend_mean"] for row in rows}
    assert spent["champions"] > 5 * spent["hibernating"]
    assert np.sum(rfm_grid(scored)) == len(facts)
    amounts = facts["spend"].to_numpy(float)
    # The total of the file itself: sum of sales_value.
    assert amounts.sum() == pytest.approx(4_596_039.58, abs=0.01)
    tenths = customer_deciles(amounts)
    assert tenths[0].share == pytest.approx(0.3514, abs=5e-4)
    assert [row.customers for row in sales_deciles(amounts)][:3] == [44, 67, 85]
    grades = customer_grades(facts, usual_grade_rule(facts))
    assert set(grades) == set(GRADES)
    value = facts["spend_lately"].groupby(grades).mean()
    assert min(value["A"], value["B"]) > max(value["C"], value["D"])
    best = best_summary(facts, usual_rule(facts))
    assert 0.05 < best["share"] < 0.2 < best["spend_share"]
