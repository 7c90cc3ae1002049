"""Back-tests of recommenders: ours and every baseline on one split, by the same metrics."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.engine import connect
from features.errors import ConfigError, DataError
from features.horizon import shop_rhythm
from features.matrix import Purchases, day_number, read_purchases
from features.pseudonyms import known_as
from features.settings import Settings
from training.baselines import baselines
from training.candidates.attributes import read_attributes
from training.metrics_ranking import KS
from training.pair_table import CandidateSources
from training.protocols import Context, Evaluation, Metric
from training.ranked_lists import SOURCES
from training.ranking_backtest import OURS, RankingTest, best_baseline
from training.splits import Split, cutoff_split, last_order_split
from training.two_stage import Recommended, RecommenderConfig, learn_ranker, recommend

SPLITS = ("cutoff", "last-order")


@dataclass(frozen=True)
class BackTest:
    """One back-test of the recommender, with what a caller may want to keep of it."""

    evaluation: Evaluation
    split: Split
    recommended: Recommended


def read_customer_ids(path: Path) -> list[str]:
    """Customer ids of a file: Parquet or CSV with a customer_id column, or text with one id a line."""
    if not path.is_file():
        raise ConfigError(f"{path} does not exist. Give a file with one customer id a line.")
    if path.suffix.lower() in (".parquet", ".pq"):
        table = pq.read_table(path)
        column = table["customer_id"] if "customer_id" in table.column_names else table.column(0)
        return [str(value) for value in column.to_pylist()]
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    lines = [line for line in lines if line]
    header = [cell.strip().strip('"') for cell in lines[0].split(",")] if lines else []
    if "customer_id" in header:
        place = header.index("customer_id")
        lines = [line.split(",")[place] for line in lines[1:]]
    return [line.strip().strip('"') for line in lines]


def _codes(settings: Settings, purchases: Purchases, path: Path | None) -> NDArray[np.int32] | None:
    if path is None:
        return None
    wanted = set(known_as(settings, read_customer_ids(path)))
    known = purchases.customer_ids.to_pylist()
    codes = np.flatnonzero([name in wanted for name in known]).astype(np.int32)
    if len(codes) == 0:
        raise DataError(f"{path}: none of its {len(wanted)} customers has an order in the lake. Check the ids.")
    return codes


def make_split(
    context: Context, purchases: Purchases, *, split: str, as_of: datetime | None, customers: Path | None
) -> tuple[Split, int]:
    """The split asked for, and the horizon in days. Raises ConfigError for an unknown split."""
    if split not in SPLITS:
        raise ConfigError(f"Unknown split '{split}'. Splits: {', '.join(SPLITS)}.")
    among = _codes(context.settings, purchases, customers)
    backend = connect(context.settings)
    if split == "last-order":
        if as_of is not None:
            purchases = purchases.before(day_number(as_of))
        return last_order_split(purchases, among=among), context.settings.horizon_days or 0
    horizon, cutoffs = shop_rhythm(context.lake, backend, context.settings)
    moment = as_of or cutoffs.test
    question = cutoff_split(purchases, as_of_day=day_number(moment), horizon_days=horizon.days, among=among)
    return question, horizon.days


def evaluate_recommender(
    context: Context,
    *,
    split: str = "cutoff",
    as_of: datetime | None = None,
    customers: Path | None = None,
    ks: Sequence[int] = KS,
    seed: int | None = None,
    predictions: Path | None = None,
    config: RecommenderConfig | None = None,
) -> BackTest:
    """Ours and the baselines, asked the same question of the same customers.

    `customers` limits whose orders are hidden and measured; everybody else's whole history trains. `predictions`
    receives what ours recommended (customer_id, rank from 1, product_id, score, source).
    """
    started = time.perf_counter()
    backend = connect(context.settings)
    purchases = read_purchases(context.lake, backend)
    attributes = read_attributes(context.lake, backend, purchases)
    question, horizon_days = make_split(context, purchases, split=split, as_of=as_of, customers=customers)
    settings = context.settings
    chance = settings.seed if seed is None else seed
    # What was tuned on answers that are asked for here would flatter us: asked early, the defaults answer.
    asked = datetime(1970, 1, 1) + timedelta(days=float(question.moment.min()))
    config = (config or RecommenderConfig.of_shop(context.home, as_of=asked)).on(threads=settings.threads, seed=chance)
    ranker = learn_ranker(question, config, horizon_days=horizon_days, attributes=attributes)
    sources = CandidateSources(config.candidates, attributes).fit(question.history)
    depth = max(ks)
    ours = recommend(sources, ranker, question.customers, question.moment, depth=depth)
    lists = {OURS: ours.lists, **baselines(question, sources, depth)}
    test = RankingTest(question, attributes, chance, ks)
    results = {name: test.means(listed) for name, listed in lists.items()}
    best = best_baseline(results)
    if predictions is not None:
        write_predictions(predictions, question, ours)
    data = {
        "customers": len(question.customers),
        "products": purchases.n_products,
        "orders": purchases.n_orders,
        "hash": context.lake.version,
        "truth_products_per_customer": float(question.truth.sizes.mean()),
        "repeat_share": test.repeat_share,
        "best_baseline": best,
    }
    if question.name == "cutoff":
        day = np.datetime64(0, "D") + np.timedelta64(int(question.moment[0]), "D")
        data |= {"as_of": str(day), "horizon_days": horizon_days}
    evaluation = Evaluation(
        "recommender",
        question.name,
        data,
        results,
        round(time.perf_counter() - started, 2),
        ahead={name: _with_ends(test.ahead(lists[OURS], listed)) for name, listed in lists.items() if name != OURS},
        groups=test.bands(lists[OURS], lists[best]),
    )
    return BackTest(evaluation, question, ours)


def _with_ends(metrics: Sequence[Metric]) -> dict[str, dict[str, float]]:
    return {m.name: {"value": m.value, "low": m.low or 0.0, "high": m.high or 0.0} for m in metrics}


def write_predictions(path: Path, question: Split, ours: Recommended) -> None:
    """One row per customer and rank (from 1), as Parquet or, by the file's ending, CSV."""
    listed = ours.lists >= 0
    rows, places = np.nonzero(listed)
    history = question.history
    table = pa.table(
        {
            "customer_id": history.customer_ids.take(pa.array(question.customers[rows])),
            "rank": pa.array(places + 1, pa.int32()),
            "product_id": history.product_ids.take(pa.array(ours.lists[listed])),
            "score": pa.array(ours.scores[listed]),
            "source": pa.array([SOURCES[code] for code in ours.sources[listed]]),
        }
    )
    aside = path.with_name(f".{path.name}.aside")
    if path.suffix.lower() == ".csv":
        pacsv.write_csv(table, aside)
    else:
        pq.write_table(table, aside)
    aside.replace(path)
