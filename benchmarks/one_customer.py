"""How long an answer for one customer takes, in process, and where the time goes.

    .venv/bin/python -m benchmarks.one_customer

Scores are made up (benchmarks/made_scores.py): 68,000 products. `quiet`: nothing new since the scores, so the ranked
list, memory-mapped, is filtered, ruled and explained. `live`: events of the visit and a cart, so candidates are found
and ranked anew. Each answer is encoded as the server encodes it. The result is printed and written to
benchmarks/out/one_customer.json.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.made_scores import AS_OF, made_scores
from features.home import Home
from serving.circumstances import Circumstances
from serving.live import Bought, Interest
from serving.recommend import recommend
from serving.reload import freeze
from serving.request_ids import new_id
from serving.rule_book import RuleBook
from serving.rules import Cap, Pin, Rules, Weight
from serving.schemas import Filters, RecommendationRequest
from serving.state import State, load_state
from serving.warm_up import warm_up

OUT = Path(__file__).parent / "out"
PRODUCTS = 68_000
NOW = AS_OF.replace(tzinfo=None) + timedelta(hours=9)
Case = Callable[[int], tuple[RecommendationRequest, Circumstances]]
LIMITS = {"quiet": (0.5, None), "live": (3.0, 6.0)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--answers", type=int, default=5_000)
    parser.add_argument("--home", type=Path, help="Where the made-up scores are kept for the next run.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="regulars-one-") as folder:
        home = Home(given.home or Path(folder) / "home")
        made_scores(home, version="made-evidence", customers=given.customers, products=PRODUCTS)
        state = load_state(home)
        warm_up(state)
        freeze()
        found = {name: measured(state, case, given.answers) for name, case in cases(state, given.customers).items()}
    report = {
        "data": f"{given.customers} customers, {PRODUCTS} products, made up; {given.answers} answers of 10 each",
        "machine": {"cores": os.cpu_count(), "load_before": os.getloadavg()[0]},
        "ms": found,
        "limits_ms": {name: {"median": limit[0], "p99": limit[1]} for name, limit in LIMITS.items()},
    }
    OUT.mkdir(exist_ok=True)
    (OUT / "one_customer.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    print(json.dumps(report, indent=2))


def cases(state: State, customers: int) -> dict[str, Case]:
    """What is asked, by name."""
    assert state.catalogue is not None
    rng = np.random.default_rng(1)
    who = [f"c{number:07d}" for number in rng.integers(0, customers, 100_000)]
    products = [f"p{number:06d}" for number in rng.integers(0, 5_000, 100_000)]
    rules = Rules(
        hide=products[:50],
        pin=[Pin(product=products[60], position=2)],
        boost=[Weight(factor=1.5, brand=["brand 0001"])],
        cap=[Cap(per="category", most=2)],
        diversity=0.3,
    )
    ruled = RuleBook(rules, state.catalogue)
    seen = timedelta(minutes=20)

    def of(book: RuleBook | None = None, *, live: bool = False, **asked: Any) -> Case:
        def case(at: int) -> tuple[RecommendationRequest, Circumstances]:
            interest = Interest()
            if live:
                interest = Interest(
                    views=tuple(products[at : at + 10]),
                    cart=tuple(products[at + 10 : at + 13]),
                    bought={products[at + 13]: Bought(1, NOW - seen)},
                )
            request = RecommendationRequest(customer_id=who[at], placement="home", **asked)
            return request, Circumstances(new_id(), now=NOW, interest=interest, rebuy_after=NOW, rules=book)

        return case

    narrow = Filters(category="category 007", max_price=9.0)
    return {
        "quiet": of(),
        "quiet, filters": of(filters=narrow),
        "quiet, rules and diversity": of(ruled),
        "quiet, exploration": of(explore=0.2),
        "live": of(live=True),
        "live, rules and diversity": of(ruled, live=True),
        "buy again": of(question="buy_again"),
        "new arrivals": of(question="new_arrivals"),
        "similar": of(question="similar", product_id="p000100"),
        "category page": of(question="category", filters=Filters(category="category 007")),
    }


def measured(state: State, case: Case, answers: int) -> dict[str, Any]:
    """Median, 99th percentile and worst time of an answer, and the share of each part of it."""
    encode = msgspec.json.Encoder().encode
    times = []
    for request, circumstances in (case(at) for at in range(answers)):
        started = time.perf_counter()
        encode(recommend(state, request, circumstances))
        times.append((time.perf_counter() - started) * 1000)
    return {
        "median": round(float(np.median(times)), 4),
        "p99": round(float(np.percentile(times, 99)), 4),
        "worst": round(max(times), 3),
        "where": dict(_parts(state, case, min(answers, 1_000))),
    }


#: The step of an answer that a function is.
STEPS = {
    ("questions.py", "sources_of"): "sources and their candidates",
    ("candidates.py", None): "sources and their candidates",
    ("filters.py", None): "filters",
    ("recommend.py", "_not_again"): "filters",
    ("recommend.py", "_never"): "filters",
    ("rule_book.py", None): "rules",
    ("choosing.py", None): "rules, diversity, novelty, chance",
    ("reasons.py", None): "reasons",
    ("insights.py", None): "reasons",
    ("request_ids.py", None): "the answer itself",
    ("recommend.py", None): "the answer itself",
}


def _parts(state: State, case: Case, answers: int) -> Iterator[tuple[str, float]]:
    """Share of the time by step, of the functions' own time under a profiler (which weighs small calls more)."""
    asked = [case(at) for at in range(answers)]
    encode = msgspec.json.Encoder().encode
    profile = cProfile.Profile()
    profile.enable()
    for request, circumstances in asked:
        encode(recommend(state, request, circumstances))
    profile.disable()
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    shares: dict[str, float] = {}
    for (file, _, function), (_, _, own, _, _) in stats.items():
        name = Path(file).name
        step = STEPS.get((name, function)) or STEPS.get((name, None)) or "libraries (NumPy, msgspec)"
        shares[step] = shares.get(step, 0.0) + own
    total = sum(shares.values())
    for step, own in sorted(shares.items(), key=lambda pair: -pair[1]):
        yield step, round(own / total, 3)


if __name__ == "__main__":
    main()
