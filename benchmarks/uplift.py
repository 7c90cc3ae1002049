"""Uplift learned from made-up campaigns whose truth is known, beside causalml and scikit-uplift.

    .venv/bin/uv venv --python 3.11 /tmp/uplift-env
    .venv/bin/uv pip install --python /tmp/uplift-env/bin/python --require-hashes -r benchmarks/uplift.lock
    .venv/bin/python -m benchmarks.uplift --rivals /tmp/uplift-env/bin/python

The rivals want other releases of NumPy than ours, so they run in an environment of their own, on the same customers
(benchmarks/uplift_rivals.py). Customers have a rhythm, a silence and some habits; whether they order again, and by how
much a contact changes that, are functions of these which nobody who learns is told. `mixed`: contacts save those who
are slipping and drive away some who were fine; `gentle`: half as much of it; `none`: each contact does the same. So
many are contacted or held out by lot; what each method has learned is asked about 20,000 others.

    found   of the gain that the right order would bring over contacting by chance, the part that the method's order
            does, by the true effects: 1 is perfect, 0 is chance, below 0 is worse than chance
    error   root of the mean square difference to the true effect
    pairs   mean over the draws of ours (X, which is served) less theirs in `found`, with the 95% interval of that mean

Rivals are asked with LightGBM as it comes (`rough`) and with the settings of our own trees and 100 of them (`fine`),
for no method can do well with trees that do not suit the numbers of customers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from training.boosting import predict
from training.uplift_arms import CONFIG, learn_arms, on
from training.uplift_learners import LEARNERS

OUT = Path(__file__).parent / "out"
TESTED = 20_000
WORLDS: Mapping[str, float] = {"mixed": 1.0, "gentle": 0.5, "none": 0.0}
OURS, RISK = "regulars ", "most at risk first"
#: Effects that differ by less than this (standard deviation) have no order to be found.
EQUAL = 0.02
#: Our trees, as LightGBM's scikit-learn classes are told of them.
SETTINGS = {
    "num_leaves": CONFIG.num_leaves,
    "learning_rate": CONFIG.learning_rate,
    "n_estimators": 100,
    "reg_lambda": CONFIG.lambda_l2,
    "colsample_bytree": CONFIG.feature_fraction,
    "subsample": CONFIG.bagging_fraction,
    "subsample_freq": 1,
}

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Made:
    """Customers, their chance of staying if left alone, and by how much a contact changes it."""

    frame: pd.DataFrame
    stays: Floats
    effect: Floats


def customers(n: int, strength: float, rng: np.random.Generator) -> Made:
    """So many of a world where effects differ by `strength`."""
    gap, silence = rng.gamma(3, 5, n), rng.exponential(14, n)
    weeks, spend = rng.integers(0, 13, n).astype(float), rng.gamma(2, 60, n)
    contacts = rng.poisson(1.2, n).astype(float)
    late = np.clip(silence / np.maximum(gap, 1), 0, 6)
    stays = expit(1.2 - 0.7 * late + 0.12 * weeks)
    # The slipping can be saved, most of all those who spend; the punctual are reminded to leave, the often called too.
    differs = 0.22 * np.exp(-((late - 2.2) ** 2) / 1.5) * expit((spend - 80) / 40) - 0.07 * (late < 0.8)
    differs = differs - 0.05 * (contacts > 2)
    effect = np.clip(0.03 + strength * differs, -stays, 1 - stays)
    noise = {f"habit_{place}": rng.normal(size=n) for place in range(12)}
    facts = {"gap_mean_days": gap, "days_since_last_order": silence, "weeks_active_12w": weeks, "spend_90d": spend}
    return Made(pd.DataFrame({**facts, "contacts_90d": contacts, **noise}), stays, effect)


def ours(made: Made, treated: Any, kept: Any, share: float, threads: int, seed: int) -> dict[str, Any]:
    """Our three learners, all from the same two models of who stays; and the risk of those left alone, as an order."""
    config = on(threads, seed)
    table, arms = learn_arms(made.frame, treated, kept, config=config)
    chance = np.full(len(treated), share)

    def risk(frame: pd.DataFrame) -> Floats:
        return 1 - predict(arms.alone, table.encode(frame), threads=threads)

    return {RISK: risk} | {
        f"{OURS}{kind.upper()}": learner(config).fit(made.frame, treated, kept, probability=chance, arms=arms).predict
        for kind, learner in LEARNERS.items()
    }


def found_of(said: Floats, effect: Floats) -> float:
    """The part of the possible gain; NaN where all effects are equal."""

    def area(order: NDArray[np.int64]) -> float:
        return float(np.cumsum(effect[order]).mean() / len(effect)) - float(effect.mean()) / 2

    if effect.std() < EQUAL:
        return np.nan
    return area(np.argsort(-said, kind="stable")) / area(np.argsort(-effect, kind="stable"))


@dataclass(frozen=True)
class Draw:
    """Customers to learn from, what was done and what came of it, and others to be asked about."""

    made: Made
    treated: NDArray[np.int64]
    kept: NDArray[np.int64]
    share: float
    other: Made
    seed: int

    @classmethod
    def of(cls, n: int, share: float, strength: float, seed: int) -> Draw:
        """So many of a world, `share` of them contacted."""
        rng = np.random.default_rng(seed)
        made, other = customers(n, strength, rng), customers(TESTED, strength, rng)
        treated = (rng.random(n) < share).astype(np.int64)
        kept = (rng.random(n) < made.stays + made.effect * treated).astype(np.int64)
        return cls(made, treated, kept, share, other, seed)


def measured(draws: list[Draw], threads: int, rivals: Path | None) -> list[dict[str, Any]]:
    """`found` and `error` of every method on each draw."""
    theirs: list[dict[str, Floats]] = [{} for _ in draws] if rivals is None else of_rivals(draws, threads, rivals)
    found = []
    for draw, answers in zip(draws, theirs, strict=True):
        mine = ours(draw.made, draw.treated, draw.kept, draw.share, threads, draw.seed)
        said = {name: ask(draw.other.frame) for name, ask in mine.items()}
        said |= answers
        effect = draw.other.effect
        found.append(
            {
                name: {"found": found_of(one, effect), "error": float(np.sqrt(np.mean((one - effect) ** 2)))}
                for name, one in said.items()
            }
        )
    return found


def of_rivals(draws: list[Draw], threads: int, python: Path) -> list[dict[str, Floats]]:
    """What each rival says of the customers asked about, from its own environment."""
    with tempfile.TemporaryDirectory() as folder:
        for place, draw in enumerate(draws):
            np.savez(
                Path(folder) / f"draw{place:03}.npz",
                x=draw.made.frame.to_numpy(float),
                treated=draw.treated,
                kept=draw.kept,
                share=draw.share,
                asked=draw.other.frame.to_numpy(float),
            )
        script = Path(__file__).with_name("uplift_rivals.py")
        told = json.dumps({**SETTINGS, "n_jobs": threads})
        subprocess.run([str(python), "-W", "ignore", str(script), folder, told], check=True)
        return [dict(np.load(Path(folder) / f"said{place:03}.npz")) for place in range(len(draws))]


def main() -> None:
    """Measure, print, and write benchmarks/out/uplift.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, nargs="+", default=[5_000, 20_000])
    parser.add_argument("--holdout", type=float, nargs="+", default=[0.1, 0.5])
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--threads", type=int, default=int(os.environ.get("REGULARS_THREADS", "2")))
    parser.add_argument("--worlds", nargs="+", choices=list(WORLDS), default=list(WORLDS))
    parser.add_argument("--rivals", type=Path, help="the Python of the environment with the rivals")
    arguments = parser.parse_args()
    kept: list[dict[str, Any]] = []
    for world in arguments.worlds:
        strength = WORLDS[world]
        for n in arguments.customers:
            for holdout in arguments.holdout:
                draws = [Draw.of(n, 1 - holdout, strength, seed) for seed in range(arguments.draws)]
                kept += show(world, n, holdout, measured(draws, arguments.threads, arguments.rivals))
    OUT.mkdir(exist_ok=True)
    (OUT / "uplift.json").write_text(json.dumps(kept, indent=2) + "\n")


def show(world: str, n: int, holdout: float, draws: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Print the means of one setting; the rows."""
    print(f"\n{world}: {n:,} customers, {holdout:.0%} held out, {len(draws)} draws", flush=True)
    rows = []
    main = np.array([draw[f"{OURS}X"]["found"] for draw in draws])
    for name in draws[0]:
        found, error = (np.array([draw[name][what] for draw in draws]) for what in ("found", "error"))
        ahead = main - found
        half = 1.96 * ahead.std(ddof=1) / np.sqrt(len(ahead)) if len(ahead) > 1 else np.nan
        rows.append({"world": world, "customers": n, "holdout": holdout, "method": name})
        rows[-1] |= {"found": float(found.mean()), "error": float(error.mean())}
        rows[-1] |= {
            "ahead": float(ahead.mean()),
            "low": float(ahead.mean() - half),
            "high": float(ahead.mean() + half),
        }
        told = f"{ahead.mean():+.3f} [{ahead.mean() - half:+.3f}, {ahead.mean() + half:+.3f}]"
        print(f"  {name:42} found {found.mean():6.3f}   error {error.mean():.4f}   pairs {told}", flush=True)
    return rows


if __name__ == "__main__":
    main()
