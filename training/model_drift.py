"""How far a champion's customers and scores have moved since it was trained, and whether its level is still right.

The population stability index says how far a distribution has moved. That alone breaks nothing: a model may be right
about customers it saw few of. So an alert is told where scores moved, where a feature moved that the model goes by, or
where what came true is surely not what was predicted (calibration in the large).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.drift import MOVED
from features.errors import DataError, NotReadyError
from features.home import Home, write_text
from features.snapshot import naive_utc
from training.bundle import read_manifest
from training.dataset import examples, features_as_of
from training.explain import kept as kept_explanation
from training.metrics_outcome import calibration_intercept
from training.outcome_backtest import QUESTIONS, Question, answers, predict_with
from training.outcome_training import TESTED
from training.profiles import last_moment
from training.protocols import Context
from training.reference import Reference
from training.report_runs import Report
from training.segments import by_group
from training.tracking import open_registry
from training.verdicts import HIGH, LOW
from training.versions import ModelVersion

FOLDER = "drift"
#: Weeks looked at, the newest ones after the training.
WEEKS = 4
#: A feature counts where it makes up this share of all importance.
MATTERS = 0.05

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Week:
    """One moment: the index of the scores and of each feature, the most moved first, and the mean score."""

    as_of: datetime
    customers: int
    scores: float
    features: Mapping[str, float]
    mean: float


@dataclass(frozen=True)
class Level:
    """What was predicted as of a moment and what came, in the mean; `ratio` is the latter over the former.

    `by`: served, or tested (the same settings, learned a horizon less far) while the served model has seen the answers.
    """

    as_of: datetime
    customers: int
    predicted: float
    came: float
    ratio: float | None
    low: float | None
    high: float | None
    intercept: float | None  # log-odds to add so that the mean is right; of probabilities
    by: str


@dataclass(frozen=True)
class Drift:
    """What was found of one champion, weeks oldest first."""

    model: str
    version: int
    lake: str
    reference_as_of: str
    weeks: Sequence[Week]
    level: Level | None
    no_level: str | None  # why there is none
    alerts: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        found: dict[str, Any] = json.loads(json.dumps(asdict(self), default=lambda value: value.isoformat()))
        return found

    def keep(self, home: Home) -> None:
        """Write it where the doctor looks."""
        write_text(home.root / FOLDER / f"{self.model}.json", json.dumps(self.as_json(), indent=1))


def kept(home: Home, model: str) -> dict[str, Any] | None:
    """What was found last; None where nobody looked."""
    path = home.root / FOLDER / f"{model}.json"
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def measure_drift(context: Context, model: str, *, weeks: int = WEEKS) -> Drift:
    """Of the champion of churn, propensity or value, against the customers it learned from.

    Raises NotReadyError without a champion, DataError where an earlier release trained it.
    """
    registry = open_registry(context.home)
    version = registry.resolve(model)
    if version is None:
        raise NotReadyError(f"There is no {model} champion. Train:  regulars train {model}")
    bundle = Path(registry.fetch(version))
    reference = Reference.kept(bundle, model=model)
    question = QUESTIONS[model]
    served = question.estimator.load(bundle, threads=context.settings.threads)
    newest = naive_utc(last_moment(context))
    moments = [newest - timedelta(weeks=back) for back in range(weeks)]
    # The newest always; of those before, what came after the training.
    asked = [moment for moment in moments if moment > datetime.fromisoformat(reference.as_of)] or moments[:1]
    found = [_week(context, question, served, reference, moment, version) for moment in reversed(asked)]
    level, why = _level(context, question, served, bundle, newest, version)
    return Drift(
        model=model,
        version=version.version,
        lake=context.lake.version,
        reference_as_of=reference.as_of,
        weeks=found,
        level=level,
        no_level=why,
        alerts=alerts(found[-1], level, _importance(bundle, model)),
    )


def alerts(week: Week, level: Level | None, importance: Mapping[str, float]) -> tuple[str, ...]:
    """What somebody should look at, in sentences; empty where nothing is."""
    found = []
    if week.scores >= MOVED:
        found.append(f"its scores have moved (PSI {week.scores:.2f})")
    moved = [name for name, index in week.features.items() if index >= MOVED and importance.get(name, 0.0) >= MATTERS]
    if moved:
        named = ", ".join(f"{name} (PSI {week.features[name]:.2f})" for name in moved)
        found.append(f"features that it goes by have moved: {named}")
    if level is not None and level.ratio is not None and level.low is not None and level.high is not None:
        beyond = not LOW <= level.ratio <= HIGH
        if beyond and not level.low <= 1 <= level.high:
            found.append(
                f"what came true as of {level.as_of:%Y-%m-%d} was {level.ratio:.2f} times what was predicted "
                f"(95% interval {level.low:.2f} to {level.high:.2f})"
            )
    return tuple(found)


def _week(
    context: Context, question: Question, served: Any, reference: Reference, moment: datetime, version: ModelVersion
) -> Week:
    rows = question.rows(features_as_of(context, moment, version.horizon_days))
    if not len(rows):
        raise DataError(f"Nobody is asked about as of {moment:%Y-%m-%d}: no customer is active. Load newer orders.")
    scores = predict_with(question, served, rows)
    return Week(
        as_of=moment,
        customers=len(rows),
        scores=reference.scores.index(pd.Series(scores)),
        features=reference.indices(rows),
        mean=float(scores.mean()),
    )


def _level(
    context: Context, question: Question, served: Any, bundle: Path, newest: datetime, version: ModelVersion
) -> tuple[Level | None, str | None]:
    """The level at the last moment whose horizon has passed, by a model that has not seen what came then."""
    days = timedelta(days=version.horizon_days)
    # The last order itself may be of any time of its day, so the day before is the last that is whole.
    moment = newest - days - timedelta(days=1)
    about = read_manifest(bundle, kind=question.model)
    if moment >= datetime.fromisoformat(about["served_has_seen"]):
        by, model = "served", served
    elif moment > datetime.fromisoformat(about["tested_has_seen"]):
        by, model = "tested", question.estimator.load(bundle / TESTED, threads=context.settings.threads)
    else:
        known = datetime.fromisoformat(about["tested_has_seen"]) + days + timedelta(days=2)
        return None, f"it has seen all that came; known once orders up to {known:%Y-%m-%d} are loaded"
    rows = question.rows(examples(context, [moment], version.horizon_days))
    predicted, came = predict_with(question, model, rows), answers(question, rows)
    everybody = np.full(len(rows), "all", dtype=object)
    (group,) = by_group("all", everybody, came, predicted, is_amount=question.is_amount)
    intercept = None if question.is_amount else _finite(calibration_intercept(came, predicted))
    mean = float(came.astype(float).mean())
    return (
        Level(
            moment,
            len(rows),
            float(predicted.mean()),
            mean,
            group.ratio,
            group.ratio_low,
            group.ratio_high,
            intercept,
            by,
        ),
        None,
    )


def _importance(bundle: Path, model: str) -> dict[str, float]:
    rows = kept_explanation(bundle, model=model)["features"]
    total = sum(row["importance"] for row in rows) or 1.0
    return {row["feature"]: row["importance"] / total for row in rows}


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def report_of(found: Drift, pictures: Sequence[Path]) -> Report:
    """What is logged: the index of scores and features at each week as a step of its own, and the level."""
    newest = found.weeks[-1]
    metrics: dict[str, Sequence[float]] = {
        "psi_scores": [week.scores for week in found.weeks],
        "mean_score": [week.mean for week in found.weeks],
        **{f"psi.{name}": [week.features[name] for week in found.weeks] for name in newest.features},
        "alerts": [float(len(found.alerts))],
    }
    level = found.level
    if level is not None:
        of_level = {"ratio": level.ratio, "ratio_low": level.low, "ratio_high": level.high}
        of_level |= {"intercept": level.intercept, "predicted": level.predicted, "came": level.came}
        metrics |= {f"level_{name}": [value] for name, value in of_level.items() if value is not None}
    return Report(
        experiment="drift",
        name=f"{found.model} {newest.as_of:%Y-%m-%d}",
        params={
            "model": found.model,
            "version": found.version,
            "lake": found.lake,
            "reference_as_of": found.reference_as_of,
            "weeks": ", ".join(f"{week.as_of:%Y-%m-%d}" for week in found.weeks),
        },
        metrics=metrics,
        pictures=pictures,
        tables={"alerts": [{"alert": alert} for alert in found.alerts]},
    )
