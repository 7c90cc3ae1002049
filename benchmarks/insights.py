"""Seconds the shop's picture takes, step by step; and counts of baskets against FP-Growth, in one run.

    .venv/bin/python -m benchmarks.insights --home .regulars
    .venv/bin/python -m benchmarks.insights --lines 15000000 --home /tmp/big

Without --lines, of the lake in --home as it is; with it, of a made-up shop of that size (see benchmarks.big_shop).
FP-Growth is that of mlxtend, given the same baskets and the same least support, for pairs. Both find the same rules,
or this ends with an error.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlxtend.frequent_patterns import fpgrowth

from benchmarks.big_shop import big_shop
from features.home import Home
from features.lake import read_lake
from features.settings import Settings
from training.dataset import horizon_of
from training.insight.baskets import LEAST_ORDERS, LEAST_SUPPORT, Baskets, order_baskets, pair_counts
from training.insight.picture import take_picture
from training.insight.shop import shop_before
from training.profiles import last_moment
from training.protocols import Context

OUT = Path(__file__).parent / "out" / "insights.json"


def picture_seconds(context: Context) -> dict[str, float]:
    """Seconds of each step of a picture, and of all of it."""
    took: dict[str, float] = {}
    horizon_days = horizon_of(context)
    started = before = time.perf_counter()

    def done(step: str) -> None:
        nonlocal before
        now = time.perf_counter()
        took[step], before = round(now - before, 2), now

    take_picture(context, last_moment(context), horizon_days=horizon_days, done=done)
    return {**took, "all": round(time.perf_counter() - started, 2)}


def basket_seconds(baskets: Baskets) -> dict[str, Any]:
    """Pairs found, and the seconds our counts and FP-Growth take to find them. Raises ValueError where they differ."""
    n = baskets.held.shape[0]
    least = max(LEAST_ORDERS, int(np.ceil(LEAST_SUPPORT * n)))
    (first, second, both), ours = _timed(lambda: pair_counts(baskets.held, least=least))
    frame = pd.DataFrame(baskets.held.toarray().astype(bool), columns=range(len(baskets.items)))
    found, theirs = _timed(lambda: fpgrowth(frame, min_support=(least - 0.5) / n, max_len=2))
    pairs = {
        tuple(sorted(items)): round(support * n)
        for items, support in zip(found["itemsets"], found["support"], strict=True)
        if len(items) == 2
    }
    if pairs != dict(zip(zip(first.tolist(), second.tolist(), strict=True), both.tolist(), strict=True)):
        raise ValueError("FP-Growth finds other pairs, or counts them otherwise.")
    return {"orders": n, "items": len(baskets.items), "pairs": len(pairs), "ours": ours, "fp_growth": theirs}


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    return work(), round(time.perf_counter() - started, 3)


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, default=Path(".regulars"))
    parser.add_argument("--lines", type=int, help="Make a shop of so many order lines.")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--baskets",
        nargs="+",
        choices=["department", "category"],
        default=["department", "category"],
        help="kinds of products counted together; FP-Growth takes minutes over categories",
    )
    asked = parser.parse_args()
    home = Home(asked.home)
    lake = read_lake(home) if asked.lines is None else big_shop(home, asked.lines, threads=asked.threads)
    context = Context(settings=Settings(home=home.root, threads=asked.threads), home=home, lake=lake)
    found: dict[str, Any] = {"order_lines": lake.rows["order_lines"], "threads": asked.threads}
    found["picture_seconds"] = picture_seconds(context)
    found["peak_memory_gb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2, 2)
    if asked.lines is None:
        shop = shop_before(context, last_moment(context), horizon_days=horizon_of(context))
        found["baskets"] = {by: basket_seconds(order_baskets(shop, by=by)) for by in asked.baskets}
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(found, indent=2))
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
