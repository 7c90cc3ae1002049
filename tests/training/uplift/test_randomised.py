from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.training.uplift.made import drawn
from training.randomised import LOTS, balance


def test_a_lottery_is_believed() -> None:
    for seed in range(8):
        frame, treated, _, _ = drawn(400, seed, share=0.8)
        assert balance(frame, treated, rng=np.random.default_rng(seed)).is_plausible


def test_the_riskiest_with_the_rest_as_hold_out_is_not_believed_and_what_differs_is_named() -> None:
    frame = drawn(400, 0)[0]
    riskiest = frame["days_since_last_order"].to_numpy() > 25
    found = balance(frame, riskiest, rng=np.random.default_rng(0))
    assert (found.p, found.is_plausible) == (1 / (LOTS + 1), False)
    assert found.told().startswith("days since last order by +")


def test_a_small_lean_is_seen_in_many_customers() -> None:
    frame = drawn(8_000, 1)[0]
    rng = np.random.default_rng(1)
    leans = rng.random(len(frame)) < 0.5 + 0.004 * (frame["days_since_last_order"].to_numpy() - 17)
    assert not balance(frame, leans, rng=rng).is_plausible


@pytest.mark.parametrize("contacted_are_few", [False, True])
def test_an_arm_of_a_hundred_that_was_chosen_is_seen_among_a_million(contacted_are_few: bool) -> None:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(
        {"days_since_last_order": rng.exponential(60, 1_000_000), "spend_90d": rng.exponential(50, 1_000_000)}
    )
    few = np.zeros(len(frame), bool)
    few[np.argsort(frame["days_since_last_order"].to_numpy())[:100]] = True
    found = balance(frame, few if contacted_are_few else ~few, rng=rng)
    assert not found.is_plausible
    assert found.told().startswith("days since last order by ")


def test_a_lottery_that_holds_few_of_many_out_is_believed() -> None:
    for seed in range(2):
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame({"days_since_last_order": rng.exponential(60, 1_000_000)})
        treated = np.ones(len(frame), bool)
        treated[rng.choice(len(frame), 100, replace=False)] = False
        assert balance(frame, treated, rng=rng).is_plausible


def test_a_lottery_that_cannot_be_looked_at_is_not_believed() -> None:
    frame = pd.DataFrame({"days_since_last_order": [3.0] * 6, "weeks_active_12w": [np.nan] * 6})
    arm = np.array([True, False] * 3)
    for known, side in ((frame, arm), (frame[[]], arm), (frame, np.ones(6, bool))):
        found = balance(known, side, rng=np.random.default_rng(0))
        assert (found.p, found.is_plausible) == (None, False)
        assert found.told() == "nothing known of its customers could be compared"
