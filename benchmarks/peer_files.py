"""Files by which a library's process, in an environment of its own, is asked for ranked lists and answers.

A folder holds the orders seen and the customers asked (Parquet) and what to run (JSON); answers lie beside them, one
long table a run. This module knows NumPy and Arrow alone, so that any library's environment can import it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

#: Places of a list over all products, and of a list over products new to the customer.
DEPTH, NEW_DEPTH = 100, 20

Lists = NDArray[np.int32]


@dataclass(frozen=True)
class Run:
    """A model with its settings."""

    model: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Orders:
    """What may be seen, one entry an order line: codes of customer and product, the customer's order from 0, its day.

    Lines are sorted by customer, order and product, each once. `asked` are the customers to rank products for.
    """

    customer: NDArray[np.int32]
    order: NDArray[np.int32]
    day: NDArray[np.float64]
    product: NDArray[np.int32]
    asked: NDArray[np.int32]
    n_customers: int
    n_products: int
    threads: int

    @property
    def orders_of(self) -> NDArray[np.int64]:
        """(customers,) how many orders each has."""
        found = np.zeros(self.n_customers, dtype=np.int64)
        np.maximum.at(found, self.customer, self.order.astype(np.int64) + 1)
        return found

    def pairs(self, *, decay: float) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
        """Customer, product and the orders with it, each weighing `decay` to the power of orders made since."""
        back = self.orders_of[self.customer] - 1 - self.order
        keys, which = np.unique(self.customer.astype(np.int64) * self.n_products + self.product, return_inverse=True)
        weight = np.bincount(which, weights=decay ** back.astype(np.float64)).astype(np.float32)
        return (keys // self.n_products).astype(np.int32), (keys % self.n_products).astype(np.int32), weight


@dataclass(frozen=True)
class Answer:
    """Ranked products of each customer asked, (asked, depth) padded with -1: of all, and of new ones only."""

    lists: Lists
    new: Lists
    seconds: float


Model = Callable[..., tuple[Lists, Lists]]


def write_question(folder: Path, orders: Orders, runs: Sequence[Run]) -> None:
    """All that the other process needs."""
    columns = {"customer": orders.customer, "order": orders.order, "day": orders.day, "product": orders.product}
    pq.write_table(pa.table(columns), folder / "orders.parquet")
    pq.write_table(pa.table({"customer": orders.asked}), folder / "asked.parquet")
    about = {
        "n_customers": orders.n_customers,
        "n_products": orders.n_products,
        "threads": orders.threads,
        "runs": [{"model": run.model, "settings": dict(run.settings)} for run in runs],
    }
    (folder / "question.json").write_text(json.dumps(about), encoding="utf-8")


def read_question(folder: Path) -> tuple[Orders, list[Run]]:
    """What was written."""
    about = json.loads((folder / "question.json").read_text(encoding="utf-8"))
    lines = pq.read_table(folder / "orders.parquet")
    asked = pq.read_table(folder / "asked.parquet")["customer"].to_numpy()
    columns = [lines[name].to_numpy() for name in ("customer", "order", "day", "product")]
    orders = Orders(*columns, asked, about["n_customers"], about["n_products"], about["threads"])
    return orders, [Run(**run) for run in about["runs"]]


def _long(lists: Lists, *, new: bool) -> dict[str, NDArray[Any]]:
    row, rank = np.nonzero(lists >= 0)
    return {"new": np.full(len(row), new), "row": row, "rank": rank, "product": lists[row, rank]}


def write_answer(folder: Path, place: int, answer: Answer) -> None:
    """One row a place of a list: new (of the second kind of list), row (of those asked), rank from 0, product."""
    parts = _long(answer.lists, new=False), _long(answer.new, new=True)
    table = pa.table({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    table = table.replace_schema_metadata({"seconds": repr(answer.seconds)})
    aside = folder / f".answer{place:03}.parquet"
    pq.write_table(table, aside)
    aside.replace(folder / f"answer{place:03}.parquet")


def read_answer(folder: Path, place: int, *, asked: int) -> Answer:
    """What was answered, unchecked."""
    table = pq.read_table(folder / f"answer{place:03}.parquet")
    new, row, rank, product = (table[name].to_numpy() for name in ("new", "row", "rank", "product"))

    def lists(depth: int, of: NDArray[np.bool_]) -> Lists:
        found = np.full((asked, depth), -1, dtype=np.int32)
        found[row[of], rank[of]] = product[of]
        return found

    seconds = float((table.schema.metadata or {})[b"seconds"])
    return Answer(lists(DEPTH, ~new), lists(NEW_DEPTH, new), seconds)


def ranked(scores: NDArray[np.floating], depth: int) -> Lists:
    """(rows, depth) the products of the best finite scores (rows, products), -1 where there are fewer."""
    scores = np.where(np.isfinite(scores), scores, -np.inf)
    depth_there = min(depth, scores.shape[1])
    best = np.argpartition(-scores, depth_there - 1, axis=1)[:, :depth_there]
    values = np.take_along_axis(scores, best, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    best, values = np.take_along_axis(best, order, axis=1), np.take_along_axis(values, order, axis=1)
    found = np.full((len(scores), depth), -1, dtype=np.int32)
    found[:, :depth_there] = np.where(np.isfinite(values), best, -1)
    return found


def answer_all(library: str, models: Mapping[str, Model]) -> None:
    """Of a library's process: run all that the folder named on the command line asks for, telling each as it ends."""
    folder = Path(sys.argv[1])
    orders, runs = read_question(folder)
    for place, run in enumerate(runs):
        started = time.perf_counter()
        lists, new = models[run.model](orders, **run.settings)
        seconds = round(time.perf_counter() - started, 1)
        write_answer(folder, place, Answer(lists, new, seconds))
        told = ", ".join(f"{name} {value}" for name, value in run.settings.items())
        print(f"  {library} {place + 1} of {len(runs)}: {run.model}, {told}: {seconds} s", file=sys.stderr, flush=True)


def thread_settings(threads: int) -> dict[str, str]:
    """The environment of a library's process: so many threads, and no usage reports."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LK_NUM_THREADS", "LK_NUM_BACKEND_THREADS")
    quiet = {"LK_NUM_PROCS": "1", "DO_NOT_TRACK": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_WAIT_POLICY": "PASSIVE"}
    return dict(os.environ) | dict.fromkeys(names, str(threads)) | quiet
