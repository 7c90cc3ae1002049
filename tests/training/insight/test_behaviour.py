"""Segments of behaviour where customers hardly differ, and tenths that agree with their table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.training.insight.conftest import MakeShop
from training.insight.behaviour import LEAST_CUSTOMERS, behaviour_segments
from training.insight.customers import customer_facts, spend_by_period
from training.insight.portrait import Rules, portray


def shoppers(*, kinds: int, each: int) -> pd.DataFrame:
    """Customers of so many kinds, those of a kind alike to the last digit."""
    kind = np.repeat(np.arange(kinds), each)
    columns = {
        "orders": 1 + kind % 3 * 10,
        "spend": 10.0 * (1 + kind % 4) ** 2,
        "spend_lately": 10.0 * (1 + kind % 4) ** 2,
        "days_since_last_order": 5 + kind % 5 * 40,
        "visits_lately": 1 + kind % 3 * 10,
        "lines": 1 + kind % 3 * 20,
        "categories": 1 + kind % 7,
    }
    shares = dict.fromkeys(("discount_share", "weekend_share", "evening_share"), 0.0)
    return pd.DataFrame(columns).assign(**shares)


@pytest.mark.parametrize("kinds", [1, 2])
def test_customers_who_all_shop_alike_are_in_no_segments(kinds: int) -> None:
    assert behaviour_segments(shoppers(kinds=kinds, each=60), rng=np.random.default_rng(0)) is None


@pytest.mark.parametrize("kinds", [3, 5, 12])
def test_no_segment_is_empty_and_none_more_than_there_are_kinds(kinds: int) -> None:
    found = behaviour_segments(shoppers(kinds=kinds, each=LEAST_CUSTOMERS), rng=np.random.default_rng(0))
    assert found is not None
    assert 3 <= len(found.segments) <= kinds
    assert all(one.customers > 0 for one in found.segments)
    assert [row["k"] for row in found.tried] == list(range(3, min(kinds, 8) + 1))
    assert len({one.named_by for one in found.segments}) == len(found.segments)


def test_the_tenths_of_a_customer_are_those_of_the_table_of_spend(make_shop: MakeShop) -> None:
    # Who spends most brings least: what each buys costs the shop nearly what they pay.
    lines = [f"o{n},c{n:02},p{n},2024-05-01 10:00:00,1,{10 + n},0,x" for n in range(20)]
    goods = tuple(f"p{n},c,{9 + n - (20 - n) / 4}" for n in range(20))
    shop = make_shop(*lines, goods=goods, as_of="2024-06-01")
    assert shop.has_margin
    facts = customer_facts(shop)
    columns, tables = portray(shop, facts, spend_by_period(shop)[1], rules=Rules(), scores={})
    for name, table in (("decile", "customers"), ("sales_decile", "sales")):
        counts = [int((columns[name] == tenth).sum()) for tenth in range(1, 11)]
        assert counts == [row["customers"] for row in tables["deciles"]["spend"][table]]
    assert columns["decile"][-1] == columns["sales_decile"][-1] == 1
