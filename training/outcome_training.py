"""Training of churn, propensity and value: a back-test that is reported, and the model that is served.

The two are not the same. The tested model learned up to a horizon before the test cut-off, so its metrics are honest;
the served one has the same settings, rounds and calibration and learned up to the test cut-off too, so that the latest
horizon is not thrown away. The bundle holds both, and says up to when each has seen what customers did.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from features.errors import DataError
from features.home import write_text
from features.schema import C
from training.bundle import read_manifest, seal
from training.category_propensity import CATEGORIES
from training.category_training import learn_categories
from training.dataset import feature_columns
from training.enough import enough_to_train
from training.evaluate_customers import OURS, gate_metric, our_metrics, peer_metrics, told
from training.examples import made_up
from training.explain import explanation, keep, tables
from training.fairness import fairness
from training.lifetime_backtest import learn_lifetime
from training.outcome_backtest import BackTest, predict_with, read_setting, refit, run_backtest
from training.outcome_model import is_excluded
from training.plots import amounts, gain, reliability
from training.plots_explain import explanation_pictures
from training.protocols import Context, Gate, Metric, Trained
from training.reason_stability import stability_of
from training.reference import Reference

#: Where in a bundle the tested model lies; the served one lies at its root.
TESTED = "backtest"


def train_outcome(context: Context, into: Path, model: str) -> Trained:
    """A sealed bundle in `into`/bundle, its back-test and pictures. Raises DataError where the data are too few."""
    return keep_outcome(context, into, run_backtest(context, read_setting(context, model), with_serving=True))


def keep_outcome(
    context: Context, into: Path, backtest: BackTest, *, about: Mapping[str, Any] | None = None
) -> Trained:
    """The same of a back-test whose examples are all that the served model may learn from; `about` goes beside it."""
    setting, tested = backtest.setting, backtest.model
    model = setting.question.model
    calibrator = tested.intervals_ if setting.question.is_amount else tested.calibrator_
    everything, moments = _everything(backtest), setting.moments
    served = refit(setting, everything, moments.serving, tested.rounds_, calibrator)
    if setting.question.is_amount:
        known = moments.test + timedelta(days=setting.horizon_days)
        served.lifetime_ = learn_lifetime(
            context, everything, moments.serving, until=known, now=backtest.test, config=setting.config
        )

    categories = learn_categories(context, backtest) if model == "propensity" else None
    bundle = into / "bundle"
    served.save(bundle)
    if categories is not None:
        write_text(bundle / CATEGORIES, json.dumps(categories.model.as_json()))
    tested.save(bundle / TESTED)
    explained = explanation(backtest)
    keep(explained, bundle)
    seen = predict_with(setting.question, served, backtest.test)
    as_of = setting.moments.test.isoformat()
    Reference.of(backtest.test, served.features_.names, seen, as_of=as_of).keep(bundle)
    test, horizon = setting.moments.test, timedelta(days=setting.horizon_days)
    told_of = {
        **(about or {}),
        "horizon_days": setting.horizon_days,
        "lake": context.lake.version,
        "test_as_of": test.isoformat(),
        "tested_has_seen": test.isoformat(),
        "served_has_seen": (max(moments.serving) + horizon).isoformat(),
    }
    seal(bundle, kind=model, about=told_of)

    ours = our_metrics(backtest, tested)
    peers = peer_metrics(backtest)
    enough = enough_to_train(context, setting, backtest.examples, backtest.test)
    example = made_up(served.features_.encode(backtest.test))
    return Trained(
        model=model,
        bundle=bundle,
        params=_params(backtest),
        # The tested and the served model are two trainings, a horizon apart.
        metrics=[
            *ours,
            *([] if categories is None else categories.metrics),
            *(stability_of(tested, served, backtest.test) if model == "churn" else ()),
        ],
        peers={name: [Metric(key, value) for key, value in found.items()] for name, found in peers.items()},
        gate=Gate(gate_metric(backtest), higher_is_better=not setting.question.is_amount),
        pictures=[*_pictures(backtest, into), *explanation_pictures(explained, into)],
        input_example=example,
        output_example=pd.DataFrame({"prediction": served.booster_.predict(example.to_numpy())}),
        test_as_of=test.replace(tzinfo=UTC),
        horizon_days=setting.horizon_days,
        rescore=lambda other: rescore(backtest, other),
        tables={
            **tables(explained),
            "parity": fairness(explained["groups"])["attributes"],
            **({} if categories is None else {"categories": categories.table}),
        },
        notes=[
            *told(backtest, {metric.name: metric.value for metric in ours}, peers),
            *enough.notes(),
            *_excluded_nothing(backtest),
        ],
    )


def rescore(backtest: BackTest, bundle: Path) -> Sequence[Metric]:
    """What the model of another bundle of the same kind scores on this back-test.

    Its served model if that had seen nothing of what came after the cut-off, else its tested one. Raises DataError
    where both have, where it looks another number of days ahead, or where it knows other features.
    """
    setting = backtest.setting
    about = read_manifest(bundle, kind=setting.question.model)
    if about["horizon_days"] != setting.horizon_days:
        raise DataError(
            f"it predicts {about['horizon_days']} days ahead and this back-test {setting.horizon_days}, so their "
            "numbers do not compare. Promote it by name if the new horizon is meant"
        )
    test = setting.moments.test
    for directory, seen in ((bundle, about["served_has_seen"]), (bundle / TESTED, about["tested_has_seen"])):
        if datetime.fromisoformat(seen) <= test:
            model = setting.question.estimator.load(directory, threads=setting.config.threads)
            return our_metrics(backtest, model)
    raise DataError(
        f"it has seen what customers did up to {about['tested_has_seen'][:10]}, so it knows answers of the back-test "
        f"that starts on {test:%Y-%m-%d}"
    )


def _everything(backtest: BackTest) -> pd.DataFrame:
    """The examples and, where they are not among them, the test's: what the served model may learn from."""
    learned_from = backtest.examples
    if learned_from[C.AS_OF].isin([backtest.setting.moments.test]).any():
        return learned_from
    return pd.concat([learned_from, backtest.test], ignore_index=True)


def _params(backtest: BackTest) -> dict[str, str | float | int | bool]:
    setting, config = backtest.setting, backtest.setting.config
    calibration = {} if setting.question.is_amount else {"calibration": backtest.model.calibrator_.kind}
    return {
        "horizon_days": setting.horizon_days,
        "rounds": backtest.model.rounds_,
        **{name: value for name, value in vars(config).items() if name not in ("threads", "exclude")},
        "excluded": ", ".join(config.exclude) or "none",
        **calibration,
        "features": len(backtest.model.features_.names),
        "moments_learned_from": len(setting.moments.refit),
        "rows_learned_from": int(backtest.examples[C.AS_OF].isin(setting.moments.refit).sum()),
        "served_model": "the tested settings, learned up to the test cut-off",
    }


def _excluded_nothing(backtest: BackTest) -> list[str]:
    """A sentence for each name or pattern to exclude that is of no feature: it may be misspelt."""
    names = feature_columns(backtest.test)
    return [
        f"exclude '{pattern}' is the name of no feature, so nothing was left out by it"
        for pattern in backtest.setting.config.exclude
        if not any(is_excluded(name, [pattern]) for name in names)
    ]


def _pictures(backtest: BackTest, into: Path) -> list[Path]:
    setting = backtest.setting
    who = f"{len(backtest.test):,} {'active ' if setting.question.active_only else ''}{setting.question.asked}"
    title = f"{setting.question.model.capitalize()}: {who} as of {setting.moments.test:%Y-%m-%d}"
    scores: dict[str, Any] = {OURS: backtest.predicted, **backtest.peers}
    if setting.question.is_amount:
        return [amounts(into / "amounts.png", backtest.actual, scores, title=title, unit=setting.event)]
    return [
        reliability(into / "reliability.png", backtest.actual, backtest.predicted, title=title, event=setting.event),
        gain(into / "gain.png", backtest.actual, scores, title=title, event=setting.event),
    ]
