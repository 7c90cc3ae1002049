"""Our recommender beside published methods on shops of different shapes: `python -m benchmarks.recommender`.

Protocol: each asked customer's last order is hidden (customers with at least 4); everybody else's whole history is
seen. Peers are tuned, by recall@10 + ndcg@10, on the order before that one, with the last hidden altogether; ours runs
with its defaults, which no order of these tests has touched. On Complete Journey all customers are asked, on the two
other shops a quarter of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from benchmarks.peers import PEERS, Peer
from benchmarks.shops import few_products, sparse_buyers
from features.engine import connect
from features.home import Home
from features.lake import read_lake
from features.matrix import Purchases, read_purchases
from features.settings import load_settings
from training.baselines import fill, global_top_frequency, group_and_personal_top_frequency, personal_top_frequency
from training.candidates.attributes import Attributes, read_attributes
from training.candidates.pairs import top_lists
from training.metrics_ranking import ranking_metrics
from training.pair_table import CandidateSources
from training.splits import MIN_ORDERS, Split, last_order_split
from training.two_stage import RecommenderConfig, learn_ranker, recommend

DEPTH = 20
SHOWN = ("recall@10", "ndcg@10", "recall@20", "ndcg@20", "explore_recall@10", "new_recall@10")
REFERENCE = "GP-TopFreq"
OUT = Path(__file__).parent / "out"


@dataclass(frozen=True)
class Shop:
    """A named shop and how many of its customers are asked."""

    name: str
    purchases: Purchases
    attributes: Attributes
    asked: float


def _among(purchases: Purchases, share: float) -> NDArray[np.int32] | None:
    if share >= 1:
        return None
    rng = np.random.default_rng(3)
    chosen = rng.choice(purchases.n_customers, int(purchases.n_customers * share), replace=False)
    return np.sort(chosen).astype(np.int32)


def _questions(shop: Shop) -> tuple[Split, Split]:
    """The validation question, one order earlier for everybody, and the test question."""
    among = _among(shop.purchases, shop.asked)
    test = last_order_split(shop.purchases, among=among)
    eligible = shop.purchases.orders_per_customer >= MIN_ORDERS
    last = (shop.purchases.orders_from_end == 0) & eligible[shop.purchases.order_customer]
    earlier = shop.purchases.keep_orders(~last)
    return last_order_split(earlier, among=among, min_orders=MIN_ORDERS - 1), test


def _seen(question: Split) -> sparse.csr_matrix:
    history = question.history
    owner = np.repeat(history.order_customer, history.order_sizes)
    ones = np.ones(len(owner), dtype=np.float32)
    seen = sparse.csr_matrix((ones, (owner, history.products)), shape=(history.n_customers, history.n_products))
    return seen[question.customers]


def _lists(scores: sparse.csr_matrix, question: Split) -> NDArray[np.int32]:
    """Best products by score; places that the scores leave empty go to what the shop sells most."""
    scores = scores.tocsr()
    scores.eliminate_zeros()
    history = question.history
    rows = np.repeat(np.arange(scores.shape[0], dtype=np.int64), np.diff(scores.indptr))
    keys = rows * history.n_products + scores.indices
    lists, _ = top_lists(keys, scores.data, n_rows=scores.shape[0], n_products=history.n_products, depth=DEPTH)
    sold = np.bincount(history.products, minlength=history.n_products)
    return fill(lists, np.argsort(-sold, kind="stable").astype(np.int32), DEPTH)


def _measure(question: Split, lists: NDArray[np.int32], new_only: NDArray[np.int32]) -> dict[str, float]:
    """Metrics of the lists, and new_recall: of the lists of products new to the customer, among the new ones bought."""
    catalogue = len(np.unique(question.history.products))
    n_products = question.history.n_products
    repeat = question.repeat_truth()
    found = ranking_metrics(lists, question.truth, repeat=repeat, n_products=n_products, catalogue=catalogue)
    fresh = ranking_metrics(new_only, question.truth, repeat=repeat, n_products=n_products, catalogue=catalogue)
    return found | {f"new_recall@{k}": fresh[f"explore_recall@{k}"] for k in (10, 20)}


def _peer(peer: Peer, validation: Split, test: Split) -> tuple[dict[str, float], Mapping[str, object]]:
    def run(question: Split, settings: Mapping[str, object]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        scores = peer.make(**settings)(question.history, question.customers).tocsr()
        new = scores - scores.multiply(_seen(question))
        return _lists(scores, question), _lists(new.tocsr(), question)

    def quality(settings: Mapping[str, object]) -> float:
        found = _measure(validation, *run(validation, settings))
        return found["recall@10"] + found["ndcg@10"]

    best = peer.grid[0] if len(peer.grid) == 1 else max(peer.grid, key=quality)
    return _measure(test, *run(test, best)), best


def _top_frequencies(question: Split) -> dict[str, dict[str, float]]:
    history, customers = question.history, question.customers
    shop = np.asarray(global_top_frequency(history, len(customers), DEPTH))
    bought = np.bincount(history.products, minlength=history.n_products).astype(np.float32)
    best = np.argsort(-bought, kind="stable").astype(np.int32)
    # New products by popularity: the head of the popular list without what each customer bought.
    head = best[: min(len(best), 5_000)]
    seen = _seen(question)[:, head].toarray() > 0
    ranks = np.where(seen, np.inf, np.arange(len(head)))
    order = np.argsort(ranks, axis=1, kind="stable")[:, :DEPTH]
    new = np.where(np.isfinite(np.take_along_axis(ranks, order, axis=1)), head[order], -1).astype(np.int32)
    none = np.full((len(customers), DEPTH), -1, dtype=np.int32)
    return {
        "G-TopFreq": _measure(question, shop, new),
        "P-TopFreq": _measure(question, personal_top_frequency(history, customers, DEPTH), none),
        "GP-TopFreq": _measure(question, group_and_personal_top_frequency(history, customers, DEPTH), new),
    }


def _ours(shop: Shop, question: Split, threads: int) -> tuple[dict[str, float], float]:
    """The metrics, and the seconds of one core that a customer's list takes."""
    config = RecommenderConfig().on(threads=threads, seed=0)
    ranker = learn_ranker(question, config, horizon_days=0, attributes=shop.attributes)
    sources = CandidateSources(config.candidates, shop.attributes).fit(question.history)
    before = time.process_time()
    lists = recommend(sources, ranker, question.customers, question.moment, depth=DEPTH).lists
    cpu = (time.process_time() - before) / len(question.customers)
    new = recommend(sources, ranker, question.customers, question.moment, depth=DEPTH, new_only=True).lists
    return _measure(question, lists, new), cpu


def run(shop: Shop, threads: int) -> dict[str, object]:
    """Every method on one shop, printed as they finish."""
    validation, test = _questions(shop)
    about = {
        "shop": shop.name,
        "split": "last-order",
        "customers_asked": len(test.customers),
        "customers": shop.purchases.n_customers,
        "products": shop.purchases.n_products,
        "orders": shop.purchases.n_orders,
        "repeat_share": round(float(test.repeat_truth().mean()), 3),
    }
    print("\n" + ", ".join(f"{name} {value}" for name, value in about.items()))
    print(f"{'':12s}" + "".join(f"{name:>19s}" for name in SHOWN) + "   (beside each: over GP-TopFreq)")
    results: dict[str, dict[str, float]] = {}
    tuned: dict[str, Mapping[str, object]] = {}
    seconds: dict[str, float] = {}

    def show(name: str) -> None:
        values, reference = results[name], results[REFERENCE]
        cells = [f"{values[m]:.4f} {values[m] / reference[m] if reference[m] else float('nan'):5.2f}x" for m in SHOWN]
        print(
            f"{name:12s}" + "".join(f"{cell:>19s}" for cell in cells) + f"  {seconds.get(name, 0):6.1f} s", flush=True
        )

    results |= _top_frequencies(test)
    for name in results:
        show(name)
    for peer in PEERS:
        if peer.most_products is not None and shop.purchases.n_products > peer.most_products:
            print(f"{peer.name:12s} not run: more than {peer.most_products} products")
            continue
        started = time.perf_counter()
        results[peer.name], tuned[peer.name] = _peer(peer, validation, test)
        seconds[peer.name] = round(time.perf_counter() - started, 1)
        show(peer.name)
    started = time.perf_counter()
    results["regulars"], cpu = _ours(shop, test, threads)
    seconds["regulars"] = round(time.perf_counter() - started, 1)
    show("regulars")
    print(f"a list of ours, with full ranking: {1 / cpu:,.0f} customers a second and core")
    return {
        "about": about,
        "results": results,
        "tuned": tuned,
        "seconds": seconds,
        "ours_cpu_seconds_per_list": cpu,
    }


def main() -> None:
    """Load the lake, make the shops, measure, print, and write benchmarks/out/recommender.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shops", default="sparse,category,complete-journey", help="which shops, with commas")
    wanted = parser.parse_args().shops.split(",")
    # numpy's BLAS threads would fight those of implicit; implicit says so at every fit.
    warnings.filterwarnings("ignore", message="OpenBLAS is configured")
    settings = load_settings()
    lake = read_lake(Home(settings.home))
    backend = connect(settings)
    purchases = read_purchases(lake, backend)
    attributes = read_attributes(lake, backend, purchases)
    shops = {
        "complete-journey": lambda: Shop("complete-journey", purchases, attributes, 1.0),
        "sparse": lambda: Shop("sparse", sparse_buyers(purchases, np.random.default_rng(7)), Attributes({}), 0.25),
        "category": lambda: Shop("category", few_products(purchases, attributes), Attributes({}), 0.25),
    }
    machine = (
        f"{platform.machine()}, {os.cpu_count()} cores, {settings.threads} threads, Python {platform.python_version()}"
    )
    print(f"Next-order recommendation on {lake.version} ({machine})")
    found = [run(shops[name](), settings.threads) for name in wanted]
    OUT.mkdir(exist_ok=True)
    report = {"lake": lake.version, "machine": machine, "shops": found}
    (OUT / "recommender.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    print(f"\nWritten: {OUT / 'recommender.json'}")


if __name__ == "__main__":
    main()
