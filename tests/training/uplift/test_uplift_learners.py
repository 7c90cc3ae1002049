from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from features.errors import DataError
from tests.training.uplift.made import drawn
from training.uplift_arms import FOLDS, folds_of, learn_arms, on
from training.uplift_learners import LEARNERS, XLearner, load_learner
from training.uplift_metrics import Contacts

CONFIG = on(1, 0)
KINDS = sorted(LEARNERS)


@pytest.fixture(scope="module")
def learned() -> dict:
    frame, treated, kept, _ = drawn(3_000, 0)
    _, arms = learn_arms(frame, treated, kept, config=CONFIG)
    return {kind: LEARNERS[kind](CONFIG).fit(frame, treated, kept, arms=arms) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_whom_a_contact_saves_and_whom_it_harms_are_told_apart(learned: dict, kind: str) -> None:
    frame, _, _, uplift = drawn(1_000, 1)
    found = learned[kind].predict(frame)
    assert found[uplift > 0].mean() == pytest.approx(0.4, abs=0.1)
    assert found[uplift < 0].mean() == pytest.approx(-0.1, abs=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_learner_saved_and_loaded_says_the_same(learned: dict, kind: str, tmp_path: Path) -> None:
    frame = drawn(200, 2)[0]
    learned[kind].save(tmp_path / "it")
    loaded = load_learner(tmp_path / "it", threads=1)
    assert loaded.kind == kind
    np.testing.assert_allclose(loaded.predict(frame), learned[kind].predict(frame), rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_rows_and_seed_give_the_same_uplift_and_a_clone_is_not_fitted(kind: str) -> None:
    frame, treated, kept, _ = drawn(600, 3, share=0.8)
    model = LEARNERS[kind](CONFIG)
    one, again = (clone(model).fit(frame, treated, kept).predict(frame) for _ in range(2))
    np.testing.assert_array_equal(one, again)
    assert not hasattr(clone(model), "boosters_")
    assert model.get_params() == {"config": CONFIG}


def test_an_arm_that_is_empty_or_all_of_which_did_the_same_is_refused() -> None:
    frame, treated, kept, _ = drawn(100, 4)
    for wrong in ((np.ones(100, bool), kept), (treated, treated), (treated, np.ones(100, bool))):
        with pytest.raises(DataError, match="nothing can be learned"):
            XLearner(CONFIG).fit(frame, *wrong)
    with pytest.raises(DataError, match="'kept' must be true or false in each of 100 rows"):
        XLearner(CONFIG).fit(frame, treated, kept[:50])


def test_rows_of_one_customer_are_in_one_fold_and_folds_are_of_a_size() -> None:
    group = np.repeat(np.arange(100), 3)
    fold = folds_of(group, 5, seed=0)
    assert all(len(set(fold[group == one])) == 1 for one in range(100))
    assert np.bincount(fold).tolist() == [60] * 5


def test_what_is_foretold_of_a_fold_knows_nothing_of_what_its_customers_did() -> None:
    frame, treated, kept, _ = drawn(2_000, 9)
    fold = folds_of(np.arange(len(kept)), FOLDS, CONFIG.seed)
    other = np.where(fold == 1, np.random.default_rng(0).random(len(kept)) < 0.5, kept)
    one, two = (learn_arms(frame, treated, stayed, config=CONFIG)[1] for stayed in (kept, other))
    for said, again in ((one.if_contacted, two.if_contacted), (one.if_alone, two.if_alone)):
        np.testing.assert_array_equal(said[fold == 1], again[fold == 1])
        assert (said[fold == 2] != again[fold == 2]).any()


def test_uplifts_that_differ_too_much_are_drawn_together_and_to_the_level_seen(learned: dict) -> None:
    frame, treated, kept, uplift = drawn(20_000, 5)
    contacts = Contacts(treated, kept, np.full(len(treated), 0.5), np.arange(len(treated)))
    model = load_again(learned["x"])
    # Twice as far apart as they are, and 0.3 too high.
    said = uplift.mean() + 2 * (uplift - uplift.mean()) + 0.3
    model.level_by(said, contacts, risk=np.where(uplift > 0, 0.7, 0.2))
    assert model.slope_ == pytest.approx(0.5, abs=0.05)
    assert model.level_ == pytest.approx(uplift.mean(), abs=0.02)
    assert model.centre_ == pytest.approx(uplift.mean() + 0.3, abs=0.02)
    found = model.predict(frame.head(500))
    assert found.std() < learned["x"].predict(frame.head(500)).std()


@pytest.mark.parametrize(
    ("effect_follows", "baseline_follows"),
    [(1.0, 0.0), (0.0, -1.0), (0.0, 1.0), (0.7, 1.0), (0.7, -1.0)],
)
def test_who_stays_anyway_is_no_part_of_the_slope_when_one_in_ten_is_held_out(
    learned: dict, effect_follows: float, baseline_follows: float
) -> None:
    rng = np.random.default_rng(7)
    said = rng.uniform(-0.2, 0.2, 300_000)
    treated = rng.random(len(said)) < 0.9
    chance = 0.45 + baseline_follows * said + treated * (0.05 + effect_follows * said)
    contacts = Contacts(treated, rng.random(len(said)) < chance, np.full(len(said), 0.9), np.arange(len(said)))
    model = load_again(learned["x"]).level_by(said, contacts, risk=np.full(len(said), 0.5))
    # The standard error of the slope is about 0.03.
    assert model.slope_ == pytest.approx(effect_follows, abs=0.1)
    assert model.level_ == pytest.approx(0.05, abs=0.02)


def test_campaigns_that_held_out_other_shares_have_one_level(learned: dict) -> None:
    rng = np.random.default_rng(8)
    said = np.repeat([0.0, 0.4], 100_000)
    probability = np.repeat([0.5, 0.95], 100_000)
    treated = rng.random(len(said)) < probability
    kept = rng.random(len(said)) < 0.3 + treated * (0.1 + 0.5 * said)
    contacts = Contacts(treated, kept, probability, np.arange(len(said)))
    model = load_again(learned["x"]).level_by(said, contacts, risk=np.full(len(said), 0.7))
    # Effects of 0.1 and 0.3, as many customers of each.
    assert (model.centre_, model.level_, model.slope_) == pytest.approx((0.2, 0.2, 0.5), abs=0.05)


def load_again(model: XLearner) -> XLearner:
    other = clone(model)
    vars(other).update(vars(model))
    return other


def test_columns_named_to_be_excluded_are_not_learned_from() -> None:
    frame, treated, kept, _ = drawn(600, 6)
    model = XLearner(on(1, 0, ("attribute_*",))).fit(frame, treated, kept)
    other = frame.assign(attribute_age="60+")
    pd.testing.assert_series_equal(pd.Series(model.predict(frame)), pd.Series(model.predict(other)))
