from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pytest

from features.errors import DataError
from training.bundle import read_json
from training.category_fit import fit_category_propensity
from training.category_propensity import CATEGORIES, NEVER, SIGNALS, CategoryPropensity, signals_of
from training.evidence import Evidence
from training.own_share import Likelihood, orders_by_chance
from training.protocols import Trained

SHARE = SIGNALS.index("own_share")


def pairs(rows: int = 30_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Signals, outcomes and categories 0, 1, 2; the truth is twice the odds of own share, in category 2 a unit less."""
    rng = np.random.default_rng(seed)
    signals = rng.normal(0, 1, (rows, len(SIGNALS)))
    category = rng.integers(0, 3, rows)
    odds = 2 * signals[:, SHARE] - 1 - (category == 2)
    return signals, rng.random(rows) < 1 / (1 + np.exp(-odds)), category, 1 / (1 + np.exp(-odds))


def test_the_odds_of_each_category_are_found_again() -> None:
    signals, bought, category, truth = pairs()
    model = fit_category_propensity(signals, bought, category, ["tea", "jam", "bun"], horizon_days=28)
    for place, name in enumerate(("tea", "jam", "bun")):
        rows = category == place
        said = model.probability(signals[rows], name)
        assert said.mean() == pytest.approx(truth[rows].mean(), abs=0.01)
        assert np.abs(said - truth[rows]).mean() < 0.015


def test_a_category_of_few_pairs_is_taken_much_as_all_are() -> None:
    signals, bought, category, _ = pairs()
    few = np.concatenate([np.flatnonzero(category == 0), np.flatnonzero(category == 2)[:10]])
    model = fit_category_propensity(signals[few], bought[few], category[few], ["tea", "jam", "bun"], horizon_days=28)
    shift, slope = model.categories["bun"]
    assert abs(shift) < 0.3
    assert slope == pytest.approx(1.0, abs=0.1)
    assert "jam" not in model.categories
    unseen = model.probability(signals[:5], "jam")
    assert unseen.tolist() == model.probability(signals[:5], None).tolist()


def test_longer_times_are_likelier_and_the_horizon_is_the_default() -> None:
    model = CategoryPropensity(28, (1.0,) + (0.0,) * (len(SIGNALS) - 1), 0.0, {})
    signals = np.zeros((1, len(SIGNALS)))
    assert model.probability(signals, None).tolist() == [0.5]
    # Twice the days: not bought in either half.
    assert model.probability(signals, None, days=56.0).tolist() == [pytest.approx(0.75)]


def test_signals_worked_by_hand() -> None:
    # One customer bought one of two wanted products 3 times, 10 days ago; the other customer never did.
    nothing = np.zeros((3, 1), dtype=np.float32)
    evidence = Evidence(
        own_start=np.array([0, 1, 1]),
        own_products=np.array([1], dtype=np.int32),
        own_orders=np.array([3], dtype=np.uint16),
        own_last=np.array([90.0]),
        own_gap=np.array([np.nan], dtype=np.float32),
        against_start=np.zeros(3, dtype=np.int64),
        against_products=np.zeros(0, dtype=np.int32),
        customer_orders=np.array([4, 1], dtype=np.int32),
        sold_orders=np.array([9, 3, 1], dtype=np.int32),
        sold_lately=np.array([0, 3, 0], dtype=np.int32),
        sold_before=np.array([0, 1, 0], dtype=np.int32),
        first_sold=np.zeros(3),
        neighbour_support=nothing.astype(np.int32),
        neighbour_confidence=nothing,
        neighbour_strength=nothing,
        orders=8,
        days=100.0,
        window_days=28.0,
    )
    said = Likelihood(np.array([0.5, 0.2]), np.array([3, 0]), np.array([90.0, -np.inf]))
    found = signals_of(evidence, said, np.array([False, True, True]), as_of_day=100.0)
    both = [np.log(4 / 8), np.log(4 / 2)]
    assert found[0].tolist() == pytest.approx([0.0, np.log(4), np.log(13.0), 1.0, np.log(5), *both])
    assert found[1].tolist() == pytest.approx([np.log(0.25), 0.0, np.log(NEVER + 3), 0.0, np.log(2), *both])


def test_orders_of_a_chance_are_those_of_a_poisson_count() -> None:
    assert orders_by_chance(np.array([0.5, 1.0])).tolist() == pytest.approx([np.log(2), np.log(1_000)])


def test_kept_as_json_it_says_the_same_and_another_version_is_refused() -> None:
    signals, bought, category, _ = pairs(2_000)
    model = fit_category_propensity(signals, bought, category, ["tea", "jam", "bun"], horizon_days=28)
    kept = json.loads(json.dumps(model.as_json()))
    assert CategoryPropensity.from_json(kept) == model
    with pytest.raises(DataError, match="signals"):
        CategoryPropensity.from_json({**kept, "weights": {"other": 1.0}})


def test_one_outcome_is_nothing_to_learn() -> None:
    signals, _, category, _ = pairs(100)
    with pytest.raises(DataError, match="same outcome"):
        fit_category_propensity(signals, np.zeros(100, dtype=bool), category, ["a", "b", "c"], horizon_days=28)


def test_a_trained_propensity_tells_every_category(trained: Mapping[str, Trained]) -> None:
    propensity = trained["propensity"]
    model = CategoryPropensity.from_json(read_json(propensity.bundle / CATEGORIES))
    assert model.horizon_days == propensity.horizon_days
    table = propensity.tables["categories"]
    assert {row["category"] for row in table} <= set(model.categories)
    assert len(table) > 1
    metrics = {metric.name: metric.value for metric in propensity.metrics}
    assert metrics["category.auc"] > 0.5
    assert abs(metrics["category.mean_probability"] - metrics["category.share"]) < 0.1
