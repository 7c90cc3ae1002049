"""Many pairs are scored by masks of leaves, and come out as LightGBM scores them, to the last bit."""

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.leaf_masks import ROWS, LeafMasks, leaf_masks

FEATURES = 5


def trained(seed: int, *, leaves: int, rounds: int, objective: str = "lambdarank", gaps: bool = True) -> lgb.Booster:
    """A booster of values among which some are missing, some 0 and many equal."""
    rng = np.random.default_rng(seed)
    values = drawn(rng, 600, gaps=gaps)
    label = (np.nan_to_num(values[:, 0]) + values[:, 1] ** 2 + rng.normal(size=600) > 1).astype(float)
    group = [30] * 20 if objective == "lambdarank" else None
    data = lgb.Dataset(values, label=label, group=group, params={"verbose": -1, "max_bin": 63})
    params = {"objective": objective, "num_leaves": leaves, "min_data_in_leaf": 5, "verbose": -1, "num_threads": 1}
    return lgb.train(params, data, rounds)


def drawn(rng: np.random.Generator, rows: int, *, gaps: bool = True) -> np.ndarray:
    values = rng.normal(size=(rows, FEATURES)).round(1).astype(np.float32)
    values[:, 2] = rng.integers(0, 4, rows)
    if gaps:
        values[rng.random(values.shape) < 0.2] = np.nan
    return values


def masks_of(booster: lgb.Booster, rounds: int) -> LeafMasks:
    found = leaf_masks(booster, rounds)
    assert found is not None
    return found


@given(st.integers(0, 10_000), st.integers(2, 16), st.integers(1, 12), st.booleans())
def test_scores_are_those_of_lightgbm_to_the_last_bit(seed: int, leaves: int, rounds: int, gaps: bool) -> None:
    booster = trained(seed, leaves=leaves, rounds=12, gaps=gaps)
    # Asked about gaps that it never saw in training, too; rows and columns may lie either way in memory.
    asked = drawn(np.random.default_rng(seed + 1), 200)
    expected = booster.predict(asked, num_iteration=rounds)
    masks = masks_of(booster, rounds)
    for values in (asked, np.asfortranarray(asked)):
        assert masks.predict(values).tolist() == expected.tolist()


def test_more_rows_than_are_asked_at_a_time_are_scored_alike() -> None:
    booster = trained(3, leaves=15, rounds=20)
    asked = np.asfortranarray(drawn(np.random.default_rng(4), 2 * ROWS + 7))
    assert (masks_of(booster, 20).predict(asked) == booster.predict(asked)).all()
    assert len(masks_of(booster, 20).predict(asked[:0])) == 0


def test_a_threshold_between_two_numbers_of_32_bits_parts_them() -> None:
    low, high = np.float32(1.0), np.nextafter(np.float32(1.0), np.float32(2.0))
    values = np.array([[low], [high]] * 50, dtype=np.float32)
    data = lgb.Dataset(values, label=[0.0, 1.0] * 50, group=[2] * 50, params={"verbose": -1, "min_data_in_bin": 1})
    params = {"objective": "lambdarank", "num_leaves": 2, "min_data_in_leaf": 1, "verbose": -1, "num_threads": 1}
    booster = lgb.train(params | {"min_sum_hessian_in_leaf": 0.0}, data, 1)
    found = masks_of(booster, 1).predict(values)
    assert found.tolist() == booster.predict(values).tolist()
    assert found[0] < found[1]


@pytest.mark.parametrize(
    ("leaves", "objective"), [(17, "lambdarank"), (7, "binary")], ids=["more leaves", "another objective"]
)
def test_what_masks_cannot_score_is_left_to_lightgbm(leaves: int, objective: str) -> None:
    booster = trained(1, leaves=leaves, rounds=3, objective=objective)
    assert leaf_masks(booster, 3) is None
