"""What scoring asks of the champions: a verified bundle and a frame of features in, columns of scores out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from features.labels import ACTIVE
from training.protocols import RESPONSE, Context
from training.ranked_lists import RankedLists

#: Columns of customer_scores.Predictions by name, aligned with the frame.
Predict = Callable[[Path, pd.DataFrame], dict[str, Any]]


@dataclass(frozen=True)
class Champions:
    """How each kind of model is used.

    `horizon` gives the days where no champion fixes them; `frame` gives one row per customer as of a moment:
    customer_id and the features; `predict` has churn, propensity, value, uplift and response.
    """

    horizon: Callable[[Context], int]
    frame: Callable[[Context, datetime, int], pd.DataFrame]
    predict: Mapping[str, Predict]
    rank: Callable[[Context, Path], RankedLists]


def default_champions() -> Champions:
    """The models of this package, imported when a scoring is asked for."""
    from training.recommender import rank_everyone

    return Champions(
        horizon=_horizon,
        frame=_frame,
        predict={"churn": _churn, "propensity": _propensity, "value": _value, "uplift": _uplift, "response": _response},
        rank=rank_everyone,
    )


def _horizon(context: Context) -> int:
    from training.dataset import horizon_of

    return horizon_of(context)


def _frame(context: Context, as_of: datetime, horizon_days: int) -> pd.DataFrame:
    from training.dataset import features_as_of

    return features_as_of(context, as_of, horizon_days)


def _churn(bundle: Path, frame: pd.DataFrame) -> dict[str, Any]:
    from training.churn import ChurnModel
    from training.reasons import explain

    model = ChurnModel.load(bundle)
    # Nobody is asked why a customer stopped who has not ordered for a horizon: only the active have a probability.
    active = frame[ACTIVE].to_numpy(bool)
    raw = model.raw_probability(frame)
    told = explain(model, frame, only=active, raw=raw)
    return {"churn": model.predict_proba(frame, raw=raw)[:, 1], "reasons": told}


def _propensity(bundle: Path, frame: pd.DataFrame) -> dict[str, Any]:
    from training.bundle import read_json
    from training.category_propensity import CATEGORIES
    from training.propensity import PropensityModel

    model = PropensityModel.load(bundle)
    # Earlier releases wrote none, nor does a shop whose products have no categories.
    found: dict[str, Any] = {"categories": read_json(bundle / CATEGORIES)} if (bundle / CATEGORIES).is_file() else {}
    if model.return_time_ is None:
        return {**found, "purchase": model.predict_proba(frame)[:, 1]}
    curves = model.return_time_.curves(frame)
    purchase = model.predict_proba(frame, raw=model.raw_probability(frame, curves=curves))[:, 1]
    # One answer to one question: the curve passes through the probability of the horizon.
    days = float(model.return_time_.horizon_days)
    return {**found, "purchase": purchase, "returns": curves.through(purchase, days)}


def _value(bundle: Path, frame: pd.DataFrame) -> dict[str, Any]:
    from training.lifetime_scores import lifetime_columns
    from training.value import ValueModel

    model = ValueModel.load(bundle)
    spend = model.predict(frame)
    found: dict[str, Any] = {"spend": spend}
    if model.intervals_ is not None:
        found["spend_ends"] = model.intervals_(spend)
    if model.lifetime_ is not None:
        found["lifetime"] = lifetime_columns(model.lifetime_, frame)
    return found


def _uplift(bundle: Path, frame: pd.DataFrame) -> dict[str, Any]:
    from training.uplift_learners import load_learner

    return {"uplift": load_learner(bundle).predict(frame)}


def _response(bundle: Path, frame: pd.DataFrame) -> dict[str, Any]:
    from training.bundle import read_manifest
    from training.response import CHANNEL, ResponseModel

    channel = read_manifest(bundle, kind=RESPONSE, verify=False)["channel"]
    asked = frame.assign(**{CHANNEL: pd.Series([channel] * len(frame), index=frame.index, dtype=object)})
    return {"response": ResponseModel.load(bundle).predict_proba(asked)[:, 1]}
