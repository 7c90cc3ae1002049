r"""Our recommender beside published methods and libraries on shops of different shapes.

    .venv/bin/python -m benchmarks.recommender
    .venv/bin/python -m benchmarks.recommender --rectools /tmp/rectools-env/bin/python \
        --lenskit /tmp/lenskit-env/bin/python --recanet /tmp/lenskit-env/bin/python

Protocol: each asked customer's last order is hidden (customers with at least 4); everybody else's whole history is
seen. Peers are tuned, by recall@10 + ndcg@10, on the order before that one, with the last hidden altogether; ours runs
with its defaults, which no order of these tests has touched. On Complete Journey all customers are asked, on the two
other shops a quarter of them.

RecTools, LensKit and a ReCANet-style network run in environments of their own (benchmarks/README.md) and answer with
ranked lists; of each library the two models that are best on validation are shown. Every method's lists are judged
here, by one function.

    repeat_recall, explore_recall   of what was bought, the part bought before and the part new to the customer
    new_recall                      of a list of new products alone
    ours less ...                   mean difference over customers, with its 95% interval

What ours costs is printed beside the bare fits of LightGBM and implicit inside it, and beside implicit's own batch.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.cost import Cost, bare_fits, implicit_seconds_per_list
from benchmarks.judge import DEPTH, SHOWN, Told, best_of, best_sold, differences, measure, quality, seen
from benchmarks.library_peers import LIBRARIES, compare
from benchmarks.peers import PEERS, Peer
from benchmarks.shops import few_products, sparse_buyers
from features.engine import connect
from features.errors import DataError
from features.home import Home, write_text
from features.lake import read_lake
from features.matrix import Purchases, read_purchases
from features.settings import load_settings
from training.baselines import global_top_frequency, group_and_personal_top_frequency, personal_top_frequency
from training.candidates.attributes import Attributes, read_attributes
from training.pair_table import CandidateSources
from training.splits import MIN_ORDERS, Split, last_order_split
from training.two_stage import RecommenderConfig, learn_ranker, recommend

REFERENCE, OURS = "GP-TopFreq", "regulars"
OUT = Path(__file__).parent / "out"


@dataclass(frozen=True)
class Shop:
    """A named shop and how many of its customers are asked."""

    name: str
    purchases: Purchases
    attributes: Attributes
    asked: float


@dataclass(frozen=True)
class Found:
    """A method's lists on the test question, what validation chose for it, and the seconds of it all."""

    name: str
    told: Told
    tuned: Mapping[str, object] | None = None
    seconds: float = 0.0


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


def _peer(peer: Peer, validation: Split, test: Split) -> Found:
    def run(question: Split, settings: Mapping[str, object]) -> Told:
        scores = peer.make(**settings)(question.history, question.customers).tocsr()
        new = scores - scores.multiply(seen(question))
        return Told(best_of(scores, question), best_of(new.tocsr(), question))

    def worth(settings: Mapping[str, object]) -> float:
        return quality(measure(validation, run(validation, settings)))

    started = time.perf_counter()
    best = peer.grid[0] if len(peer.grid) == 1 else max(peer.grid, key=worth)
    told = run(test, best)
    return Found(peer.name, told, best, time.perf_counter() - started)


def _top_frequencies(question: Split) -> Iterator[Found]:
    history, customers = question.history, question.customers
    # New products by popularity: the head of the popular list without what each customer bought.
    best = best_sold(question)
    head = best[: min(len(best), 5_000)]
    ranks = np.where(seen(question)[:, head].toarray() > 0, np.inf, np.arange(len(head)))
    order = np.argsort(ranks, axis=1, kind="stable")[:, :DEPTH]
    new = np.where(np.isfinite(np.take_along_axis(ranks, order, axis=1)), head[order], -1).astype(np.int32)
    none = np.full((len(customers), DEPTH), -1, dtype=np.int32)
    yield Found("G-TopFreq", Told(np.asarray(global_top_frequency(history, len(customers), DEPTH)), new))
    yield Found("P-TopFreq", Told(personal_top_frequency(history, customers, DEPTH), none))
    yield Found("GP-TopFreq", Told(group_and_personal_top_frequency(history, customers, DEPTH), new))


def _ours(shop: Shop, question: Split, threads: int) -> tuple[Found, Cost]:
    """The lists, and what they cost."""
    started = time.perf_counter()
    config = RecommenderConfig().on(threads=threads, seed=0)
    with bare_fits() as bare:
        ranker = learn_ranker(question, config, horizon_days=0, attributes=shop.attributes)
        sources = CandidateSources(config.candidates, shop.attributes).fit(question.history)
    trained = time.perf_counter() - started
    before = time.process_time()
    lists = recommend(sources, ranker, question.customers, question.moment, depth=DEPTH).lists
    cpu = (time.process_time() - before) / len(question.customers)
    new = recommend(sources, ranker, question.customers, question.moment, depth=DEPTH, new_only=True).lists
    found = Found(OURS, Told(lists, new), seconds=time.perf_counter() - started)
    pace = implicit_seconds_per_list(question.history, question.customers, DEPTH, factors=config.candidates.factors)
    return found, Cost(trained, bare, cpu, pace)


def _published(shop: Shop, validation: Split, test: Split) -> Iterator[Found]:
    for peer in PEERS:
        if peer.most_products is not None and shop.purchases.n_products > peer.most_products:
            print(f"{peer.name:24s} not run: more than {peer.most_products} products")
        else:
            yield _peer(peer, validation, test)


def _of_libraries(pythons: Mapping[str, Path], validation: Split, test: Split, threads: int) -> Iterator[Found]:
    for name, python in pythons.items():
        for chosen in compare(LIBRARIES[name], python, validation, test, threads):
            tuned = {"model": chosen.run.model, **chosen.run.settings, "lists": chosen.form}
            yield Found(chosen.name, chosen.told, tuned | {"validation": chosen.validation}, chosen.seconds)


def run(shop: Shop, threads: int, pythons: Mapping[str, Path], *, published: bool) -> dict[str, object]:
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
    print(f"{'':24s}" + "".join(f"{name:>20s}" for name in SHOWN) + f"   (beside each: over {REFERENCE})")
    found: dict[str, Found] = {}
    results: dict[str, dict[str, float]] = {}

    def show(one: Found) -> None:
        found[one.name], results[one.name] = one, measure(test, one.told)
        values, reference = results[one.name], results.get(REFERENCE, {})
        over = {m: f"{values[m] / reference[m]:5.2f}x" if reference.get(m) else "" for m in SHOWN}
        cells = [f"{values[m]:.4f} {over[m]:>6s}" for m in SHOWN]
        print(f"{one.name:24s}" + "".join(f"{cell:>20s}" for cell in cells) + f"  {one.seconds:6.1f} s", flush=True)

    for one in sorted(_top_frequencies(test), key=lambda one: one.name != REFERENCE):
        show(one)
    ours, cost = _ours(shop, test, threads)
    show(ours)
    if published:
        for one in _published(shop, validation, test):
            show(one)
    for one in _of_libraries(pythons, validation, test, threads):
        show(one)
        tuned = {name: value for name, value in (one.tuned or {}).items() if name != "validation"}
        print(f"{'':24s}" + ", ".join(f"{name} {value}" for name, value in tuned.items()))
    print(cost.words)
    less = differences(test, ours.told, {name: one.told for name, one in found.items() if name != OURS})
    for name, values in less.items():
        cells = [f"{metric} {mean:+.4f} [{low:+.4f}, {high:+.4f}]" for metric, (mean, low, high) in values.items()]
        print(f"ours less {name:24s}" + "   ".join(cells))
    return {
        "about": about,
        "results": results,
        "tuned": {name: one.tuned for name, one in found.items() if one.tuned is not None},
        "seconds": {name: round(one.seconds, 1) for name, one in found.items()},
        "ours_cost": asdict(cost),
        "ours_less": less,
    }


def main() -> None:
    """Load the lake, make the shops, measure, print, and write benchmarks/out/recommender.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shops", default="sparse,category,complete-journey", help="which shops, with commas")
    for name, library in LIBRARIES.items():
        parser.add_argument(f"--{name}", type=Path, help=f"the Python of the environment with {library.needs}")
    parser.add_argument("--no-published", action="store_true", help="leave out the tuned methods of this environment")
    arguments = parser.parse_args()
    pythons = {name: python for name in LIBRARIES if (python := getattr(arguments, name))}
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
    OUT.mkdir(exist_ok=True)
    report: dict[str, object] = {"lake": lake.version, "machine": machine}
    done: list[dict[str, object]] = []
    for name in arguments.shops.split(","):
        try:
            done.append(run(shops[name](), settings.threads, pythons, published=not arguments.no_published))
        except DataError as error:
            raise SystemExit(str(error)) from error
        write_text(OUT / "recommender.json", json.dumps(report | {"shops": done}, indent=2))
    print(f"\nWritten: {OUT / 'recommender.json'}")


if __name__ == "__main__":
    main()
