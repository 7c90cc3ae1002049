"""What LensKit ranks for customers; run by benchmarks/recommender.py in an environment of its own (lenskit.lock).

Every product is a candidate, those bought before too: what is bought again is most of what is asked.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from lenskit.als import ImplicitMFScorer
from lenskit.data import ItemList, from_interactions_df
from lenskit.knn import EASEScorer, ItemKNNScorer, UserKNNScorer
from lenskit.pipeline import topn_pipeline
from peer_files import DEPTH, NEW_DEPTH, Lists, Orders, answer_all, ranked

BATCH = 200


def _ranked(scorer: Any, orders: Orders, *, decay: float = 1.0) -> tuple[Lists, Lists]:
    customer, product, weight = orders.pairs(decay=decay)
    frame = pd.DataFrame({"user_id": customer, "item_id": product, "rating": weight})
    data = from_interactions_df(frame)
    pipe = topn_pipeline(scorer)
    pipe.train(data)
    items = ItemList.from_vocabulary(data.items)
    codes = np.asarray(data.items.ids(), dtype=np.int32)
    start = np.searchsorted(customer, np.arange(orders.n_customers + 1))
    every, new = [], []
    for first in range(0, len(orders.asked), BATCH):
        batch = orders.asked[first : first + BATCH]
        scores = np.full((len(batch), orders.n_products), -np.inf, dtype=np.float32)
        for row, one in enumerate(batch):
            scores[row, codes] = pipe.run("scorer", query=int(one), items=items).scores()
        every.append(ranked(scores, DEPTH))
        for row, one in enumerate(batch):
            scores[row, product[start[one] : start[one + 1]]] = -np.inf
        new.append(ranked(scores, NEW_DEPTH))
    return np.concatenate(every), np.concatenate(new)


def item_knn(orders: Orders, *, neighbours: int) -> tuple[Lists, Lists]:
    """Item-kNN of implicit feedback."""
    return _ranked(ItemKNNScorer(max_nbrs=neighbours, feedback="implicit"), orders)


def user_knn(orders: Orders, *, neighbours: int) -> tuple[Lists, Lists]:
    """User-kNN of implicit feedback."""
    return _ranked(UserKNNScorer(max_nbrs=neighbours, feedback="implicit"), orders)


def implicit_mf(orders: Orders, *, factors: int, weight: float, decay: float) -> tuple[Lists, Lists]:
    """Implicit ALS, with how often each was bought as confidence."""
    scorer = ImplicitMFScorer(embedding_size=factors, weight=weight, use_ratings=True)
    return _ranked(scorer, orders, decay=decay)


def ease(orders: Orders, *, ridge: float) -> tuple[Lists, Lists]:
    """EASE (Steck 2019)."""
    return _ranked(EASEScorer(regularization=ridge), orders)


MODELS = {"ItemKNN": item_knn, "UserKNN": user_knn, "ImplicitMF": implicit_mf, "EASE": ease}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    answer_all("LensKit", MODELS)
