"""Training the recommender: its back-test, its bundle and everybody's ranked lists.

The ranker is learned from moments before the test cut-off and stays as it was measured: it is not fitted again on the
test period. What it ranks is: the candidate sources behind the served lists are fitted on every order up to the end,
so the lists know the latest purchases while the registered figures belong to the very ranker that is served.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.engine import connect
from features.errors import DataError
from features.horizon import shop_rhythm
from features.matrix import Purchases, day_number, read_purchases
from training.baselines import baselines
from training.bundle import read_manifest, seal
from training.candidates.als import AlsCandidates
from training.candidates.attributes import Attributes, read_attributes
from training.everyone import rank_all
from training.examples import NOBODY
from training.metrics_ranking import KS
from training.pair_table import CandidateConfig, CandidateSources
from training.plots_ranking import plot_bands, plot_recall
from training.profiles import last_moment
from training.protocols import Context, Gate, Metric, Trained
from training.ranked_lists import RankedLists, load_ranked_lists, save_ranked_lists
from training.ranking import Ranker
from training.ranking_backtest import OURS, RankingTest, best_baseline
from training.splits import cutoff_split
from training.two_stage import RecommenderConfig, learn_ranker, recommend

MODEL = "recommender"
#: Not model.txt, by which the registry knows a bundle that is nothing but a booster.
RANKER = "ranker.txt"
CONFIG = "config.json"
RANKING = "ranking"
GATE = "ndcg@10"
#: Metrics that say whether a baseline was beaten.
COMPARED = ("recall@10", "ndcg@10", "recall@20", "ndcg@20")
PICTURE_DEPTH = 40
EXAMPLE_K = 5


@dataclass(frozen=True)
class _BackTest:
    """A test, and sources fitted on what may be seen of its question."""

    test: RankingTest
    sources: CandidateSources

    def lists(self, ranker: Ranker) -> NDArray[np.int32]:
        """(customers, PICTURE_DEPTH) what the ranker recommends."""
        question = self.test.question
        depth = max(PICTURE_DEPTH, *KS)
        return recommend(self.sources, ranker, question.customers, question.moment, depth=depth).lists


def train_recommender(context: Context, into: Path, *, config: RecommenderConfig | None = None) -> Trained:
    """A sealed bundle in `into`/bundle and its back-test on the test cut-off of the shop.

    Raises DataError when the history is too short, or holds nothing that could have been foreseen.
    """
    settings = context.settings
    backend = connect(settings)
    horizon, cutoffs = shop_rhythm(context.lake, backend, settings)
    purchases = read_purchases(context.lake, backend)
    config = config or RecommenderConfig.of_shop(context.home, as_of=cutoffs.test)
    config = config.on(threads=settings.threads, seed=settings.seed)
    question = cutoff_split(purchases, as_of_day=day_number(cutoffs.test), horizon_days=horizon.days)
    attributes = read_attributes(context.lake, backend, purchases)
    ranker = learn_ranker(question, config, horizon_days=horizon.days, attributes=attributes)
    test = RankingTest(question, attributes, settings.seed)
    moment = day_number(cutoffs.test)
    sources = CandidateSources(config.candidates, attributes).fit(question.history, moment=moment)
    backtest = _BackTest(test, sources)

    lists = {OURS: backtest.lists(ranker)}
    lists |= baselines(question, backtest.sources, lists[OURS].shape[1])
    metrics = {name: test.metrics(listed) for name, listed in lists.items()}
    best = best_baseline({name: {m.name: m.value for m in found} for name, found in metrics.items()})
    bands = test.bands(lists[OURS], lists[best])
    picture = into / "recall_by_k.png"
    plot_recall(
        {name: test.recall_by_k(listed) for name, listed in lists.items()},
        picture,
        title=f"Products bought in the {horizon.days} days after {cutoffs.test:%Y-%m-%d}",
    )
    by_band = plot_bands(bands, into / "bands.png", theirs=best, title=f"By band, as of {cutoffs.test:%Y-%m-%d}")

    bundle = into / "bundle"
    bundle.mkdir()
    ranked = _write_bundle(
        bundle, context, purchases, attributes, ranker, config, learned_before=cutoffs.test, horizon_days=horizon.days
    )
    ours = metrics.pop(OURS)

    @cache
    def lists_of(other: Path) -> NDArray[np.int32]:
        about = read_manifest(other, kind=MODEL)
        learned_before = datetime.fromisoformat(about["learned_before"])
        if learned_before > cutoffs.test:
            raise DataError(
                f"its ranker learned from orders up to {learned_before:%Y-%m-%d}, so it has seen the answers of the "
                f"back-test that starts on {cutoffs.test:%Y-%m-%d}"
            )
        candidates = replace(_read_config(other), threads=settings.threads)
        same = candidates == config.candidates
        fitted = sources if same else CandidateSources(candidates, attributes).fit(question.history, moment=moment)
        return _BackTest(test, fitted).lists(Ranker.load(other / RANKER))

    def ahead_of(other: Path) -> Metric:
        return next(found for found in test.ahead(lists[OURS], lists_of(other)) if found.name == GATE)

    return Trained(
        model=MODEL,
        bundle=bundle,
        params=_params(config, ranker),
        metrics=ours,
        peers=metrics,
        gate=Gate(GATE),
        pictures=[picture, by_band],
        input_example=pd.DataFrame({"customer_id": list(NOBODY)}),
        output_example=_popular(ranked),
        test_as_of=cutoffs.test.replace(tzinfo=UTC),
        horizon_days=horizon.days,
        rescore=lambda other: test.metrics(lists_of(other)),
        ahead_of=ahead_of,
        tables={"bands": bands},
        notes=_not_beaten(ours, metrics),
    )


def rank_everyone(context: Context, bundle: Path) -> RankedLists:
    """Ranked lists of everybody who ever bought, as of the lake's end, by the bundle's ranker.

    The lists kept in the bundle when the lake is the one it was trained on; else sources are fitted on the lake as it
    is. Raises DataError when the ranker's features are not those of this code.
    """
    kept = kept_lists(context, bundle)
    if kept is not None:
        return kept
    purchases, sources = fitted_on_lake(context, bundle)
    as_of = last_moment(context)
    return rank_all(
        context, purchases, sources, Ranker.load(bundle / RANKER), as_of=as_of, about={"as_of": as_of.isoformat()}
    )


def kept_lists(context: Context, bundle: Path) -> RankedLists | None:
    """The lists of the bundle where they were made on the lake as it is, by this release or one like it; else None."""
    if read_manifest(bundle, kind=MODEL)["lake"] != context.lake.version:
        return None
    found = load_ranked_lists(bundle / RANKING)
    return None if found.evidence is None else found  # of an earlier release


def fitted_on_lake(
    context: Context, bundle: Path, *, als: Callable[[CandidateConfig], AlsCandidates] | None = None
) -> tuple[Purchases, CandidateSources]:
    """All purchases of the lake, read by DuckDB, and the bundle's sources fitted on them in this process.

    `als` makes who factorises them, if not implicit in this process.
    """
    settings = context.settings
    backend = connect(settings)
    purchases = read_purchases(context.lake, backend)
    attributes = read_attributes(context.lake, backend, purchases)
    config = RecommenderConfig(candidates=_read_config(bundle)).on(threads=settings.threads, seed=settings.seed)
    factorises = None if als is None else als(config.candidates)
    return purchases, CandidateSources(config.candidates, attributes).fit(purchases, als=factorises)


def _write_bundle(
    bundle: Path,
    context: Context,
    purchases: Purchases,
    attributes: Attributes,
    ranker: Ranker,
    config: RecommenderConfig,
    *,
    learned_before: datetime,
    horizon_days: int,
) -> RankedLists:
    as_of = last_moment(context)
    moment = day_number(as_of.replace(tzinfo=None))
    sources = CandidateSources(config.candidates, attributes).fit(purchases, moment=moment)
    ranked = rank_all(context, purchases, sources, ranker, as_of=as_of, about={"as_of": as_of.isoformat()})
    (bundle / RANKING).mkdir()
    save_ranked_lists(ranked, bundle / RANKING)
    ranker.save(bundle / RANKER)
    (bundle / CONFIG).write_text(json.dumps(asdict(config), indent=2, sort_keys=True), encoding="utf-8")
    about = {
        "lake": context.lake.version,
        "as_of": as_of.isoformat(),
        "learned_before": learned_before.isoformat(),
        "horizon_days": horizon_days,
    }
    seal(bundle, kind=MODEL, about=about)
    return ranked


def _read_config(bundle: Path) -> CandidateConfig:
    """The candidate settings of a bundle. Raises DataError when they are not those of this code."""
    written = json.loads((bundle / CONFIG).read_text(encoding="utf-8"))["candidates"]
    try:
        return CandidateConfig(**written)
    except TypeError as error:
        raise DataError(
            f"{bundle / CONFIG}: settings of another release ({error}). Train the recommender again."
        ) from None


def _params(config: RecommenderConfig, ranker: Ranker) -> dict[str, str | float | int | bool]:
    parts: Mapping[str, Mapping[str, Any]] = asdict(config)
    flat = {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
    return flat | {"rounds": ranker.rounds_, "features": len(ranker.names_)}


def _popular(ranked: RankedLists) -> pd.DataFrame:
    """What the logged model answers for customers nobody knows: customer_id, rank from 1, product_id, score."""
    products = ranked.products["product_id"].to_pylist()
    best = [products[code] for code in ranked.popular[:EXAMPLE_K]]
    rows = [(customer, rank, product, 0.0) for customer in NOBODY for rank, product in enumerate(best, start=1)]
    return pd.DataFrame(rows, columns=["customer_id", "rank", "product_id", "score"])


def _not_beaten(ours: Sequence[Metric], peers: Mapping[str, Sequence[Metric]]) -> list[str]:
    """A sentence for every baseline that did as well or better on one of COMPARED."""
    values = {metric.name: metric.value for metric in ours}
    return [
        f"{name} was not beaten on {metric.name}: {values[metric.name]:.4f}, it has {metric.value:.4f}"
        for name, metrics in peers.items()
        for metric in metrics
        if metric.name in COMPARED and values[metric.name] <= metric.value
    ]
