"""What our recommender costs beside the libraries inside it: their bare fits, and implicit's own batch of lists."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray

from features.matrix import Purchases
from training.pair_table import decayed


@dataclass(frozen=True)
class Cost:
    """Seconds of training, seconds of the bare fits within it by library, and of one core for a customer's list."""

    training: float
    bare_fits: Mapping[str, float]
    cpu_seconds_per_list: float
    implicit_cpu_seconds_per_list: float

    @property
    def words(self) -> str:
        """Two lines to print."""
        bare = sum(self.bare_fits.values())
        parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.bare_fits.items())
        ours, theirs = 1 / self.cpu_seconds_per_list, 1 / self.implicit_cpu_seconds_per_list
        return (
            f"training ours: {self.training:.1f} s, {self.training / bare:.2f} times the bare fits in it ({parts})\n"
            f"a list of ours, with full ranking: {ours:,.0f} customers a second and core; "
            f"implicit's recommend, its factors alone: {theirs:,.0f}"
        )


@contextmanager
def bare_fits() -> Iterator[Mapping[str, float]]:
    """Seconds spent, within the block, in the fits of LightGBM and implicit, by library."""
    seconds = {"LightGBM": 0.0, "implicit": 0.0}

    def timed(name: str, fit: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return fit(*given, **named)
            finally:
                seconds[name] += time.perf_counter() - started

        return call

    train, fit = lightgbm.train, AlternatingLeastSquares.fit
    lightgbm.train, AlternatingLeastSquares.fit = timed("LightGBM", train), timed("implicit", fit)
    try:
        yield seconds
    finally:
        lightgbm.train, AlternatingLeastSquares.fit = train, fit


def implicit_seconds_per_list(history: Purchases, customers: NDArray[np.int32], depth: int, *, factors: int) -> float:
    """Seconds of one core that implicit takes for the first `depth` products of a customer by their factors alone."""
    bought = decayed(history, 1.0)
    model = AlternatingLeastSquares(factors=factors, iterations=1, num_threads=1, random_state=0)
    model.fit(bought, show_progress=False)
    model.num_threads = 1
    before = time.process_time()
    model.recommend(customers, bought[customers], N=depth, filter_already_liked_items=False)
    return (time.process_time() - before) / len(customers)
