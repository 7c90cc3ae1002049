"""Recommenders a shop would use without us: what a customer bought most, what everybody bought most, and both."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.matrix import Purchases
from training.candidates.pairs import top_lists
from training.pair_table import CandidateSources
from training.splits import Split


def personal_top_frequency(history: Purchases, customers: NDArray[np.int32], depth: int) -> NDArray[np.int32]:
    """(customers, depth) what each bought in most of their orders; of equals, what the shop sells more of.

    Shorter than `depth` (padded with -1) for a customer who bought fewer products. P-TopFreq of the next-basket
    papers (Hu et al. 2020).
    """
    row_of = np.full(history.n_customers, -1, dtype=np.int64)
    row_of[customers] = np.arange(len(customers))
    line_row = np.repeat(row_of[history.order_customer], history.order_sizes)
    asked = line_row >= 0
    keys, times = np.unique(line_row[asked] * history.n_products + history.products[asked], return_counts=True)
    sold = np.bincount(history.products, minlength=history.n_products)
    scores = times + sold[keys % history.n_products] / (sold.max(initial=0) + 1.0)
    lists, _ = top_lists(keys, scores, n_rows=len(customers), n_products=history.n_products, depth=depth)
    return lists


def global_top_frequency(history: Purchases, n_rows: int, depth: int) -> NDArray[np.int32]:
    """(n_rows, depth) what the whole shop bought most, the same for everybody. G-TopFreq of the papers."""
    sold = np.bincount(history.products, minlength=history.n_products)
    best = np.argsort(-sold, kind="stable")[:depth].astype(np.int32)
    return np.broadcast_to(fill(np.empty((1, 0), dtype=np.int32), best, depth), (n_rows, depth))


def fill(lists: NDArray[np.int32], best: NDArray[np.int32], depth: int) -> NDArray[np.int32]:
    """(rows, depth) lists with empty places at their end taken by products of `best` not listed yet, in its order."""
    lists = lists[:, :depth]
    result = np.full((len(lists), depth), -1, dtype=np.int32)
    result[:, : lists.shape[1]] = lists
    short = np.flatnonzero((result < 0).any(axis=1))
    candidates = best[: 2 * depth]
    if len(candidates) == 0:
        return result
    for start in range(0, len(short), 20_000):
        rows = short[start : start + 20_000]
        part = result[rows]
        new = ~(candidates[None, :, None] == part[:, None, :]).any(axis=2)
        place = (part >= 0).sum(axis=1)[:, None] + np.cumsum(new, axis=1) - 1
        row, column = np.nonzero(new & (place < depth))
        part[row, place[row, column]] = candidates[column]
        result[rows] = part
    return result


def group_and_personal_top_frequency(history: Purchases, customers: NDArray[np.int32], depth: int) -> NDArray[np.int32]:
    """Personal top-frequency with empty places taken by what everybody buys. GP-TopFreq of the papers."""
    sold = np.bincount(history.products, minlength=history.n_products)
    best = np.argsort(-sold, kind="stable").astype(np.int32)
    return fill(personal_top_frequency(history, customers, depth), best, depth)


def baselines(question: Split, sources: CandidateSources, depth: int) -> dict[str, NDArray[np.int32]]:
    """Lists of every baseline by name, each (customers, depth); `sources` must be fitted on the question's history."""
    history, customers = question.history, question.customers
    n_products, n_rows = history.n_products, len(customers)
    near = sources.item_item_.scored(sources.recent_[customers])
    found = near.best(depth)
    nearest, _ = top_lists(found, near.at(found), n_rows=n_rows, n_products=n_products, depth=depth)
    keys = sources.als_.candidates(customers, depth)
    factors, _ = top_lists(keys, sources.als_.score(customers, keys), n_rows=n_rows, n_products=n_products, depth=depth)
    return {
        "personal_top_frequency": personal_top_frequency(history, customers, depth),
        "global_top_frequency": np.asarray(global_top_frequency(history, n_rows, depth)),
        "gp_top_frequency": group_and_personal_top_frequency(history, customers, depth),
        "als": factors,
        "item_item": nearest,
    }
