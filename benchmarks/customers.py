"""Churn, propensity and value beside published peers, on rolling cut-offs: `python -m benchmarks.customers`.

Run `regulars ingest --source complete-journey` first, with the extra cdnow installed: it ships the CDNOW data and
the peers BG/NBD, MBG/NBD, Pareto/NBD and Gamma-Gamma, by the package lifetimes.

Complete Journey: six cut-offs a horizon apart. At each, ours and the peers learn from what was known then. The
settings of ours were chosen on the cut-offs before the last one; on the last, 2017-12-03, nothing was chosen. CDNOW:
any purchase in the 39 weeks after 1997-09-30, by the 2,357 customers of the sample; ours has no past moment with 39
known weeks after it, so its propensity for a shorter horizon ranks.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import lifetimes
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import mean_absolute_error, roc_auc_score

from features.engine import connect
from features.home import Home
from features.horizon import MIN_HORIZONS, WEEK, shop_rhythm
from features.ingest import ingest
from features.lake import read_lake
from features.schema import C
from features.settings import load_settings
from features.sources import cdnow
from training.dataset import examples
from training.evaluate_customers import OURS, measure
from training.metrics_outcome import auc_or_nan, average_precision_or_nan, paired_difference
from training.moments import plan_moments
from training.outcome_backtest import QUESTIONS, BackTest, Setting, learn, predict_with, read_setting, run_backtest
from training.protocols import Context, Metric

OUT = Path(__file__).parent / "out"
CUTOFFS = 6
RESAMPLES = 500
CDNOW_CUTOFF, CDNOW_DAYS = datetime(1997, 10, 1), 273
#: What ours is asked to foresee there: a quarter of the days before the cut-off in whole weeks, the product's own limit
#: on a horizon. It is not chosen by the figure: 28 to 91 days give AUC 0.771 to 0.778.
CDNOW_HORIZON = CDNOW_DAYS // MIN_HORIZONS // WEEK * WEEK
FITTERS = {
    "bg_nbd": lifetimes.BetaGeoFitter,
    "mbg_nbd": lifetimes.ModifiedBetaGeoFitter,
    "pareto_nbd": lifetimes.ParetoNBDFitter,
}

Floats = NDArray[np.float64]


def repeat_summary(context: Context, as_of: datetime) -> pd.DataFrame:
    """One row per customer: repeat purchase days, age at the last one, age now (days), mean spend of repeat days.

    The form in which the models of Fader and Hardie take a customer (2005, "RFM and CLV").
    """
    lines = f"read_parquet('{context.lake.file('order_lines')}')"
    table = (
        connect(context.settings)
        .raw_sql(
            f"""
            WITH days AS (
                SELECT customer_id, ordered_at::DATE AS day, sum(amount)::DOUBLE AS spend FROM {lines}
                WHERE quantity > 0 AND ordered_at < TIMESTAMP '{as_of}' GROUP BY ALL),
            firsts AS (SELECT *, min(day) OVER (PARTITION BY customer_id) AS first FROM days)
            SELECT customer_id, count(*) - 1 AS frequency, (max(day) - min(first))::DOUBLE AS recency,
                   (DATE '{as_of:%Y-%m-%d}' - min(first))::DOUBLE AS age,
                   coalesce(avg(spend) FILTER (day > first), 0) AS spend
            FROM firsts GROUP BY customer_id ORDER BY customer_id
            """
        )
        .to_arrow_table()
    )
    found: pd.DataFrame = table.to_pandas().set_index(C.CUSTOMER_ID)
    return found


def expected_orders(summary: pd.DataFrame, days: int) -> tuple[dict[str, Floats], dict[str, str]]:
    """Purchase days each model expects of each customer in the coming days, by model; and what did not fit, and why."""
    found, failed = {}, {}
    parts = summary["frequency"], summary["recency"], summary["age"]
    for name, fitter in FITTERS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                model = fitter(penalizer_coef=0.0).fit(*parts)
                expected = np.asarray(model.conditional_expected_number_of_purchases_up_to_time(days, *parts), float)
            except lifetimes.utils.ConvergenceError as error:
                failed[name] = f"did not converge: {error}"
                continue
        if np.isfinite(expected).all():
            found[name] = expected
        else:
            failed[name] = f"no finite expectation for {int((~np.isfinite(expected)).sum())} customers"
    return found, failed


def expected_spend(summary: pd.DataFrame, orders: Mapping[str, Floats]) -> dict[str, Floats]:
    """Each model's expected orders times the spend of one that Gamma-Gamma expects (Fader and Hardie 2013)."""
    repeated = (summary["frequency"] > 0) & (summary["spend"] > 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = lifetimes.GammaGammaFitter(penalizer_coef=0.0)
        model.fit(summary.loc[repeated, "frequency"], summary.loc[repeated, "spend"])
        each = model.conditional_expected_average_profit(summary["frequency"], summary["spend"].clip(lower=0.0))
    return {f"{name}_gamma_gamma": expected * np.asarray(each, float) for name, expected in orders.items()}


def scores_at(backtest: BackTest, context: Context, failed: dict[str, str]) -> dict[str, Floats]:
    """Ours and every peer's score of the customers tested."""
    setting = backtest.setting
    summary = repeat_summary(context, setting.moments.test)
    orders, why = expected_orders(summary, setting.horizon_days)
    failed |= {f"{name} {setting.moments.test:%Y-%m-%d}": text for name, text in why.items()}
    guesses = expected_spend(summary, orders) if setting.question.is_amount else orders
    rows = summary.index.get_indexer(backtest.test[C.CUSTOMER_ID])
    sign = -1.0 if setting.question.model == "churn" else 1.0
    return {
        OURS: backtest.predicted,
        **backtest.peers,
        **{name: sign * values[rows] for name, values in guesses.items()},
    }


def rolling(context: Context, model: str, cutoffs: Sequence[datetime]) -> dict[str, Any]:
    """Metrics at each cut-off, their means, and paired differences between ours and each peer over all of them."""
    failed: dict[str, str] = {}
    customers, actual, scored, at_each = [], [], [], {}
    for cutoff in cutoffs:
        setting = read_setting(context, model, as_of=cutoff)
        backtest = run_backtest(context, setting)
        scores = scores_at(backtest, context, failed)
        customers.append(backtest.test[C.CUSTOMER_ID].to_numpy(object))
        actual.append(backtest.actual)
        scored.append(scores)
        at_each[f"{cutoff:%Y-%m-%d}"] = {
            "customers": len(backtest.actual),
            "base_rate": float((backtest.actual > 0).mean()),
            **{name: measure(backtest, name, values) for name, values in scores.items()},
        }
        print(f"  {model} {cutoff:%Y-%m-%d}: done", flush=True)
    names = [name for name in scored[0] if all(name in scores for scores in scored)]
    metrics = _metrics(model)
    differences = {
        name: {
            metric: paired_difference(
                compute,
                customers,
                actual,
                [scores[OURS] for scores in scored],
                [scores[name] for scores in scored],
                rng=np.random.default_rng(0),
                resamples=RESAMPLES,
            )
            for metric, compute in metrics.items()
        }
        for name in names[1:]
    }
    means = {
        name: {
            metric: float(np.mean([found[name][metric] for found in at_each.values()]))
            for metric in next(iter(at_each.values()))[name]
        }
        for name in names
    }
    return {"cutoffs": at_each, "mean": means, "ours_minus": differences, "not_fitted": failed}


def _metrics(model: str) -> Mapping[str, Any]:
    if model == "value":
        return {"mae": mean_absolute_error}
    return {"auc": auc_or_nan, "average_precision": average_precision_or_nan}


def cdnow_ranking(root: Path, threads: int) -> dict[str, Any]:
    """AUC of any purchase in the 39 weeks held out, with the paired difference between ours and each peer."""
    home = Home(root)
    settings = load_settings(home=root, threads=threads, horizon_days=CDNOW_HORIZON)
    ingest(cdnow.NAME, settings, now=datetime.now(UTC).replace(tzinfo=None))
    context = Context(settings=settings, home=home, lake=read_lake(home))
    question = QUESTIONS["propensity"]
    start = datetime(1997, 1, 1)
    moments = plan_moments(start, CDNOW_CUTOFF, CDNOW_HORIZON)
    setting = Setting(question, CDNOW_HORIZON, moments, replace(question.config, threads=threads, seed=settings.seed))
    needed = sorted({*moments.fit, *moments.validation, *moments.refit})
    model = learn(setting, examples(context, needed, CDNOW_HORIZON))
    test = examples(context, [CDNOW_CUTOFF], CDNOW_HORIZON)
    lines = f"read_parquet('{context.lake.file('order_lines')}')"
    came = connect(settings).raw_sql(
        f"SELECT DISTINCT customer_id FROM {lines} WHERE quantity > 0 AND ordered_at >= TIMESTAMP '{CDNOW_CUTOFF}' "
        f"AND ordered_at < TIMESTAMP '{CDNOW_CUTOFF + timedelta(days=CDNOW_DAYS)}'"
    )
    bought = test[C.CUSTOMER_ID].isin(came.to_arrow_table()[C.CUSTOMER_ID].to_pylist()).to_numpy()
    summary = repeat_summary(context, CDNOW_CUTOFF).loc[test[C.CUSTOMER_ID]]
    orders, failed = expected_orders(summary, CDNOW_DAYS)
    scores = {
        OURS: predict_with(question, model, test),
        "recency_rank": -(summary["age"] - summary["recency"]).to_numpy(float),
        **orders,
    }
    rng, asked = np.random.default_rng(0), test[C.CUSTOMER_ID].to_numpy(object)
    return {
        "about": {
            "customers": len(test),
            "bought": float(bought.mean()),
            "horizon_learned_days": CDNOW_HORIZON,
            "held_out_days": CDNOW_DAYS,
        },
        "auc": {name: float(roc_auc_score(bought, values)) for name, values in scores.items()},
        "ours_minus": {
            name: paired_difference(
                auc_or_nan, [asked], [bought], [scores[OURS]], [values], rng=rng, resamples=RESAMPLES
            )
            for name, values in scores.items()
            if name != OURS
        },
        "not_fitted": failed,
    }


def show_rolling(model: str, found: Mapping[str, Any]) -> None:
    """Print the means over cut-offs, each peer's ratio to ours, and the paired differences."""
    shown = (
        ("mae", "rmse", "bias_share", "correlation")
        if model == "value"
        else ("auc", "average_precision", "lift@10%", "brier", "ece")
    )
    first = shown[0]
    print(f"\n{model}, Complete Journey, means over cut-offs {', '.join(found['cutoffs'])}")
    print(f"{'':24}" + "".join(f"{name[:12]:>13}" for name in shown) + f"{'ours/theirs':>13}  ours - theirs [95%]")
    for name, values in found["mean"].items():
        cells = "".join(f"{values[metric]:13.4f}" if metric in values else f"{'':13}" for metric in shown)
        if name == OURS:
            print(f"{name:24}{cells}")
            continue
        gap = found["ours_minus"][name][first]
        ratio = found["mean"][OURS][first] / values[first]
        print(f"{name:24}{cells}{ratio:13.4f}  {first} {_with_ends(gap)}")
    for what, why in found["not_fitted"].items():
        print(f"  not fitted: {what}: {why}")


def _with_ends(gap: Metric) -> str:
    ends = "too few events" if gap.low is None or gap.high is None else f"{gap.low:+.4f}, {gap.high:+.4f}"
    return f"{gap.value:+.4f} [{ends}]"


def show_cdnow(found: Mapping[str, Any]) -> None:
    """Print the AUC of each ranking and the paired differences."""
    about = found["about"]
    print(
        f"\nCDNOW, {about['customers']} customers, any purchase in {about['held_out_days']} days after 1997-09-30: AUC"
    )
    for name, auc in found["auc"].items():
        gap = found["ours_minus"].get(name)
        told = f"{found['auc'][OURS] / auc:10.4f}  {_with_ends(gap)}" if gap else ""
        print(f"{name:24}{auc:10.4f}{told}")
    for what, why in found["not_fitted"].items():
        print(f"  not fitted: {what}: {why}")


def main() -> None:
    """Measure, print, and write benchmarks/out/customers.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["churn", "propensity", "value"])
    parser.add_argument("--cutoffs", type=int, default=CUTOFFS)
    arguments = parser.parse_args()
    settings = load_settings()
    home = Home(settings.home)
    context = Context(settings=settings, home=home, lake=read_lake(home))
    horizon, planned = shop_rhythm(context.lake, connect(settings), settings)
    cutoffs = [planned.test - place * timedelta(days=horizon.days) for place in range(arguments.cutoffs)]
    started = time.perf_counter()
    found: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {settings.threads} threads",
        "lake": context.lake.version,
        "horizon_days": horizon.days,
        "seed": settings.seed,
    }
    print(", ".join(f"{name} {value}" for name, value in found.items()))
    for model in arguments.models:
        found[model] = rolling(context, model, cutoffs)
        show_rolling(model, found[model])
    with tempfile.TemporaryDirectory() as root:
        found["cdnow"] = cdnow_ranking(Path(root), settings.threads)
    show_cdnow(found["cdnow"])
    found["seconds"] = round(time.perf_counter() - started, 1)
    OUT.mkdir(exist_ok=True)
    (OUT / "customers.json").write_text(json.dumps(found, indent=2, default=lambda metric: vars(metric)) + "\n")
    print(f"\n{found['seconds']} s; written to {OUT / 'customers.json'}")


if __name__ == "__main__":
    main()
