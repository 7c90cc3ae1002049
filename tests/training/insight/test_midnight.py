"""Shops that know the day of an order and not its hour: every order lies at the very first moment of a day."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest

from tests.training.insight.conftest import MakeShop
from training.insight.cube import make_cube
from training.insight.customer_grades import loyalty_share
from training.insight.customers import customer_facts, spend_by_period
from training.insight.dimensions import make_behaviour_table
from training.insight.faces import ALL
from training.insight.over_time import states_over_time
from training.insight.shop import PERIOD_DAYS, WINDOW_DAYS, Shop, earlier

AS_OF = datetime(2024, 6, 1)


def order(who: str, days_ago: int, paid: float) -> str:
    return f"{who}{days_ago},{who},tea,{AS_OF - timedelta(days=days_ago):%Y-%m-%d},1,{paid},0,north"


@pytest.fixture
def by_day(make_shop: MakeShop) -> Shop:
    """Of the first day of the window, of the first day of the last period, and of a day within it."""
    return make_shop(
        order("gone", WINDOW_DAYS, 100), order("now", PERIOD_DAYS, 5), order("now", 12, 7), as_of=f"{AS_OF:%Y-%m-%d}"
    )


def test_an_order_on_the_first_day_of_a_period_is_in_it(by_day: Shop) -> None:
    days, spend = spend_by_period(by_day)
    assert (days[0], days[-1]) == ("2023-06-03", "2024-05-04")
    assert spend.tolist() == [[100.0] + [0.0] * 12, [0.0] * 12 + [12.0]]


def test_nobody_is_loyal_in_more_periods_than_are_known(by_day: Shop) -> None:
    facts = customer_facts(by_day)
    assert facts["periods_known"].tolist() == [13, 1]
    assert loyalty_share(facts).tolist() == [1 / 13, 1.0]


def test_the_cube_puts_it_in_its_own_period_and_loses_nothing(by_day: Shop) -> None:
    cube = make_cube(by_day, make_behaviour_table(by_day))
    by_period = cube.face("period", ALL, "spend").ravel()
    assert (by_period[0], by_period[-1], np.nansum(by_period)) == (100.0, 12.0, 112.0)
    assert cube.cells["row"].to_numpy().min() >= 0


def test_states_of_a_moment_do_not_hold_who_came_at_it(by_day: Shop) -> None:
    rows = {row.pop("moment"): sum(row.values()) for row in states_over_time(by_day)}
    assert rows["2023-07-01"] == rows["2024-05-04"] == 1
    assert rows["2024-06-01"] == 2
    assert "2023-06-03" not in rows


def test_states_of_each_moment_are_the_stages_of_the_shop_as_it_was_then(make_shop: MakeShop) -> None:
    rng = np.random.default_rng(0)
    days = {(f"c{who}", int(day)) for who in range(25) for day in rng.integers(1, 12, rng.integers(1, 9)) * 14}
    shop = make_shop(*(order(who, day, 1) for who, day in sorted(days)), as_of=f"{AS_OF:%Y-%m-%d}")
    rows = states_over_time(shop)
    assert len(rows) == 6  # the oldest orders lie 154 days back
    for row in rows:
        stages = customer_facts(earlier(shop, datetime.fromisoformat(row["moment"])))["stage"].value_counts()
        for state, stage in (("new", "new"), ("cooling", "lapsed"), ("lost", "lost")):
            assert row[state] == stages.get(stage, 0), (row["moment"], state)
        assert row["active"] + row["returned"] == stages.get("regular", 0) + stages.get("slipping", 0)
