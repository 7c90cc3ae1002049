"""Who responds to a contact, beside what a shop would go by: `python -m benchmarks.response`.

Run `regulars ingest --source complete-journey` first. Its campaigns mailed coupons; a response is one redeemed within
the shop's horizon. Ours and the peers learn from earlier campaigns and are asked about the newest ones, at least a
quarter of all contacts, whose first lies a horizon after the last learned from. No setting was chosen on these: ours
are those of churn and propensity. Intervals are 95 %, of draws of customers with all of their contacts.
"""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np

from features.home import Home
from features.lake import read_lake
from features.schema import C
from features.settings import load_settings
from training.evaluate_customers import OURS, our_metrics, peer_metrics
from training.metrics_outcome import auc_or_nan, average_precision_or_nan, paired_difference
from training.protocols import Context
from training.response_backtest import run_response_backtest

OUT = Path(__file__).parent / "out"
RESAMPLES = 1000
SHOWN = ("auc", "average_precision", "lift@10%", "brier", "ece")
COMPARED = {"auc": auc_or_nan, "average_precision": average_precision_or_nan}


def main() -> None:
    """Measure, print, and write benchmarks/out/response.json."""
    settings = load_settings()
    home = Home(settings.home)
    context = Context(settings=settings, home=home, lake=read_lake(home))
    started = time.perf_counter()
    found = run_response_backtest(context)
    backtest = found.backtest
    ours = {metric.name: metric for metric in our_metrics(backtest, backtest.model)}
    results = {OURS: {name: metric.value for name, metric in ours.items()}, **peer_metrics(backtest)}
    who = [backtest.test[C.CUSTOMER_ID].to_numpy(object)]
    ahead: dict[str, dict[str, Any]] = {}
    for peer, scores in backtest.peers.items():
        for name, measure in COMPARED.items():
            given = ([backtest.actual], [backtest.predicted], [scores])
            gap = paired_difference(measure, who, *given, rng=np.random.default_rng(0), resamples=RESAMPLES)
            ahead.setdefault(peer, {})[name] = [gap.value, gap.low, gap.high]
    report = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {settings.threads} threads",
        "data": {
            **found.about(),
            "lake": context.lake.version,
            "tested_contacts": len(backtest.test),
            "tested_from": f"{backtest.setting.moments.test:%Y-%m-%d}",
            "horizon_days": backtest.setting.horizon_days,
            "base_rate": float(backtest.actual.mean()),
        },
        "results": results,
        "auc_interval": [ours["auc"].low, ours["auc"].high],
        "ahead": ahead,
        "seconds": round(time.perf_counter() - started, 1),
    }
    print(json.dumps(report["data"], indent=1))
    print(f"{'':16}" + "".join(f"{name:>20}" for name in SHOWN))
    for name, values in results.items():
        print(f"{name:16}" + "".join(f"{values.get(metric, float('nan')):20.4f}" for metric in SHOWN))
    for peer, gaps in ahead.items():
        told = "; ".join(
            f"{name} {value:+.4f} ({low:+.4f} to {high:+.4f})" for name, (value, low, high) in gaps.items()
        )
        print(f"ahead of {peer}: {told}")
    OUT.mkdir(exist_ok=True)
    (OUT / "response.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
