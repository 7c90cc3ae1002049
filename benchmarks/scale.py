"""What a hundred million customers and a billion order lines a day would take, worked out from what was measured here.

    make bench                                        # leaves the measurements in benchmarks/out
    .venv/bin/python -m benchmarks.scale              # the plan, from them
    .venv/bin/python -m benchmarks.scale --write      # and puts it into docs/scale.md

Nothing of that size is run: it is a plan on paper. Work of the processor is measured here and multiplied; waiting is
simulated, since it does not grow in proportion. Each worker serves one request after another. Requests come by chance
(Poisson), and take as long as measured, quiet and live ones mixed; a request waits for those before it (Lindley's
recursion, 1952). Either each goes to a worker by lot, as the kernel does between workers on one port, or to the shorter
queue of two by lot (Mitzenmacher 2001), as a proxy can.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import put
from features.home import write_text

OUT = Path(__file__).parent / "out"
DOCUMENT = Path(__file__).parents[1] / "docs" / "scale.md"
LIVE_SHARE = 0.2  # of requests; as in benchmarks/serving.py
LOADS = (0.5, 0.6, 0.7, 0.8, 0.9)
REQUESTS = 400_000
WORKERS = 32
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Shop:
    """What is asked for. Each is an assumption: change it on the command line."""

    customers: float = 100e6
    lines_a_day: float = 1e9
    lines_an_order: float = 10.0
    views_an_order: float = 50.0
    busiest_hour: float = 3.0  # times the mean rate
    history_days: float = 365.0
    night_hours: float = 4.0  # in which everything nightly is to be done
    cores_a_host: int = 16
    load: float = 0.6  # share of a worker's time that is busy at the busiest hour


@dataclass(frozen=True)
class Measured:
    """What was measured here, in seconds of one core."""

    request: float  # the mean request of the server, HTTP and all
    quiet: float  # an answer with nothing new, in process
    live: float  # one ranked anew, in process
    line_loaded: float
    line_added_up: float  # into the ledger of running totals
    customer_features: float
    customer_scored: float  # three models and reasons
    customer_ranked: float  # the first 20 of all candidates

    @classmethod
    def read(cls, folder: Path) -> Measured:
        """From the reports of the benchmarks. Raises SystemExit that names the benchmark whose report is missing."""

        def of(name: str) -> Any:
            path = folder / f"{name}.json"
            if not path.exists():
                raise SystemExit(f"{path} is not there. Measure it first:  python -m benchmarks.bench --only {name}")
            return json.loads(path.read_text(encoding="utf-8"))

        ms, load, whole = of("one_customer")["ms"], of("ingest")[0], of("scoring")
        lines, runs = next(iter(of("features")["sizes"].items()))
        customers = of("features")["customers"][lines]
        return cls(
            request=of("serving")["load"]["cpu_us_per_request"]["regulars"] / 1e6,
            quiet=ms["quiet"]["median"] / 1e3,
            live=ms["live"]["median"] / 1e3,
            line_loaded=load["load"]["cpu"] / load["lines"],
            line_added_up=runs["ledger"]["cpu"] / float(lines),
            customer_features=runs["customer_and_product"]["cpu"] / customers,
            customer_scored=whole["everything"]["cpu"] / whole["customers"],
            customer_ranked=of("recommender")["shops"][0]["ours_cost"]["cpu_seconds_per_list"],
        )

    def service_times(self, n: int, rng: np.random.Generator) -> Floats:
        """(n,) seconds that requests keep a worker: what every request costs, and the answer, quiet or live."""
        answer = np.where(rng.random(n) < LIVE_SHARE, self.live, self.quiet)
        mean = LIVE_SHARE * self.live + (1 - LIVE_SHARE) * self.quiet
        # What is measured in process is the answer alone; HTTP around it is the rest of a request.
        return max(self.request - mean, 0.0) + answer * rng.gamma(4.0, 0.25, n)


def waits_by_lot(service: Floats, load: float, rng: np.random.Generator) -> Floats:
    """(n,) seconds each request waits at one worker that is busy `load` of the time."""
    gaps = rng.exponential(service.mean() / load, len(service))
    steps = np.concatenate(([0.0], service[:-1] - gaps[1:]))
    total = np.cumsum(steps)
    waits: Floats = total - np.minimum.accumulate(total)
    return waits


def waits_of_two(service: Floats, load: float, rng: np.random.Generator, workers: int = WORKERS) -> Floats:
    """(n,) seconds each waits where the one of two workers, drawn by lot, that is free sooner takes it."""
    gaps = rng.exponential(service.mean() / load / workers, len(service))
    came = np.cumsum(gaps)
    pairs = rng.integers(0, workers, (len(service), 2)).tolist()
    free = [0.0] * workers
    waits = np.empty(len(service))
    for place, (moment, takes, (first, second)) in enumerate(zip(came.tolist(), service.tolist(), pairs, strict=True)):
        chosen = first if free[first] <= free[second] else second
        begins = max(moment, free[chosen])
        free[chosen] = begins + takes
        waits[place] = begins - moment
    return waits


def tails(measured: Measured, waits: Callable[..., Floats], load: float) -> tuple[float, float]:
    """(median, 99th percentile) milliseconds from a request's coming to its answer."""
    rng = np.random.default_rng(0)
    service = measured.service_times(REQUESTS, rng)
    took = (waits(service, load, rng) + service) * 1e3
    median, late = np.percentile(took, [50, 99])
    return float(median), float(late)


def serving_plan(shop: Shop, measured: Measured) -> list[str]:
    """Requests at the busiest hour, the workers and hosts for them, and the waits by load."""
    a_day = shop.lines_a_day / shop.lines_an_order * shop.views_an_order
    rate = a_day / 86_400 * shop.busiest_hour
    workers = math.ceil(rate * measured.request / shop.load)
    hosts = math.ceil(workers / shop.cores_a_host)
    told = [
        f"{a_day / 1e9:.1f} billion page views a day, {rate:,.0f} a second in the busiest hour. One request takes "
        f"{measured.request * 1e6:.0f} µs of a core, so {rate * measured.request:,.0f} cores are busy; at a load of "
        f"{shop.load:.0%}, {workers:,} workers: **{hosts:,} hosts of {shop.cores_a_host} cores, and "
        f"{math.ceil(hosts / 3):,} more so that a third may fail.**",
        "",
        "| load of each worker | by lot: median, p99 (ms) | shorter of two queues: median, p99 (ms) |",
        "| --- | --- | --- |",
    ]
    for load in LOADS:
        lot, two = (tails(measured, waits, load) for waits in (waits_by_lot, waits_of_two))
        told.append(f"| {load:.0%} | {lot[0]:.2f}, {lot[1]:.2f} | {two[0]:.2f}, {two[1]:.2f} |")
    return told


def night_plan(shop: Shop, measured: Measured) -> list[str]:
    """Core-hours of each step of a night, and the cores that do it in time."""
    a_year = shop.lines_a_day * shop.history_days
    steps = {
        "load and check the day's lines": (shop.lines_a_day, measured.line_loaded, "lines"),
        "running totals of the day's lines": (shop.lines_a_day, measured.line_added_up, "lines"),
        "running totals made anew, of all history (after an upgrade)": (a_year, measured.line_added_up, "lines"),
        "features of every customer as of tonight": (shop.customers, measured.customer_features, "customers"),
        "churn, propensity, value and reasons": (shop.customers, measured.customer_scored, "customers"),
        "the first 20 products of every customer": (shop.customers, measured.customer_ranked, "customers"),
    }
    told = [
        f"| step | how many | one takes, of a core | core-hours | cores for {shop.night_hours:g} hours |",
        "| --- | --- | --- | --- | --- |",
    ]
    nightly = 0.0
    for name, (count, seconds, what) in steps.items():
        hours = count * seconds / 3600
        nightly += 0.0 if "anew" in name else hours
        cores = math.ceil(hours / shop.night_hours)
        told.append(f"| {name} | {count:,.0f} {what} | {seconds * 1e6:,.1f} µs | {hours:,.0f} | {cores:,} |")
    told += ["", f"**A night: {nightly:,.0f} core-hours, {math.ceil(nightly / shop.night_hours):,} cores.**"]
    return told


def plan(shop: Shop, measured: Measured) -> str:
    """Both plans as Markdown."""
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    parts = [
        f"Worked out by `python -m benchmarks.scale` from measurements on {machine}.",
        "",
        "### Serving",
        "",
        *serving_plan(shop, measured),
        "",
        "### The night",
        "",
        *night_plan(shop, measured),
    ]
    return "\n".join(parts)


def main() -> None:
    """Print the plan, and put it into docs/scale.md if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the plan into docs/scale.md")
    for name, value in vars(Shop()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    given = vars(parser.parse_args())
    write = given.pop("write")
    told = plan(Shop(**given), Measured.read(OUT))
    print(told)
    if write:
        write_text(DOCUMENT, put(DOCUMENT.read_text(encoding="utf-8"), "plan", told))


if __name__ == "__main__":
    main()
