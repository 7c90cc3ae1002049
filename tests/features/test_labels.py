from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pytest

from features.labels import customer_labels
from tests.features.small_shop import arrow, line, tables_of

AS_OF = datetime(2024, 6, 1)
LINES = [
    line("ann", "1", "2024-05-04T00:00", amount=10),  # exactly one horizon before: active
    line("ann", "2", "2024-06-01T00:00", amount=7),  # exactly at the moment: after it
    line("ann", "2", "2024-06-03T00:00", "tea", quantity=-1, amount=-2),
    line("bob", "1", "2024-05-03T23:59", amount=10),  # longer ago than a horizon: not active
    line("bob", "2", "2024-06-29T00:00", amount=10),  # exactly one horizon after: too late
    line("cat", "1", "2024-05-20T00:00", amount=10),
    line("cat", "2", "2024-06-05T00:00", quantity=-1, amount=-10),  # only sends back
    line("dan", "1", "2024-06-02T00:00", amount=10),  # not a customer yet
    line("eve", "1", "2024-05-20T00:00", quantity=0, amount=3),  # never bought a unit
]


def labels(lines: list[dict], as_of: datetime = AS_OF) -> pd.DataFrame:
    tables, _ = tables_of({"order_lines": arrow("order_lines", lines)})
    return customer_labels(tables, as_of, horizon_days=28).to_pandas().set_index("customer_id").sort_index()


def test_labels_worked_by_hand() -> None:
    found = labels(LINES)
    assert found.index.tolist() == ["ann", "bob", "cat"]
    assert found["active"].tolist() == [True, False, True]
    assert found["bought"].tolist() == [True, False, False]
    assert found["stopped"].tolist() == [False, True, True]
    assert found["spend"].tolist() == [5.0, 0.0, -10.0]


def test_label_ignores_orders_before_the_moment() -> None:
    more = [*LINES, *(line("bob", str(i), "2024-05-31T23:59:59", amount=99) for i in range(2, 9))]
    assert labels(more).loc["bob", ["bought", "spend"]].tolist() == [False, 0.0]


def test_label_ignores_what_lies_past_the_horizon() -> None:
    more = [*LINES, line("cat", "9", "2024-06-29T00:00:00", amount=50)]
    pd.testing.assert_frame_equal(labels(LINES), labels(more))


def test_spend_is_unknown_where_the_shop_has_no_amounts() -> None:
    found = labels([{key: value for key, value in row.items() if key != "amount"} for row in LINES])
    assert found["spend"].isna().all()
    assert found["bought"].tolist() == [True, False, False]


@pytest.mark.parametrize("hours", [-8, 2, 5.5])
def test_a_moment_given_in_another_zone_is_the_same_moment(hours: float) -> None:
    elsewhere = AS_OF.replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=hours)))
    pd.testing.assert_frame_equal(labels(LINES), labels(LINES, elsewhere))
