from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import DataError
from training.moments import plan_moments, step_days

START = datetime(2017, 1, 1)


def test_complete_journey_as_planned_by_hand() -> None:
    moments = plan_moments(START, datetime(2017, 12, 3), 28)
    assert moments.validation == (datetime(2017, 11, 5), datetime(2017, 10, 22), datetime(2017, 10, 8))
    assert moments.fit[0] == datetime(2017, 9, 10)
    assert moments.refit[0] == datetime(2017, 11, 5)
    assert moments.serving[0] == moments.test
    assert len(moments.fit) == len(moments.refit) == len(moments.serving) == 12


@given(st.integers(1, 120), st.integers(0, 900))
def test_no_label_reaches_past_the_moment_its_use_is_for(horizon_days: int, history_days: int) -> None:
    test, horizon = START + timedelta(days=history_days), timedelta(days=horizon_days)
    if history_days < 3 * horizon_days:
        with pytest.raises(DataError, match="can be tested from"):
            plan_moments(START, test, horizon_days)
        return
    moments = plan_moments(START, test, horizon_days)
    assert max(moments.fit) + horizon <= min(moments.validation)
    assert max(moments.validation) + horizon <= moments.test
    assert max(moments.refit) + horizon <= moments.test
    assert max(moments.serving) == moments.test
    assert min(moments.all) >= START + horizon
    assert moments.fit
    assert step_days(horizon_days) % 7 == 0
