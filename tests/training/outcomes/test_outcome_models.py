from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score

from features.errors import DataError
from training.boosting import BoostingConfig
from training.churn import ChurnModel
from training.propensity import PropensityModel
from training.value import ValueModel

CONFIG = BoostingConfig(threads=1, seed=5)


class EstimatorContract:
    """What holds of all three."""

    kind: ClassVar[Any]
    label: ClassVar[str]

    def fitted(self, frame: pd.DataFrame, **params: Any) -> Any:
        return self.kind(**{"config": CONFIG, "rounds": 60, **params}).fit(frame, frame[self.label])

    def outputs(self, model: Any, frame: pd.DataFrame) -> np.ndarray:
        return model.predict(frame) if self.kind is ValueModel else model.predict_proba(frame)[:, 1]

    def test_parameters_are_only_stored_and_a_clone_has_them(self) -> None:
        model = self.kind(config=CONFIG, rounds=7)
        assert model.get_params()["rounds"] == 7
        assert clone(model).config == CONFIG
        assert model.set_params(rounds=8).rounds == 8

    def test_before_fit_it_says_so(self, frame: pd.DataFrame) -> None:
        with pytest.raises(NotFittedError):
            self.outputs(self.kind(), frame)

    def test_fit_returns_itself_and_leaves_its_input_alone(self, frame: pd.DataFrame) -> None:
        before = frame.copy(deep=True)
        model = self.kind(CONFIG, rounds=5)
        assert model.fit(frame, frame[self.label]) is model
        pd.testing.assert_frame_equal(frame, before)

    def test_keys_and_labels_are_no_features(self, frame: pd.DataFrame) -> None:
        names = set(self.fitted(frame, rounds=5).features_.names)
        assert names.isdisjoint({"customer_id", "as_of", "active", "stopped", "bought", "spend"})
        assert "weeks_active_12w" in names

    def test_the_same_seed_gives_the_same_model_and_another_seed_another(self, frame: pd.DataFrame) -> None:
        first, again = self.fitted(frame), self.fitted(frame)
        assert first.booster_.model_to_string() == again.booster_.model_to_string()
        other = self.fitted(frame, config=BoostingConfig(threads=1, seed=6))
        assert (self.outputs(first, frame) != self.outputs(other, frame)).any()

    def test_saved_and_loaded_it_predicts_the_same_to_the_bit(
        self, frame: pd.DataFrame, later: pd.DataFrame, tmp_path: Path
    ) -> None:
        model = self.fitted(frame)
        if self.kind is not ValueModel:
            model.calibrate(later, later[self.label], later["customer_id"])
        model.save(tmp_path / "bundle")
        again = self.kind.load(tmp_path / "bundle", threads=1)
        assert (self.outputs(again, later) == self.outputs(model, later)).all()

    def test_nothing_saved_is_anything_but_text(self, frame: pd.DataFrame, tmp_path: Path) -> None:
        self.fitted(frame, rounds=5).save(tmp_path)
        for path in tmp_path.iterdir():
            assert path.read_text(encoding="utf-8")
            assert path.suffix in (".txt", ".json")

    def test_the_native_booster_takes_the_encoded_frame(self, frame: pd.DataFrame, tmp_path: Path) -> None:
        model = self.fitted(frame)
        model.save(tmp_path)
        encoded = model.features_.encode(frame)
        assert (encoded.dtypes == "float64").all()
        native = lgb.Booster(model_file=tmp_path / "model.txt").predict(encoded)
        np.testing.assert_allclose(native, self.outputs(model, frame), rtol=0, atol=1e-12 if native.max() > 1 else 2e-3)

    def test_a_text_never_seen_is_as_unknown(self, frame: pd.DataFrame) -> None:
        model = self.fitted(frame)
        strange, unknown = frame.assign(attribute_age="over 100"), frame.assign(attribute_age=None)
        assert (self.outputs(model, strange) == self.outputs(model, unknown)).all()

    def test_a_missing_column_is_named(self, frame: pd.DataFrame) -> None:
        model = self.fitted(frame, rounds=5)
        with pytest.raises(DataError, match=r"lack 1 of the .* weeks_active_12w"):
            self.outputs(model, frame.drop(columns="weeks_active_12w"))

    def test_a_number_that_became_text_is_named(self, frame: pd.DataFrame) -> None:
        model = self.fitted(frame, rounds=5)
        with pytest.raises(DataError, match=r"'gap_mean_days' was a number .* 'often'"):
            self.outputs(model, frame.assign(gap_mean_days="often"))

    def test_columns_in_another_order_and_more_of_them_change_nothing(self, frame: pd.DataFrame) -> None:
        model = self.fitted(frame)
        turned = frame[frame.columns[::-1]].assign(more=1.0)
        assert (self.outputs(model, turned) == self.outputs(model, frame)).all()

    def test_no_rows_give_no_predictions(self, frame: pd.DataFrame) -> None:
        assert len(self.outputs(self.fitted(frame, rounds=5), frame.head(0))) == 0

    def test_a_label_of_another_length_is_refused(self, frame: pd.DataFrame) -> None:
        with pytest.raises(DataError, match="3000 rows"):
            self.kind(CONFIG).fit(frame, frame[self.label].head(10))

    def test_a_file_that_is_missing_or_broken_is_named(self, frame: pd.DataFrame, tmp_path: Path) -> None:
        self.fitted(frame, rounds=5).save(tmp_path)
        (tmp_path / "features.json").write_text("{")
        with pytest.raises(DataError, match=r"features\.json is not JSON"):
            self.kind.load(tmp_path)
        (tmp_path / "model.txt").write_text("not a model")
        with pytest.raises(DataError, match=r"model\.txt is not a LightGBM model"):
            self.kind.load(tmp_path)
        (tmp_path / "model.txt").unlink()
        with pytest.raises(DataError, match=r"model\.txt is missing"):
            self.kind.load(tmp_path)

    def test_held_out_rows_stop_it_early(self, frame: pd.DataFrame, later: pd.DataFrame) -> None:
        model = self.kind(BoostingConfig(threads=1, learning_rate=0.3)).fit(
            frame, frame[self.label], held_out=(later, later[self.label])
        )
        assert 1 <= model.rounds_ < BoostingConfig().max_rounds


class ClassifierContract(EstimatorContract):
    """What holds of churn and propensity besides."""

    def test_probabilities_add_up_and_rank(self, frame: pd.DataFrame, later: pd.DataFrame) -> None:
        both = self.fitted(frame).predict_proba(later)
        assert both.shape == (len(later), 2)
        np.testing.assert_allclose(both.sum(axis=1), 1)
        assert roc_auc_score(later[self.label], both[:, 1]) > 0.7

    def test_predict_is_the_likelier_class(self, frame: pd.DataFrame) -> None:
        model = self.fitted(frame)
        assert (model.predict(frame) == (model.predict_proba(frame)[:, 1] > 0.5)).all()
        assert model.classes_.tolist() == [False, True]

    def test_contributions_add_up_to_the_log_odds(self, frame: pd.DataFrame) -> None:
        model = self.fitted(frame)
        total = model.contributions(frame).sum(axis=1)
        base = model.booster_.predict(model.features_.encode(frame).head(1), pred_contrib=True)[0, -1]
        np.testing.assert_allclose(expit(total + base), model.raw_probability(frame), rtol=1e-9)

    def test_a_label_of_one_class_or_with_gaps_is_refused(self, frame: pd.DataFrame) -> None:
        with pytest.raises(DataError, match="All 3000 rows have the same outcome"):
            self.kind(CONFIG).fit(frame, np.ones(len(frame)))
        with pytest.raises(DataError, match="true or false in every row"):
            self.kind(CONFIG).fit(frame, np.where(np.arange(len(frame)) == 0, np.nan, 1.0))

    def test_longer_silence_moves_it_one_way_only(self, frame: pd.DataFrame) -> None:
        model = self.fitted(frame, rounds=200)
        one = frame.head(20)
        steps = [self.outputs(model, one.assign(days_since_last_order=float(days))) for days in range(29)]
        moved = np.diff(np.array(steps), axis=0) * (1 if self.kind is ChurnModel else -1)
        assert (moved >= 0).all()
        assert moved.sum() > 0


class TestChurn(ClassifierContract):
    kind = ChurnModel
    label = "stopped"


class TestPropensity(ClassifierContract):
    kind = PropensityModel
    label = "bought"


class TestValue(EstimatorContract):
    kind = ValueModel
    label = "spend"

    def test_spend_is_never_below_nothing_and_right_on_average(self, frame: pd.DataFrame, later: pd.DataFrame) -> None:
        predicted = self.fitted(frame, rounds=200).predict(later)
        assert (predicted >= 0).all()
        assert predicted.mean() == pytest.approx(later["spend"].mean(), rel=0.1)

    def test_more_returned_than_bought_counts_as_nothing(self, frame: pd.DataFrame) -> None:
        returned = np.where(frame["spend"] == 0, -50.0, frame["spend"])
        model = self.kind(CONFIG, rounds=60).fit(frame, returned)
        assert (model.predict(frame) == self.fitted(frame).predict(frame)).all()

    def test_unknown_spend_says_what_to_map(self, frame: pd.DataFrame) -> None:
        with pytest.raises(DataError, match=r"amount, under \[order_lines\]"):
            self.kind(CONFIG).fit(frame, np.full(len(frame), np.nan))

    def test_nobody_spending_is_refused(self, frame: pd.DataFrame) -> None:
        with pytest.raises(DataError, match="Nobody spent anything"):
            self.kind(CONFIG).fit(frame, np.zeros(len(frame)))


def test_the_calibrator_is_json_and_is_used(frame: pd.DataFrame, later: pd.DataFrame, tmp_path: Path) -> None:
    model = ChurnModel(CONFIG, rounds=60).fit(frame, frame["stopped"])
    model.save(tmp_path)
    written = json.loads((tmp_path / "calibrator.json").read_text())
    written |= {"kind": "platt", "slope": 1.0, "intercept": 1.0}
    (tmp_path / "calibrator.json").write_text(json.dumps(written))
    moved = ChurnModel.load(tmp_path, threads=1).predict_proba(later)[:, 1]
    assert (moved > model.predict_proba(later)[:, 1]).all()
