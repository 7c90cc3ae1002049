"""Churn, propensity and value beside published peers, on rolling cut-offs: `python -m benchmarks.customers`.

Run `regulars ingest --source complete-journey` first, with the extra cdnow installed: it brings the peers BG/NBD,
MBG/NBD, Pareto/NBD and Gamma-Gamma, by the package lifetimes.

Complete Journey: six cut-offs a horizon apart. At each, ours and the peers learn from what was known then. The
settings of ours were chosen on the cut-offs before the last one; on the last, 2017-12-03, nothing was chosen. Orders
and spend over longer times, and CDNOW: benchmarks/lifetime.py.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import mean_absolute_error

from benchmarks.latent_peers import expected_orders, expected_spend, repeat_summary
from features.engine import connect
from features.home import Home
from features.horizon import shop_rhythm
from features.lake import read_lake
from features.schema import C
from features.settings import load_settings
from training.evaluate_customers import OURS, measure
from training.metrics_outcome import auc_or_nan, average_precision_or_nan, paired_difference
from training.outcome_backtest import BackTest, read_setting, run_backtest
from training.protocols import Context, Metric

OUT = Path(__file__).parent / "out"
CUTOFFS = 6
RESAMPLES = 500
Floats = NDArray[np.float64]


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
    found["seconds"] = round(time.perf_counter() - started, 1)
    OUT.mkdir(exist_ok=True)
    (OUT / "customers.json").write_text(json.dumps(found, indent=2, default=lambda metric: vars(metric)) + "\n")
    print(f"\n{found['seconds']} s; written to {OUT / 'customers.json'}")


if __name__ == "__main__":
    main()
