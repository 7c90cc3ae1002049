from __future__ import annotations

import numpy as np
import pandas as pd

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


def test_nothing_to_compare_is_no_doubt() -> None:
    frame = pd.DataFrame({"days_since_last_order": [3.0] * 6, "weeks_active_12w": [np.nan] * 6})
    arm = np.array([True, False] * 3)
    assert balance(frame, arm, rng=np.random.default_rng(0)).p == 1.0
    assert balance(frame[[]], arm, rng=np.random.default_rng(0)).p == 1.0
    assert balance(frame, np.ones(6, bool), rng=np.random.default_rng(0)).p == 1.0
