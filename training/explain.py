"""What a model goes by, over all customers of its back-test: importance by topic, dependence on features, weak groups.

Made in training and kept in the bundle, so that it is of that very model and takes no time to show.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import DataError
from features.home import write_text
from training.boosting import predict
from training.outcome_backtest import BackTest, predict_with
from training.outcome_model import OutcomeModel
from training.reason_topics import topic_of
from training.segments import all_groups

FILE = "explanation.json"
#: Features whose dependence is drawn; values each is set to; customers whose predictions are averaged at each.
SHOWN, VALUES, CUSTOMERS = 8, 12, 400
OTHER = "other"

Floats = NDArray[np.float64]


def explanation(backtest: BackTest) -> dict[str, Any]:
    """Importance (by topic and feature), dependence (by feature) and groups of a tested model, as plain values."""
    model, test = backtest.model, backtest.test
    added = _contributions(model, test)
    names = list(model.features_.names)
    by_feature = importance(names, added)
    shown = [name for name, _ in by_feature[:SHOWN]]
    groups = all_groups(
        test,
        backtest.actual,
        backtest.predicted,
        horizon_days=backtest.setting.horizon_days,
        is_amount=backtest.setting.question.is_amount,
    )
    return {
        "model": backtest.setting.question.model,
        "as_of": f"{backtest.setting.moments.test:%Y-%m-%d}",
        "predicted": backtest.setting.event,
        "customers": len(test),
        "topics": [{"topic": name, "importance": weight} for name, weight in by_topic(names, added)],
        "features": [
            {"feature": name, "topic": _topic(name), "importance": weight} for name, weight in by_feature if weight > 0
        ],
        "dependence": {name: dependence(backtest, name) for name in shown},
        "groups": [group.as_json() for group in groups],
    }


def importance(names: Sequence[str], added: Floats) -> list[tuple[str, float]]:
    """Each feature's mean absolute contribution to the score, largest first (Lundberg et al. 2020)."""
    weights = np.abs(added).mean(axis=0) if len(added) else np.zeros(len(names))
    return sorted(zip(names, weights.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0]))


def by_topic(names: Sequence[str], added: Floats) -> list[tuple[str, float]]:
    """Each topic's mean absolute contribution, its features added up first, largest first."""
    topics: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        topics.setdefault(_topic(name), []).append(place)
    weights = {topic: float(np.abs(added[:, places].sum(axis=1)).mean()) for topic, places in topics.items()}
    return sorted(weights.items(), key=lambda pair: (-pair[1], pair[0]))


def dependence(backtest: BackTest, feature: str) -> list[dict[str, Any]]:
    """Mean prediction with the feature set to each of some of its values in turn, all else as it is (Friedman 2001).

    Values are quantiles of a number, or the most frequent texts. What is predicted for values that never go with a
    customer's other features is a guess, so the ends of a curve say least.
    """
    column = backtest.test[feature]
    known = column.dropna()
    if pd.api.types.is_numeric_dtype(column):
        values = list(np.unique(np.quantile(known, np.linspace(0.02, 0.98, VALUES)))) if len(known) else []
    else:
        values = list(known.astype(str).value_counts().index[:VALUES])
    if not values:
        return []
    step = max(len(backtest.test) // CUSTOMERS, 1)
    sample = backtest.test.iloc[::step].head(CUSTOMERS).reset_index(drop=True)
    whole = pd.concat([sample] * len(values), ignore_index=True)
    whole[feature] = np.repeat(np.array(values, dtype=object), len(sample))
    whole[feature] = whole[feature].astype(column.dtype)
    found = predict_with(backtest.setting.question, backtest.model, whole).reshape(len(values), len(sample))
    means = found.mean(axis=1).tolist()
    plain = [float(value) if pd.api.types.is_numeric_dtype(column) else str(value) for value in values]
    return [{"value": value, "prediction": mean} for value, mean in zip(plain, means, strict=True)]


def tables(found: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The same as tables: rows by name."""
    points = [
        {"feature": feature, "value": str(point["value"]), "prediction": point["prediction"]}
        for feature, curve in found["dependence"].items()
        for point in curve
    ]
    return {"importance": found["features"], "topics": found["topics"], "dependence": points, "groups": found["groups"]}


def keep(found: Mapping[str, Any], bundle: Path) -> None:
    """Write it into a bundle that is not sealed yet."""
    write_text(bundle / FILE, json.dumps(found, indent=1))


def kept(bundle: Path, *, model: str) -> dict[str, Any]:
    """What a bundle says of its model. Raises DataError where an earlier release, or another kind of model, made it."""
    path = bundle / FILE
    if not path.is_file():
        raise DataError(
            f"{model}: this version was trained without an explanation of it. Train again:  regulars train {model}"
        )
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _contributions(model: Any, frame: pd.DataFrame) -> Floats:
    if isinstance(model, OutcomeModel):
        return model.contributions(frame)
    found = predict(model.booster_, model.features_.encode(frame), threads=model.threads_, contributions=True)
    return found[:, :-1]


def _topic(feature: str) -> str:
    topic = topic_of(feature)
    return OTHER if topic is None else topic.name
