"""The ranker: LightGBM LambdaRank (Burges 2010) over candidate pairs, kept as LightGBM text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import DataError
from training.leaf_masks import LeafMasks, leaf_masks
from training.metrics_ranking import Truth
from training.pair_table import PairTable

#: Rounds whose held-out scores are averaged before the best is sought: of few customers a single score is chance.
SMOOTH = 51
#: The ranker is meant for the first so many places.
EVALUATED = 10
#: Fewer pairs than these are scored by LightGBM itself.
MANY = 2_000


@dataclass(frozen=True)
class RankerConfig:
    """Settings of the ranker; the defaults adapt to the number of pairs and need no tuning."""

    objective: str = "lambdarank"  # or "binary"
    num_leaves: int = 15
    learning_rate: float = 0.06
    max_rounds: int = 270
    patience: int = 80
    feature_fraction: float = 0.4
    bagging_fraction: float = 0.7
    lambda_l2: float = 20.0
    truncation: int = 20  # LambdaRank looks at pairs that touch the first places
    negatives_kept: float = 0.3  # share of pairs not bought that train
    most_negatives: int = 300_000  # that train, over all moments
    validation_share: float = 0.15  # customers held out to stop early
    threads: int = 2
    seed: int = 0


@dataclass(frozen=True)
class RankingTask:
    """Candidate pairs of some customers, and what those customers went on to buy."""

    table: PairTable
    truth: Truth

    @property
    def bought(self) -> NDArray[np.bool_]:
        """(pairs,) whether the pair came true."""
        wanted = self.truth.rows * self.table.n_products + self.truth.indices
        return np.isin(self.table.keys, wanted)


_Part = tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int64], NDArray[np.float64]]


def _rows(values: NDArray[np.float32], kept: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The rows kept of (rows, features), whose columns lie one after another in memory, and so stay."""
    return np.take(values.T, np.flatnonzero(kept), axis=1).T


def _thinned(parts: Sequence[_Part], most_negatives: int, rng: np.random.Generator) -> list[_Part]:
    """The parts (values, bought, rows, weights), all that was bought, and of the rest no more than about so many."""
    negatives = sum(int((~part[1]).sum()) for part in parts)
    if negatives <= most_negatives:
        return list(parts)
    kept = [part[1] | (rng.random(len(part[1])) < most_negatives / negatives) for part in parts]
    return [
        (_rows(values, k), bought[k], rows[k], w[k]) for (values, bought, rows, w), k in zip(parts, kept, strict=True)
    ]


def list_weights(bought: NDArray[np.int64], sizes: NDArray[np.int64], truncation: int) -> NDArray[np.float64]:
    """(lists,) what a list's NDCG@10 among its candidates is worth of its NDCG@10; 0 where no candidate was bought.

    The ranker divides by the best list of the candidates bought, which `bought` counts. Who bought more, `sizes`, loses
    the rest whatever the order, so that a list with one of twenty in it would otherwise count as one of a single one.
    """
    ideal = np.concatenate(([0.0], np.cumsum(1 / np.log2(np.arange(2, max(truncation, EVALUATED) + 2)))))
    weights: NDArray[np.float64] = ideal[np.minimum(bought, truncation)] / ideal[np.clip(sizes, 1, EVALUATED)]
    return weights


def best_round(scores: Sequence[float]) -> int:
    """The round, from 1, around which held-out scores are highest on the mean of SMOOTH rounds, the first of equals."""
    padded = np.pad(np.asarray(scores, dtype=np.float64), SMOOTH // 2, mode="edge")
    return int(np.convolve(padded, np.full(SMOOTH, 1 / SMOOTH), mode="valid").round(9).argmax()) + 1


class Ranker:
    """Scores candidate pairs; higher is likelier to be bought next. Scores compare within one customer only."""

    def __init__(self, config: RankerConfig | None = None) -> None:
        self.config = config
        self._masked: tuple[Any, LeafMasks | None] | None = None

    def fit(self, tasks: Iterable[RankingTask]) -> Ranker:
        """Learn from past moments. Raises DataError when no candidate was ever bought."""
        import lightgbm as lgb

        config = self.config or RankerConfig()
        rng = np.random.default_rng(config.seed)
        names: list[str] = []
        train: list[_Part] = []
        held_out: list[_Part] = []
        for task in tasks:
            names = list(task.table.names)
            bought, rows = task.bought, task.table.rows
            has_any = np.zeros(task.table.n_rows, dtype=bool)
            has_any[rows[bought]] = True
            validates = rng.random(task.table.n_rows) < config.validation_share
            sampled = bought | (rng.random(len(rows)) < config.negatives_kept)
            found = np.bincount(rows[bought], minlength=task.table.n_rows)
            weights = (
                list_weights(found, task.truth.sizes, config.truncation)
                if config.objective == "lambdarank"
                else np.ones(task.table.n_rows)
            )[rows]
            for part, of in ((train, (has_any & ~validates)[rows] & sampled), (held_out, (has_any & validates)[rows])):
                part.append((_rows(task.table.values, of), bought[of], rows[of], weights[of]))
        if not any(part[1].any() for part in train):
            raise DataError(
                "No customer ever bought a product that could have been foreseen, so there is nothing to rank by. "
                "The recommender needs customers with at least 3 orders; load more history."
            )
        train = _thinned(train, config.most_negatives, rng)
        dataset = self._dataset(train, names, None)
        sets = [self._dataset(held_out, names, dataset)] if any(part[1].any() for part in held_out) else []
        n_pairs = sum(len(part[1]) for part in train)
        params = {
            "objective": config.objective,
            "metric": "ndcg",
            "eval_at": [EVALUATED],
            **(
                {"lambdarank_truncation_level": config.truncation, "label_gain": [0, 1]}
                if config.objective == "lambdarank"
                else {}
            ),
            "learning_rate": config.learning_rate,
            "num_leaves": config.num_leaves,
            "min_data_in_leaf": int(np.clip(n_pairs // 2000, 10, 100)),
            "feature_fraction": config.feature_fraction,
            "bagging_fraction": config.bagging_fraction,
            "bagging_freq": 1,
            "lambda_l2": config.lambda_l2,
            "max_bin": 127,
            "num_threads": config.threads,
            "seed": config.seed,
            "deterministic": True,
            "force_row_wise": True,
            "verbose": -1,
        }
        curve: dict[str, dict[str, list[float]]] = {}
        callbacks = [lgb.early_stopping(config.patience, verbose=False), lgb.record_evaluation(curve)] if sets else []
        # Without keeping it, LightGBM drops every tree after the single best score, which the mean may choose beyond.
        booster = lgb.train(
            params, dataset, config.max_rounds, valid_sets=sets, callbacks=callbacks, keep_training_booster=True
        ).free_dataset()
        self.booster_: Any = booster
        self.names_ = tuple(names)
        self.rounds_ = best_round(curve["valid_0"][f"ndcg@{EVALUATED}"]) if sets else config.max_rounds
        return self

    @staticmethod
    def _dataset(parts: Sequence[_Part], names: list[str], reference: Any) -> Any:
        import lightgbm as lgb

        groups = [np.diff(np.flatnonzero(np.diff(rows, prepend=-1, append=-2))) for _, _, rows, _ in parts if len(rows)]
        weights = np.concatenate([weights for _, _, _, weights in parts])
        return lgb.Dataset(
            np.hstack([values.T for values, _, _, _ in parts]).T,
            label=np.concatenate([bought for _, bought, _, _ in parts]).astype(np.float32),
            # A mean of 1 keeps the meaning of the ranker's regularisation.
            weight=(weights / weights.mean()).astype(np.float32),
            group=np.concatenate(groups),
            feature_name=names,
            reference=reference,
            free_raw_data=True,
        )

    def score(self, table: PairTable) -> NDArray[np.float64]:
        """(pairs,) score of each pair. Raises DataError when the table has other features than were learned."""
        if table.names != self.names_:
            raise DataError("The ranker was trained on other features than this version computes. Train it again.")
        masks = self._masks() if len(table.keys) >= MANY else None
        if masks is not None:
            return masks.predict(table.values)
        scores: NDArray[np.float64] = self.booster_.predict(table.values, num_iteration=self.rounds_)
        return scores

    def _masks(self) -> LeafMasks | None:
        """The trees as masks, made once for the booster: several times as fast for many pairs."""
        if self._masked is None or self._masked[0] is not self.booster_:
            self._masked = self.booster_, leaf_masks(self.booster_, self.rounds_)
        return self._masked[1]

    def save(self, path: Path) -> None:
        """Write LightGBM text, cut at the round that was best."""
        self.booster_.save_model(str(path), num_iteration=self.rounds_)

    @classmethod
    def load(cls, path: Path) -> Ranker:
        """The ranker of a LightGBM text file."""
        import lightgbm as lgb

        ranker = cls()
        ranker.booster_ = lgb.Booster(model_file=str(path))
        ranker.names_ = tuple(ranker.booster_.feature_name())
        ranker.rounds_ = ranker.booster_.num_trees()
        return ranker
