"""What RecTools ranks for customers; run by benchmarks/recommender.py in an environment of its own (rectools.lock).

Products bought before stay in the lists (`filter_viewed=False`): what is bought again is most of what is asked.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender, TFIDFRecommender
from peer_files import DEPTH, NEW_DEPTH, Lists, Orders, answer_all
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import EASEModel, ImplicitALSWrapperModel, ImplicitItemKNNWrapperModel, PureSVDModel

SEED = 0


def _data(orders: Orders, *, decay: float, logarithm: bool) -> Dataset:
    customer, product, weight = orders.pairs(decay=decay)
    lines = {
        Columns.User: customer,
        Columns.Item: product,
        Columns.Weight: np.log1p(weight) if logarithm else weight,
        Columns.Datetime: np.datetime64("2020-01-01"),  # no model here reads it
    }
    return Dataset.construct(pd.DataFrame(lines))


def _lists(found: pd.DataFrame, orders: Orders, depth: int) -> Lists:
    row_of = np.full(orders.n_customers, -1)
    row_of[orders.asked] = np.arange(len(orders.asked))
    lists = np.full((len(orders.asked), depth), -1, dtype=np.int32)
    lists[row_of[found[Columns.User].to_numpy()], found[Columns.Rank].to_numpy() - 1] = found[Columns.Item].to_numpy()
    return lists


def _ranked(model: Any, orders: Orders, *, decay: float, logarithm: bool) -> tuple[Lists, Lists]:
    data = _data(orders, decay=decay, logarithm=logarithm)
    model.fit(data)
    every = model.recommend(users=orders.asked, dataset=data, k=DEPTH, filter_viewed=False)
    new = model.recommend(users=orders.asked, dataset=data, k=NEW_DEPTH, filter_viewed=True)
    return _lists(every, orders, DEPTH), _lists(new, orders, NEW_DEPTH)


def tf_idf(orders: Orders, *, neighbours: int, decay: float) -> tuple[Lists, Lists]:
    """Item-kNN with TF-IDF weights; a product is among its own neighbours."""
    model = ImplicitItemKNNWrapperModel(TFIDFRecommender(K=neighbours, num_threads=orders.threads))
    return _ranked(model, orders, decay=decay, logarithm=False)


def bm25(orders: Orders, *, neighbours: int, decay: float) -> tuple[Lists, Lists]:
    """Item-kNN with BM25 weights."""
    model = ImplicitItemKNNWrapperModel(BM25Recommender(K=neighbours, num_threads=orders.threads))
    return _ranked(model, orders, decay=decay, logarithm=False)


def als(orders: Orders, *, factors: int, alpha: float, decay: float) -> tuple[Lists, Lists]:
    """Implicit ALS."""
    model = AlternatingLeastSquares(
        factors=factors, alpha=alpha, regularization=0.05, random_state=SEED, num_threads=orders.threads
    )
    return _ranked(ImplicitALSWrapperModel(model), orders, decay=decay, logarithm=False)


def pure_svd(orders: Orders, *, factors: int, decay: float) -> tuple[Lists, Lists]:
    """PureSVD (Cremonesi et al. 2010)."""
    return _ranked(PureSVDModel(factors=factors, random_state=SEED), orders, decay=decay, logarithm=True)


def ease(orders: Orders, *, ridge: float, decay: float) -> tuple[Lists, Lists]:
    """EASE (Steck 2019)."""
    return _ranked(EASEModel(regularization=ridge), orders, decay=decay, logarithm=True)


MODELS = {"TF-IDF item-kNN": tf_idf, "BM25 item-kNN": bm25, "ALS": als, "PureSVD": pure_svd, "EASE": ease}

if __name__ == "__main__":
    # numpy's BLAS threads and those of implicit, and pandas' words on the inside of RecTools: nothing to act on.
    warnings.simplefilter("ignore")
    answer_all("RecTools", MODELS)
