"""RecTools, LensKit and a ReCANet-style network beside ours: each in a process and environment of its own.

Each library's models are asked for ranked lists of the validation question, over a small grid; the best settings of
each model, and then the library's best models, are asked about the test question. A library that was not made for
repeat purchases is not held to that: its lists are judged as they are, behind the customer's own most frequent
products, and fused with those, and the form that is best on validation counts.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.judge import DEPTH, Lists, Told, filled, measure, quality
from benchmarks.peer_files import DEPTH as TOLD
from benchmarks.peer_files import Answer, Orders, Run, read_answer, thread_settings, write_question
from benchmarks.peers import MOST_EASE_PRODUCTS, grid
from features.errors import DataError
from training.baselines import personal_top_frequency
from training.candidates.pairs import top_lists
from training.splits import Split

#: Cormack et al. 2009: a product's place counts 1 / (FUSION + place).
FUSION = 60.0
#: LensKit's ItemKNN keeps every likeness above zero: of 68,000 products, no first list came within five minutes.
MOST_LENSKIT_PRODUCTS = 30_000


@dataclass(frozen=True)
class Library:
    """A library, what its environment holds, the script that runs there, models with their grids, how many are told."""

    name: str
    needs: str
    script: str
    models: Mapping[str, Sequence[Mapping[str, Any]]]
    shown: int
    most_products: Mapping[str, int]


RECTOOLS = Library(
    "RecTools",
    "RecTools",
    "rectools_peers.py",
    {
        "TF-IDF item-kNN": grid(neighbours=[20, 100, 500], decay=[1.0, 0.9]),
        "BM25 item-kNN": grid(neighbours=[20, 100, 500], decay=[1.0, 0.9]),
        "ALS": grid(factors=[16, 64], alpha=[1.0, 10.0], decay=[1.0, 0.9]),
        "PureSVD": grid(factors=[64, 256], decay=[1.0, 0.9]),
        "EASE": grid(ridge=[100.0, 500.0, 2000.0], decay=[1.0, 0.9]),
    },
    shown=2,
    most_products={"EASE": MOST_EASE_PRODUCTS},
)
LENSKIT = Library(
    "LensKit",
    "LensKit",
    "lenskit_peers.py",
    {
        "ItemKNN": grid(neighbours=[20, 100]),
        "UserKNN": grid(neighbours=[100, 500]),
        "ImplicitMF": grid(factors=[16, 64], weight=[1.0, 10.0], decay=[1.0, 0.9]),
        "EASE": grid(ridge=[100.0, 500.0, 2000.0]),
    },
    shown=2,
    most_products={"EASE": MOST_EASE_PRODUCTS, "ItemKNN": MOST_LENSKIT_PRODUCTS},
)
RECANET = Library(
    "ReCANet",
    "torch, for a network after ReCANet",
    "recanet_peer.py",
    {
        "ReCANet": [
            {"size": 64, "window": 20, "gaps": gaps, "examples": 1_500_000, "seconds": 900.0, "epochs": epochs}
            for gaps in ("orders", "logarithm")
            for epochs in (1, 2, 3, 4, 5)
        ]
    },
    shown=1,
    most_products={},
)
LIBRARIES = {"rectools": RECTOOLS, "lenskit": LENSKIT, "recanet": RECANET}


def orders_seen(question: Split, threads: int) -> Orders:
    """The question's history and customers as a library's process reads them."""
    history = question.history
    order = np.arange(history.n_orders) - history.customer_start[history.order_customer]

    def of_lines(values: Any, kind: Any) -> Any:
        return np.repeat(values, history.order_sizes).astype(kind)

    return Orders(
        customer=of_lines(history.order_customer, np.int32),
        order=of_lines(order, np.int32),
        day=of_lines(history.order_day, np.float64),
        product=history.products,
        asked=question.customers,
        n_customers=history.n_customers,
        n_products=history.n_products,
        threads=threads,
    )


def _checked(answer: Answer, question: Split, told: str) -> Answer:
    n_products = question.history.n_products
    for lists in (answer.lists, answer.new):
        if int(lists.max(initial=-1)) >= n_products:
            raise DataError(f"{told}: product {lists.max()} is ranked, and there are {n_products}. Correct its script.")
        ordered = np.sort(lists, axis=1)
        twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
        if twice.any():
            customer = int(question.customers[int(np.flatnonzero(twice.any(axis=1))[0])])
            raise DataError(f"{told}: customer {customer} is told a product twice in one list. Correct its script.")
    return answer


def ask(python: Path, script: Path, question: Split, runs: Sequence[Run], threads: int) -> list[Answer]:
    """What the library's process answers to each run, checked. DataError where it fails or answers nonsense."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_question(folder, orders_seen(question, threads), runs)
        done = subprocess.run([str(python), str(script), name], env=thread_settings(threads), check=False)
        if done.returncode:
            raise DataError(
                f"{script.name} ended with {done.returncode} in {python}; what it said stands above. "
                "Is that the Python of the environment made from the library's lock (benchmarks/README.md)?"
            )
        return [
            _checked(read_answer(folder, place, asked=len(question.customers)), question, f"{script.name}, {run}")
            for place, run in enumerate(runs)
        ]


def merged(lists: Sequence[Lists], depth: int, n_products: int) -> Lists:
    """(customers, depth) the lists of each customer one after the other, each product where it first stands."""
    joined = np.concatenate(lists, axis=1)
    rows = np.broadcast_to(np.arange(len(joined), dtype=np.int64)[:, None], joined.shape)
    place = np.broadcast_to(np.arange(joined.shape[1]), joined.shape)
    there = joined >= 0
    keys, first = np.unique(rows[there] * n_products + joined[there], return_index=True)
    best, _ = top_lists(
        keys, -place[there][first].astype(np.float32), n_rows=len(joined), n_products=n_products, depth=depth
    )
    return best


def fused(lists: Lists, own: Lists, share: float, depth: int, n_products: int) -> Lists:
    """(customers, depth) both by reciprocal rank, the customer's own list weighing `share`."""
    keys, values = [], []
    for weight, of in ((1 - share, lists), (share, own)):
        row, rank = np.nonzero(of >= 0)
        keys.append(row.astype(np.int64) * n_products + of[row, rank])
        values.append(weight / (FUSION + 1 + rank))
    every, which = np.unique(np.concatenate(keys), return_inverse=True)
    scores = np.bincount(which, weights=np.concatenate(values)).astype(np.float32)
    best, _ = top_lists(every, scores, n_rows=len(lists), n_products=n_products, depth=depth)
    return best


Form = Callable[[Lists, Lists, int], Lists]
FORMS: Mapping[str, Form] = {
    "as it is": lambda lists, _own, _n: lists[:, :DEPTH],
    "after P-TopFreq": lambda lists, own, n: merged((own[:, :DEPTH], lists), DEPTH, n),
    "fused, P-TopFreq 0.5": lambda lists, own, n: fused(lists, own, 0.5, DEPTH, n),
    "fused, P-TopFreq 0.8": lambda lists, own, n: fused(lists, own, 0.8, DEPTH, n),
}


def _own(question: Split) -> Lists:
    return personal_top_frequency(question.history, question.customers, TOLD)


def _told(answer: Answer, form: str, own: Lists, question: Split) -> Told:
    lists = FORMS[form](answer.lists, own, question.history.n_products)
    return Told(filled(lists, question), filled(answer.new, question))


@dataclass(frozen=True)
class Chosen:
    """A model with what validation chose for it, and what it tells of the test question; seconds of that alone."""

    name: str
    run: Run
    form: str
    validation: Mapping[str, float]  # of the settings chosen, in every form
    told: Told
    seconds: float


def compare(library: Library, python: Path, validation: Split, test: Split, threads: int) -> list[Chosen]:
    """The library's best models, best on validation first."""
    n_products = test.history.n_products
    runs = [
        Run(model, settings)
        for model, settings_of in library.models.items()
        if n_products <= library.most_products.get(model, n_products)
        for settings in settings_of
    ]
    script = Path(__file__).parent / library.script
    own = _own(validation)
    answers = ask(python, script, validation, runs, threads)
    tried = [
        {form: quality(measure(validation, _told(answer, form, own, validation))) for form in FORMS}
        for answer in answers
    ]
    best: dict[str, int] = {}
    for place, run in enumerate(runs):
        if run.model not in best or max(tried[place].values()) > max(tried[best[run.model]].values()):
            best[run.model] = place
    order = sorted(best.values(), key=lambda place: -max(tried[place].values()))
    print(
        f"  {library.name} on validation: " + ", ".join(f"{runs[p].model} {max(tried[p].values()):.4f}" for p in order)
    )
    shown = order[: library.shown]
    own = _own(test)
    told = ask(python, script, test, [runs[place] for place in shown], threads)
    found = []
    for place, answer in zip(shown, told, strict=True):
        form = max(tried[place], key=lambda one: tried[place][one])
        name = library.name if library.shown == 1 else f"{library.name} {runs[place].model}"
        found.append(Chosen(name, runs[place], form, tried[place], _told(answer, form, own, test), answer.seconds))
    return found
