from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from training.plots import amounts, gain, reliability


def _drawn(path: Path) -> np.ndarray:
    picture = matplotlib.image.imread(path)
    assert picture.shape[1] == 921
    return picture


def test_pictures_are_drawn_and_differ_with_what_they_show(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    probability = rng.beta(0.6, 5, 400)
    happened = rng.random(400) < probability
    first = reliability(tmp_path / "a.png", happened, probability, title="Churn", event="no order")
    other = reliability(tmp_path / "b.png", ~happened, probability, title="Churn", event="no order")
    assert (_drawn(first) != _drawn(other)).any()
    scores = {"regulars": probability, "recency_rank": rng.random(400)}
    _drawn(gain(tmp_path / "c.png", happened, scores, title="Churn", event="no order"))
    spend = {"regulars": probability * 100, "last_period_spend": rng.random(400) * 100}
    _drawn(amounts(tmp_path / "d.png", probability * 90, spend, title="Value", unit="spend"))


@pytest.mark.parametrize("customers", [1, 3])
def test_a_handful_of_customers_can_be_drawn(tmp_path: Path, customers: int) -> None:
    happened = np.zeros(customers, dtype=bool)
    probability = np.full(customers, 0.2)
    _drawn(reliability(tmp_path / "a.png", happened, probability, title="Churn", event="no order"))
    _drawn(gain(tmp_path / "b.png", happened, {"regulars": probability}, title="Churn", event="no order"))
    _drawn(amounts(tmp_path / "c.png", np.zeros(customers), {"regulars": probability}, title="V", unit="spend"))
