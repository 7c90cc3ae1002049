"""What training the recommender costs at a million order lines, at ten million and at a hundred million.

    .venv/bin/python -m benchmarks.recommender_scale                                     # 1 and 10 million lines
    .venv/bin/python -m benchmarks.recommender_scale --lines 1000000 10000000 100000000

Orders are made up: a customer for every hundred lines, with about ten orders of about ten products over a year, half of
them out of thirty favourites, all drawn from a catalogue in which few products sell much and most hardly ever; stores,
prices and discounts as in a shop of groceries, and no categories. They serve measurements of time and memory, and say
nothing about accuracy. Each size is measured in a process of its own, on `--threads` threads:

    learn   past moments, their candidates, and the ranker, for the cut-off split of the last 28 days, as training does
    fit     the sources of candidates on the whole history, and each of them
    rank    lists of `--ranked` customers, 20 products deep, as of the history's end

Seconds and CPU seconds are of the stage, peak memory is that of the process so far. A cost for each line that stays as
it is from one size to the next has grown with the lines and no faster. Writes benchmarks/out/recommender_scale.json.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import resource
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.home import write_text
from features.matrix import Purchases, Terms
from training import pair_table
from training.candidates.als import AlsCandidates
from training.candidates.item_item import ItemItemCandidates
from training.candidates.neighbours import Neighbours
from training.candidates.next_order import NextOrder
from training.candidates.pairs import distinct
from training.candidates.popularity import RecentPopularity
from training.candidates.prices import Prices
from training.candidates.reorder import ReorderRates
from training.candidates.stores import Stores
from training.candidates.transitions import Transitions
from training.pair_table import CandidateSources
from training.splits import cutoff_split
from training.two_stage import RecommenderConfig, learn_ranker, recommend

OUT = Path(__file__).parent / "out"
SIZES = (1_000_000, 10_000_000)
LINES_A_CUSTOMER, ORDERS, ORDER_SIZE = 100, 10, 10
#: A little more than wanted is drawn, for an order holds a product once.
DRAWN = 1.048
FAVOURITES, OF_FAVOURITES = 30, 0.5
N_STORES, AT_HOME = 200, 0.9
FIRST_DAY, DAYS, HORIZON_DAYS = 18_000.0, 365.0, 28.0
#: Customers made at once, and draws that popularity is cut into.
BLOCK, QUANTILES = 20_000, 1 << 22
DEPTH = 20
SOURCES = (
    ItemItemCandidates,
    NextOrder,
    AlsCandidates,
    Transitions,
    Neighbours,
    ReorderRates,
    RecentPopularity,
    Prices,
    Stores,
)


def _draws(n_products: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Products as often as they sell: the one of rank r in proportion to 1 / (r + 20) ** 0.9."""
    share = np.cumsum(1.0 / (np.arange(n_products) + 20.0) ** 0.9)
    rank = np.searchsorted(share / share[-1], (np.arange(QUANTILES) + 0.5) / QUANTILES)
    return rng.permutation(n_products).astype(np.int32)[np.minimum(rank, n_products - 1)]


@dataclass
class _Block:
    """Some customers: how many orders each has; of those day, store and size; then products, one after another."""

    orders: NDArray[np.int64]
    day: NDArray[np.float64]
    store: NDArray[np.int32]
    sizes: NDArray[np.int64]
    products: NDArray[np.int32]


def _block(customers: int, n_products: int, draws: NDArray[np.int32], rng: np.random.Generator) -> _Block:
    orders = 1 + rng.poisson(ORDERS - 1, customers)
    owner = np.repeat(np.arange(customers), orders)
    day = np.sort(owner + rng.random(len(owner))) - owner
    favourites = draws[rng.integers(0, QUANTILES, (customers, FAVOURITES))]
    wanted = 1 + rng.poisson(ORDER_SIZE * DRAWN - 1, len(owner))
    order = np.repeat(np.arange(len(owner)), wanted)
    product = draws[rng.integers(0, QUANTILES, len(order))]
    again = np.flatnonzero(rng.random(len(order)) < OF_FAVOURITES)
    product[again] = favourites[owner[order[again]], rng.integers(0, FAVOURITES, len(again))]
    key = distinct(order * n_products + product)
    home = rng.integers(0, N_STORES, customers)[owner]
    away = rng.random(len(owner)) > AT_HOME
    return _Block(
        orders,
        FIRST_DAY + day * DAYS,
        np.where(away, rng.integers(0, N_STORES, len(owner)), home).astype(np.int32),
        np.bincount(key // n_products, minlength=len(owner)),
        (key % n_products).astype(np.int32),
    )


def made_up(lines: int, n_products: int, *, seed: int = 0) -> Purchases:
    """Purchases of about so many lines."""
    rng = np.random.default_rng(seed)
    customers = max(lines // LINES_A_CUSTOMER, 1)
    draws = _draws(n_products, rng)
    blocks = [_block(min(BLOCK, customers - first), n_products, draws, rng) for first in range(0, customers, BLOCK)]
    products = np.concatenate([block.products for block in blocks])
    price = rng.lognormal(1.0, 0.7, n_products).astype(np.float32)
    quantity = np.ones(len(products), dtype=np.float32)
    saved, paid = np.zeros(len(products), dtype=np.float32), price[products]
    some = rng.integers(0, len(products), len(products) // 5)
    quantity[some], saved[some] = 2.0, np.float32(0.2) * paid[some]
    paid *= quantity
    paid -= saved
    return Purchases(
        customer_ids=pa.array(np.char.mod("c%08d", np.arange(customers))),
        product_ids=pa.array(np.char.mod("p%07d", np.arange(n_products))),
        customer_start=np.concatenate(([0], np.cumsum(np.concatenate([block.orders for block in blocks])))),
        order_start=np.concatenate(([0], np.cumsum(np.concatenate([block.sizes for block in blocks])))),
        order_day=np.concatenate([block.day for block in blocks]),
        products=products,
        terms=Terms(quantity, paid, saved, np.concatenate([block.store for block in blocks]), N_STORES),
    )


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


@dataclass
class Clock:
    """Seconds, CPU seconds and peak memory of each stage; with `of_sources`, seconds of each source besides."""

    lines: int
    stages: dict[str, dict[str, float]] = field(default_factory=dict)
    of_sources: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what is done within, and say so when it ends."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        found = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
        self.stages[name] = found | {"peak_gb": _peak_gb()}
        print(
            f"{self.lines:>13,d} lines  {name:6s} {found['seconds']:8.1f} s {found['cpu_seconds']:8.1f} CPU s"
            f"  peak so far {_peak_gb():5.2f} GB",
            flush=True,
        )

    @contextmanager
    def sources(self) -> Iterator[None]:
        """Measure each source's fit; on one thread, one follows the other."""
        kept = [(source, source.fit) for source in SOURCES]
        counts = pair_table.popularity
        for source, fit in kept:
            source.fit = self._timed(source.__name__, fit)  # type: ignore[method-assign,assignment]
        pair_table.popularity = self._timed("popularity", counts)
        try:
            yield
        finally:
            pair_table.popularity = counts
            for source, fit in kept:
                source.fit = fit  # type: ignore[method-assign,assignment]

    def _timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def timed(*given: Any, **named: Any) -> Any:
            before = time.perf_counter()
            found = call(*given, **named)
            self.of_sources[name] = round(time.perf_counter() - before, 2)
            print(f"{'':20s} {name:20s} {self.of_sources[name]:8.1f} s  peak so far {_peak_gb():5.2f} GB", flush=True)
            return found

        return timed


def measure(lines: int, n_products: int, ranked: int, threads: int) -> dict[str, Any]:
    """Every stage at one size."""
    # numpy's BLAS threads would fight those of implicit; implicit says so at every fit.
    warnings.filterwarnings("ignore", message="OpenBLAS is configured")
    clock = Clock(lines)
    with clock.stage("make"):
        purchases = made_up(lines, n_products)
    made = len(purchases.products)
    config = RecommenderConfig().on(threads=threads, seed=0)
    end = FIRST_DAY + DAYS
    with clock.stage("learn"):
        question = cutoff_split(purchases, as_of_day=end - HORIZON_DAYS, horizon_days=HORIZON_DAYS)
        ranker = learn_ranker(question, config, horizon_days=HORIZON_DAYS)
    repeats = float(question.repeat_truth().mean()) if lines <= SIZES[-1] else None
    del question
    with clock.stage("fit"), clock.sources():
        sources = CandidateSources(config.candidates).fit(purchases, moment=end)
    asked = np.random.default_rng(1).choice(purchases.n_customers, min(ranked, purchases.n_customers), replace=False)
    customers = np.sort(asked).astype(np.int32)
    with clock.stage("rank"):
        recommend(sources, ranker, customers, np.full(len(customers), end), depth=DEPTH)
    training = [clock.stages[name] for name in ("learn", "fit")]
    cpu = sum(stage["cpu_seconds"] for stage in training)
    return {
        "lines": made,
        "customers": purchases.n_customers,
        "products": purchases.n_products,
        "orders": purchases.n_orders,
        "repeat_share": repeats,
        "stages": clock.stages,
        "sources": clock.of_sources,
        "training_seconds": sum(stage["seconds"] for stage in training),
        "training_cpu_seconds": cpu,
        "training_peak_gb": training[-1]["peak_gb"],
        "cpu_us_a_line": 1e6 * cpu / made,
        "bytes_a_line": 1e9 * training[-1]["peak_gb"] / made,
        "ranked_a_second_and_core": len(customers) / clock.stages["rank"]["cpu_seconds"],
    }


def _show(found: dict[str, Any], smallest: dict[str, Any]) -> None:
    print(
        f"{found['lines']:>13,d} lines: {found['training_seconds']:,.0f} s, {found['training_cpu_seconds']:,.0f} CPU s,"
        f" peak {found['training_peak_gb']:.1f} GB; {found['cpu_us_a_line']:.1f} us a line,"
        f" {found['cpu_us_a_line'] / smallest['cpu_us_a_line']:.2f} of the smallest size's;"
        f" {found['ranked_a_second_and_core']:,.0f} customers ranked a second and core",
        flush=True,
    )


def main() -> None:
    """Measure each size in a process of its own, print, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, nargs="+", default=list(SIZES), help="order lines, one size or more")
    parser.add_argument("--products", type=int, default=100_000, help="of the catalogue")
    parser.add_argument("--ranked", type=int, default=5_000, help="customers whose lists are made")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    machine = (
        f"{platform.machine()}, {os.cpu_count()} cores, {given.threads} threads, Python {platform.python_version()}"
    )
    print(f"Training the recommender on made-up orders ({machine})", flush=True)
    OUT.mkdir(exist_ok=True)
    done: list[dict[str, Any]] = []
    for lines in sorted(given.lines):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            done.append(pool.submit(measure, lines, given.products, given.ranked, given.threads).result())
        _show(done[-1], done[0])
        write_text(OUT / "recommender_scale.json", json.dumps({"machine": machine, "sizes": done}, indent=2))
    print(f"Written: {OUT / 'recommender_scale.json'}")


if __name__ == "__main__":
    main()
