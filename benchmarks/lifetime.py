"""Orders and spend over many weeks to come, beside published peers: `python -m benchmarks.lifetime`.

Run `regulars ingest --source complete-journey` first, with the extra cdnow installed: it ships the CDNOW data and the
peers, by the package lifetimes. An order is a day with a purchase.

CDNOW: the 39 weeks after 1997-09-30, by the 2,357 customers of the sample, of whom 39 weeks are known. Complete
Journey: the 24 weeks after 2017-07-16, and the 4 weeks after each of six cut-offs. Ours and the peers know nothing
after a cut-off. The settings of ours were compared on CDNOW's weeks before the cut-off; choices that were ties there
were made with the weeks held out in sight, so a small lead says little. `auc` is of any purchase at all.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import mean_absolute_error, roc_auc_score, root_mean_squared_error

from benchmarks.latent_peers import expected_orders, expected_spend, repeat_summary
from features.home import Home
from features.ingest import ingest
from features.labels import SPEND_FOLLOWED, VISITS_FOLLOWED
from features.lake import read_lake
from features.schema import C
from features.settings import load_settings
from features.sources import cdnow
from training.boosting import BoostingConfig
from training.dataset import examples
from training.evaluate_customers import OURS
from training.lifetime_backtest import learn_lifetime, with_followed
from training.metrics_outcome import amount_metrics, auc_or_nan, paired_difference
from training.protocols import Context

OUT = Path(__file__).parent / "out"
RESAMPLES = 500
CDNOW_START, CDNOW_CUTOFF, CDNOW_DAYS = datetime(1997, 1, 1), datetime(1997, 10, 1), 273
JOURNEY_START, JOURNEY_CUTOFF, JOURNEY_DAYS = datetime(2017, 1, 1), datetime(2017, 7, 16), 168
JOURNEY_TEST, JOURNEY_HORIZON, ROLLING = datetime(2017, 12, 3), 28, 6
#: Moments learned from: every two weeks, the last followed for at least four, the first after nine weeks of history.
STEP, FOLLOWED, HISTORY, MOST = 14, 28, 63, 14

Floats = NDArray[np.float64]


def moments_before(start: datetime, cutoff: datetime) -> list[datetime]:
    """The moments learned from for a cut-off, newest first."""
    found = [cutoff - timedelta(days=FOLLOWED + STEP * place) for place in range(MOST)]
    return [moment for moment in found if moment >= start + timedelta(days=HISTORY)]


class Asked(NamedTuple):
    """One cut-off: ids of customers, what came (orders, spend), what ours and peers expected, and what did not fit."""

    customers: NDArray[Any]
    came: dict[str, Floats]
    said: dict[str, dict[str, Floats]]
    failed: dict[str, str]


def predictions(context: Context, start: datetime, cutoff: datetime, days: int) -> Asked:
    """What ours and every peer, knowing nothing after the cut-off, expected of the days after it, and what came."""
    moments = moments_before(start, cutoff)
    # No label is read from these rows but those that end at the cut-off.
    rows = examples(context, [*moments, cutoff], 1)
    now = with_followed(context, at_moment(rows, cutoff), cutoff + timedelta(days=days))
    config = BoostingConfig(threads=context.settings.threads, seed=context.settings.seed)
    model = learn_lifetime(context, rows, moments, until=cutoff, now=now, config=config)
    if model is None:
        raise SystemExit("Nothing was learned: nobody ordered again before the cut-off.")
    summary = repeat_summary(context, cutoff).loc[now[C.CUSTOMER_ID]]
    orders, failed = expected_orders(summary, days)
    came = {"orders": now[VISITS_FOLLOWED].to_numpy(float), "spend": now[SPEND_FOLLOWED].to_numpy(float).clip(min=0)}
    said = {
        "orders": {OURS: model.expected_orders(now, float(days)), **orders},
        "spend": {OURS: model.expected_spend(now, float(days)), **expected_spend(summary, orders)},
    }
    return Asked(now[C.CUSTOMER_ID].to_numpy(object), came, said, failed)


def at_moment(rows: pd.DataFrame, moment: datetime) -> pd.DataFrame:
    """The rows as of that moment."""
    return rows[rows[C.AS_OF] == moment].reset_index(drop=True)


def measured(asked: Sequence[Asked]) -> dict[str, Any]:
    """Mean metrics over cut-offs of ours and every peer that fitted at each, with paired differences of the errors."""
    found: dict[str, Any] = {"customers": [len(one.customers) for one in asked]}
    who = [one.customers for one in asked]
    for what in ("orders", "spend"):
        actual = [one.came[what] for one in asked]
        names = [name for name in asked[0].said[what] if all(name in one.said[what] for one in asked)]
        scores = {name: [one.said[what][name] for one in asked] for name in names}
        found[what] = {name: averaged(actual, values) for name, values in scores.items()}
        metrics = {
            "mae": (mean_absolute_error, actual),
            "rmse": (root_mean_squared_error, actual),
            "auc": (auc_or_nan, [values > 0 for values in actual]),
        }
        for name in names[1:]:
            for metric, (compute, truth) in metrics.items():
                rng = np.random.default_rng(0)
                gap = paired_difference(compute, who, truth, scores[OURS], scores[name], rng=rng, resamples=RESAMPLES)
                found[what][name][f"ours_minus_{metric}"] = [gap.value, gap.low, gap.high]
    found["not_fitted"] = {key: why for one in asked for key, why in one.failed.items()}
    return found


def averaged(actual: Sequence[Floats], predicted: Sequence[Floats]) -> dict[str, Any]:
    """Metrics of each cut-off, averaged."""
    each = [
        {**amount_metrics(a, p), "auc": float(roc_auc_score(a > 0, p))} for a, p in zip(actual, predicted, strict=True)
    ]
    return {name: float(np.mean([one[name] for one in each])) for name in each[0]}


def show(title: str, found: Mapping[str, Any]) -> None:
    """Print each table, and what of a peer did not fit."""
    print(f"\n{title}, {found['customers']} customers")
    for what in ("orders", "spend"):
        head = "".join(f"{name:>13}" for name in ("mae", "rmse", "correlation", "bias_share", "auc"))
        print(f"{what:24}{head}  ours - theirs [95%]: mae, rmse, auc")
        for name, values in found[what].items():
            cells = "".join(f"{values[m]:13.4f}" for m in ("mae", "rmse", "correlation", "bias_share", "auc"))
            gaps = [values[f"ours_minus_{m}"] for m in ("mae", "rmse", "auc") if f"ours_minus_{m}" in values]
            print(f"{name:24}{cells}  " + "  ".join(f"{v:+.4f} [{low:+.4f}, {high:+.4f}]" for v, low, high in gaps))
    for name, why in found["not_fitted"].items():
        print(f"  not fitted: {name}: {why}")


def main() -> None:
    """Measure, print, and write benchmarks/out/lifetime.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["cdnow", "journey", "rolling"])
    asked = parser.parse_args().data
    settings = load_settings()
    started = time.perf_counter()
    report: dict[str, Any] = {"machine": f"{platform.machine()}, {os.cpu_count()} cores, {settings.threads} threads"}
    if "cdnow" in asked:
        with tempfile.TemporaryDirectory() as root:
            own = load_settings(home=Path(root), threads=settings.threads)
            ingest(cdnow.NAME, own, now=datetime.now(UTC).replace(tzinfo=None))
            context = Context(settings=own, home=Home(Path(root)), lake=read_lake(Home(Path(root))))
            report["cdnow"] = measured([predictions(context, CDNOW_START, CDNOW_CUTOFF, CDNOW_DAYS)])
        show(f"CDNOW, {CDNOW_DAYS} days after {CDNOW_CUTOFF:%Y-%m-%d}", report["cdnow"])
    home = Home(settings.home)
    journey = Context(settings=settings, home=home, lake=read_lake(home)) if set(asked) - {"cdnow"} else None
    if journey is not None and "journey" in asked:
        report["journey"] = measured([predictions(journey, JOURNEY_START, JOURNEY_CUTOFF, JOURNEY_DAYS)])
        show(f"Complete Journey, {JOURNEY_DAYS} days after {JOURNEY_CUTOFF:%Y-%m-%d}", report["journey"])
    if journey is not None and "rolling" in asked:
        cutoffs = [JOURNEY_TEST - place * timedelta(days=JOURNEY_HORIZON) for place in range(ROLLING)]
        report["rolling"] = measured([predictions(journey, JOURNEY_START, one, JOURNEY_HORIZON) for one in cutoffs])
        show(f"Complete Journey, {JOURNEY_HORIZON} days after each of {ROLLING} cut-offs", report["rolling"])
    report["seconds"] = round(time.perf_counter() - started, 1)
    OUT.mkdir(exist_ok=True)
    (OUT / "lifetime.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"\n{report['seconds']} s; written to {OUT / 'lifetime.json'}")


if __name__ == "__main__":
    main()
