"""What past scorings said against what happened since: delayed labels, judged by the very numbers that were served.

Of each scoring kept (`training.said`) whose horizon has passed: the metrics of the back-test on what came, beside what
the back-test promised, and the level, what came over what was predicted. Nothing is predicted anew. Labels are those
that models learn from (`features.labels`), of rows from the scoring's moment on. Whoever was contacted within the
horizon may have stayed for it, so they are told apart and not judged by.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.engine import connect
from features.errors import DataError
from features.home import Home, write_text
from features.labels import ACTIVE, customer_labels, until_known
from features.schema import CONTACTS, C
from features.snapshot import naive_utc
from training.bundle import read_manifest
from training.conformal import interval_metrics
from training.evaluate_customers import FEW_RESAMPLES, MANY, RESAMPLES
from training.judged import Group, Judged, Tenth, promised_of, with_ends
from training.lookback_lists import RECOMMENDER, judge_lists
from training.metrics_outcome import BINS, amount_metrics, probability_metrics, with_intervals
from training.outcome_backtest import QUESTIONS, Question, answers
from training.protocols import Context, Metric
from training.report_runs import Report
from training.said import CUSTOMERS, KIND, PRODUCTS, known_on, remove_said
from training.segments import by_group
from training.verdicts import verdict_of

#: The column of a scoring that answers each question.
SAID = {"churn": "churn_probability", "propensity": "purchase_probability", "value": "expected_spend"}
#: The metric of the verdict, higher is better. Not the error of spend: it grows with what a season brings.
JUDGED_BY = {"churn": "auc", "propensity": "auc", "value": "correlation"}

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Lookback:
    """One scoring, judged. Times are UTC in ISO 8601."""

    as_of: str
    horizon_days: int
    lake: str
    judged_at: str
    models: Sequence[Judged]
    notes: Sequence[str] = field(default_factory=tuple)

    def as_json(self) -> dict[str, Any]:
        """Plain values; what is not finite is null."""
        found: dict[str, Any] = _plain(asdict(self))
        return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def look_back(context: Context, said: Path, *, at: datetime) -> Lookback:
    """What it said against what came. `at` is written beside it. Raises DataError while its horizon has not passed."""
    about = read_manifest(said, kind=KIND)
    as_of, days = naive_utc(datetime.fromisoformat(about["as_of"])), about["horizon_days"]
    until_known(context.lake, as_of, days)
    table = pq.read_table(said / CUSTOMERS)
    backend = connect(context.settings)
    tables = context.lake.tables(backend)
    labels = customer_labels(tables, as_of, horizon_days=days).drop(ACTIVE).to_pandas()
    # Who was active is as it was known then: orders that came late are no fault of the list.
    rows = table.drop_columns([PRODUCTS]).to_pandas().merge(labels, on=C.CUSTOMER_ID, validate="one_to_one")
    contacted = rows[C.CUSTOMER_ID].isin(_contacted(tables, as_of, as_of + timedelta(days=days))).to_numpy()
    notes: list[str] = []
    judged = [
        found
        for model, question in QUESTIONS.items()
        if about["models"].get(model) is not None
        for found in [_judge(context, question, about, rows, contacted)]
        if found is not None
    ]
    if about["models"].get(RECOMMENDER) is not None and table[PRODUCTS].null_count < len(table):
        try:
            judged.append(judge_lists(context, about, table))
        except DataError as error:
            notes.append(f"{RECOMMENDER}: {error}")
    return Lookback(
        as_of=as_of.isoformat(),
        horizon_days=days,
        lake=context.lake.version,
        judged_at=at.isoformat(timespec="seconds"),
        models=judged,
        notes=notes,
    )


def finish(home: Home, found: Lookback, said: Path) -> None:
    """Keep what was found, which names nobody, and take away what it was found by. Repeating it is harmless."""
    write_text(home.lookback / f"{said.name}.json", json.dumps(found.as_json(), indent=1))
    remove_said(home, said)


def _contacted(tables: Mapping[str, Any], start: datetime, end: datetime) -> pd.Series:
    """Who was contacted in [start, end); those held out were not."""
    if CONTACTS.name not in tables:
        return pd.Series([], dtype=str)
    contacts = tables[CONTACTS.name]
    time = contacts[C.CONTACTED_AT]
    wanted = contacts.filter((time >= start) & (time < end) & contacts[C.TREATED].fill_null(True))
    names: pd.Series = wanted.select(C.CUSTOMER_ID).distinct().to_pandas()[C.CUSTOMER_ID]
    return names


def _judge(
    context: Context, question: Question, about: Mapping[str, Any], rows: pd.DataFrame, contacted: NDArray[np.bool_]
) -> Judged | None:
    """One model; None where nothing can be judged by: no amounts, or nobody was left alone."""
    model, said = question.model, SAID[question.model]
    asked = (rows[said].notna() & rows[question.label].notna()).to_numpy()
    if question.active_only:
        asked &= rows["active"].to_numpy(bool)
    alone, reached = rows[asked & ~contacted], rows[asked & contacted]
    if not len(alone):
        return None
    predicted, actual = alone[said].to_numpy(float), answers(question, alone)
    metrics = with_intervals(
        amount_metrics if question.is_amount else probability_metrics,
        actual,
        predicted,
        rng=np.random.default_rng(context.settings.seed),
        resamples=RESAMPLES if len(alone) <= MANY else FEW_RESAMPLES,
    )
    low, high = (
        alone[f"{said}_{end}"].to_numpy(float) if question.is_amount else np.empty(0) for end in ("low", "high")
    )
    if question.is_amount and np.isfinite(low).all() and np.isfinite(high).all():
        metrics += [Metric(name, value) for name, value in interval_metrics(actual, low, high).items()]
    everybody = np.full(len(alone), "all", dtype=object)
    (group,) = by_group("all", everybody, actual, predicted, is_amount=question.is_amount)
    came = with_ends(metrics)
    promised = promised_of(about, model, came)
    rarer = int(min((actual > 0).sum(), (actual <= 0).sum()))
    metric = JUDGED_BY[model]
    verdict, why = verdict_of(
        metric,
        promised,
        came,
        ratio=(group.ratio, group.ratio_low, group.ratio_high),
        rarer=rarer,
    )
    return Judged(
        model=model,
        version=about["models"][model],
        customers=len(alone),
        metric=metric,
        promised=promised,
        came=came,
        verdict=verdict,
        why=why,
        ratio=group.ratio,
        ratio_low=group.ratio_low,
        ratio_high=group.ratio_high,
        tenths=_tenths(actual.astype(float), predicted),
        contacted=_told_apart(question, reached),
    )


def _of_intervals(actual: Floats, rows: pd.DataFrame, said: str) -> list[Metric]:
    """How often the interval said held what came; nothing where some customers have none."""
    low, high = (rows[f"{said}_{end}"].to_numpy(float) for end in ("low", "high"))
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        return []
    return [Metric(name, value) for name, value in interval_metrics(actual, low, high).items()]


def _told_apart(question: Question, rows: pd.DataFrame) -> Group | None:
    if not len(rows):
        return None
    came = answers(question, rows).astype(float)
    return Group(len(rows), float(rows[SAID[question.model]].mean()), float(came.mean()))


def _tenths(actual: Floats, predicted: Floats) -> list[Tenth]:
    order = np.argsort(predicted, kind="stable")
    return [
        Tenth(len(part), float(predicted[part].mean()), float(actual[part].mean()))
        for part in np.array_split(order, BINS)
        if len(part)
    ]


def report_of(found: Lookback, pictures: Sequence[Path]) -> Report:
    """What is logged to MLflow: what came and what was promised, by model and metric."""
    metrics: dict[str, Sequence[float]] = {}
    for one in found.models:
        metrics |= {f"{one.model}.came.{name}": [value] for name, value in one.came.items()}
        metrics |= {f"{one.model}.promised.{name}": [value] for name, value in one.promised.items()}
        if one.ratio is not None:
            metrics[f"{one.model}.ratio"] = [one.ratio]
    verdicts = [
        {"model": one.model, "version": one.version, "verdict": one.verdict, "why": one.why} for one in found.models
    ]
    return Report(
        experiment="lookback",
        name=f"scores as of {found.as_of[:10]}",
        params={"as_of": found.as_of, "horizon_days": found.horizon_days, "lake": found.lake},
        metrics=metrics,
        pictures=pictures,
        tables={"verdicts": verdicts},
    )


def refuse_early(context: Context, said: Sequence[Path]) -> None:
    """Raises DataError that says when the oldest of what waits can be judged, or that nothing waits."""
    if not said:
        raise DataError(
            "No scoring is kept to look back on. The first of each week is kept (regulars score), and judged a horizon "
            "later, once newer orders are loaded."
        )
    last = datetime.fromisoformat(context.lake.manifest["last_order_at"])
    raise DataError(
        f"What came is not known yet: the oldest scoring kept is judged once orders up to {known_on(said[0]):%Y-%m-%d} "
        f"are loaded, and the last order is of {last:%Y-%m-%d}. Load newer orders:  regulars ingest"
    )
