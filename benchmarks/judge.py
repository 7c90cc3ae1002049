"""What lists are judged by: the same filling, the same metrics, for every method of benchmarks/recommender.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from training.baselines import fill
from training.candidates.pairs import top_lists
from training.metrics_ranking import bootstrap_interval, customer_metrics, mean, ranking_metrics
from training.splits import Split

DEPTH = 20

SHOWN = tuple(
    f"{metric}@{k}" for k in (10, 20) for metric in ("recall", "ndcg", "repeat_recall", "explore_recall", "new_recall")
)

Lists = NDArray[np.int32]


@dataclass(frozen=True)
class Told:
    """Ranked products of each customer asked, (customers, DEPTH) padded with -1: of all, and of new ones only."""

    lists: Lists
    new: Lists


def best_sold(question: Split) -> Lists:
    """(products,) codes, what the shop sold in most orders first."""
    sold = np.bincount(question.history.products, minlength=question.history.n_products)
    return np.argsort(-sold, kind="stable").astype(np.int32)


def seen(question: Split) -> sparse.csr_matrix:
    """(customers asked, products) how many orders of each held each."""
    history = question.history
    owner = history.line_customer
    ones = np.ones(len(owner), dtype=np.float32)
    bought = sparse.csr_matrix((ones, (owner, history.products)), shape=(history.n_customers, history.n_products))
    return bought[question.customers]


def filled(lists: Lists, question: Split) -> Lists:
    """(customers, DEPTH) lists with empty places taken by what the shop sells most."""
    return fill(lists, best_sold(question), DEPTH)


def best_of(scores: sparse.csr_matrix, question: Split) -> Lists:
    """Best products by score; places that the scores leave empty go to what the shop sells most."""
    scores = scores.tocsr()
    scores.eliminate_zeros()
    n_products = question.history.n_products
    rows = np.repeat(np.arange(scores.shape[0], dtype=np.int64), np.diff(scores.indptr))
    keys = rows * n_products + scores.indices
    lists, _ = top_lists(keys, scores.data, n_rows=scores.shape[0], n_products=n_products, depth=DEPTH)
    return filled(lists, question)


def measure(question: Split, told: Told) -> dict[str, float]:
    """Metrics of the lists, and new_recall: of the lists of products new to the customer, among the new ones bought."""
    catalogue = len(np.unique(question.history.products))
    n_products = question.history.n_products
    repeat = question.repeat_truth()
    found = ranking_metrics(told.lists, question.truth, repeat=repeat, n_products=n_products, catalogue=catalogue)
    fresh = ranking_metrics(told.new, question.truth, repeat=repeat, n_products=n_products, catalogue=catalogue)
    return found | {f"new_recall@{k}": fresh[f"explore_recall@{k}"] for k in (10, 20)}


def quality(found: Mapping[str, float]) -> float:
    """What methods are tuned by."""
    return found["recall@10"] + found["ndcg@10"]


def differences(
    question: Split, ours: Told, others: Mapping[str, Told]
) -> dict[str, dict[str, tuple[float, float, float]]]:
    """By method and metric: ours less theirs, the mean over customers and its 95% interval."""
    repeat, n_products = question.repeat_truth(), question.history.n_products

    def of(told: Told) -> NDArray[np.float64]:
        values = customer_metrics(told.lists, question.truth, repeat=repeat, n_products=n_products)
        fresh = customer_metrics(told.new, question.truth, repeat=repeat, n_products=n_products)
        values |= {f"new_recall@{k}": fresh[f"explore_recall@{k}"] for k in (10, 20)}
        return np.column_stack([values[name] for name in SHOWN])

    mine, found = of(ours), {}
    for name, told in others.items():
        less = mine - of(told)
        intervals = bootstrap_interval(less, np.random.default_rng(0))
        found[name] = {
            metric: (mean(less[:, place]), float(intervals[place, 0]), float(intervals[place, 1]))
            for place, metric in enumerate(SHOWN)
        }
    return found
