from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit, logit

from features.errors import DataError
from training.calibration import FITS, NEAREST, Calibrator, choose_calibrator, fit_isotonic, fit_platt


def _rows(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1.5, 1.2, n)
    return expit(odds), rng.random(n) < expit(odds)


@given(
    st.sampled_from(sorted(FITS)),
    st.integers(0, 200),
    arrays(float, 40, elements=st.floats(0, 1)),
)
def test_a_higher_score_never_gets_a_lower_probability(kind: str, seed: int, scores: np.ndarray) -> None:
    probability, happened = _rows(80, seed)
    mapped = FITS[kind](probability, happened)(np.sort(scores))
    assert (np.diff(mapped) >= 0).all()
    assert (mapped >= NEAREST).all()
    assert (mapped <= 1 - NEAREST).all()


@pytest.mark.parametrize("kind", sorted(FITS))
def test_json_gives_the_same_map_back(kind: str) -> None:
    probability, happened = _rows(300)
    fitted = FITS[kind](probability, happened)
    again = Calibrator.from_json(json.loads(json.dumps(fitted.as_json())))
    assert again == fitted
    assert (again(probability) == fitted(probability)).all()


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(DataError, match="'spline' is unknown"):
        Calibrator.from_json({**Calibrator().as_json(), "kind": "spline"})


def test_platt_undoes_overconfidence() -> None:
    probability, happened = _rows(20_000)
    fitted = fit_platt(expit(2 * logit(probability) + 0.5), happened)
    assert fitted.slope == pytest.approx(0.5, abs=0.03)
    assert fitted.intercept == pytest.approx(-0.25, abs=0.06)


def test_platt_leaves_scores_alone_that_rank_upside_down() -> None:
    probability, happened = _rows(500)
    assert fit_platt(1 - probability, happened).kind == "none"


def test_isotonic_tells_apart_customers_within_a_step() -> None:
    probability = np.array([0.1, 0.2, 0.3, 0.6, 0.7, 0.8])
    happened = np.array([False, False, True, False, True, True])
    fitted = fit_isotonic(probability, happened)
    # The steps are 0 up to 0.2, a half at 0.3 and 0.6, and 1 from 0.7: their middles are 0.15, 0.45 and 0.75.
    assert fitted.x == pytest.approx((0.15, 0.45, 0.75))
    assert fitted.y == pytest.approx((0, 0.5, 1))
    assert fitted(np.array([0.3])) == pytest.approx([0.25])


def test_right_probabilities_are_left_alone_and_wrong_ones_are_not() -> None:
    probability, happened = _rows(6_000)
    groups = np.arange(6_000) // 3
    assert choose_calibrator(probability, happened, groups).kind == "none"
    assert choose_calibrator(expit(2.5 * logit(probability)), happened, groups).kind != "none"


def test_with_the_level_kept_a_wrong_level_is_left_alone() -> None:
    probability, happened = _rows(6_000)
    lower = expit(logit(probability) - 0.8)
    groups = np.arange(6_000)
    assert choose_calibrator(lower, happened, groups, keep_level=True).kind == "none"
    assert choose_calibrator(lower, happened, groups).kind != "none"


def test_too_few_to_tell_is_no_calibration() -> None:
    probability, happened = _rows(12)
    assert choose_calibrator(expit(3 * logit(probability)), happened, np.arange(12)).kind == "none"
