"""Diversity, novelty and chance: what each dial does, and that propensities are the chances they say."""

import random
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from serving.candidates import Candidate
from serving.catalogue import Catalogue
from serving.choosing import Dials, choose, explored
from serving.circumstances import Circumstances
from serving.recommend import recommend
from serving.schemas import RecommendationRequest
from tests.serving.small_scores import small_state

#: Ten of tea, then ten of coffee, best first.
PRODUCTS = [
    {"product_id": f"p{n:02}", "category": "tea" if n < 10 else "coffee", "department": "drink", "price": 1.0}
    for n in range(20)
]
STATE = small_state({"a": [(1.0, [f"p{n:02}" for n in range(20)])]}, PRODUCTS)
CATALOGUE: Catalogue = STATE.catalogue


def chosen(k: int = 6, known: np.ndarray | None = None, **dials: float) -> list[int]:
    pool = iter([Candidate(code, None, "popular") for code in range(20)])
    flat = np.zeros(20, dtype=np.float32) if known is None else known
    found = choose(pool, k=k, dials=Dials(**dials), known=flat, catalogue=CATALOGUE, chance=random.Random(1))
    return [candidate.code for candidate in found.candidates]


def alike(codes: list[int]) -> int:
    """Neighbouring places of one category."""
    return sum((one < 10) == (other < 10) for one, other in pairwise(codes))


def test_without_dials_the_best_come_first() -> None:
    assert chosen() == [0, 1, 2, 3, 4, 5]


def test_diversity_takes_turns_between_categories_the_more_it_is_turned_up() -> None:
    assert chosen(diversity=1.0)[:2] == [0, 10]
    counts = [sum(code < 10 for code in chosen(diversity=dial)) for dial in (0.0, 0.3, 0.6, 1.0)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == 6
    assert counts[-1] == 3


def test_novelty_brings_what_is_less_known_forward() -> None:
    known = np.linspace(1, 0, 20, dtype=np.float32)
    assert chosen(known=known, novelty=1.0) == [19, 18, 17, 16, 15, 14]
    means = [np.mean(chosen(known=known, novelty=dial)) for dial in (0.0, 0.4, 0.8, 1.0)]
    assert means == sorted(means)


@pytest.mark.parametrize(("n", "k", "share"), [(20, 5, 0.4), (20, 5, 0.5), (7, 5, 1.0), (5, 5, 0.5), (3, 5, 0.7)])
def test_propensities_are_the_chances_of_being_shown(n: int, k: int, share: float) -> None:
    chance = random.Random(7)
    counts: Counter[int] = Counter()
    said: dict[int, float] = {}
    rounds = 20_000
    for _ in range(rounds):
        places, propensities = explored(n, k, share, chance)
        assert len(set(places)) == len(places) == min(n, k)
        counts.update(places)
        for place, propensity in zip(places, propensities, strict=True):
            assert said.setdefault(place, propensity) == propensity
    for place, propensity in said.items():
        deviation = (propensity * (1 - propensity) / rounds) ** 0.5
        assert abs(counts[place] / rounds - propensity) <= 4 * deviation + 1e-9
    assert sum(said.values()) == pytest.approx(min(n, k))


def test_an_answer_says_the_same_propensities_again_for_the_same_request_id() -> None:
    request = RecommendationRequest(customer_id="a", k=5, explore=0.5)
    one = recommend(STATE, request, Circumstances("r1"))
    assert one == recommend(STATE, request, Circumstances("r1"))
    different = {tuple(i.product_id for i in recommend(STATE, request, Circumstances(f"r{n}")).items) for n in range(9)}
    assert len(different) > 1


def test_a_propensity_comes_back_with_the_events_and_into_the_log(client, runtime) -> None:
    answer = client.post("/v1/recommendations", json={"customer_id": "ann", "k": 2, "explore": 1}).json()
    events = [
        {
            **{"event_id": f"e{item['rank']}", "kind": "impression", "occurred_at": answer["as_of"]},
            **{"product_id": item["product_id"], "customer_id": "ann", "request_id": answer["request_id"]},
            "propensity": item["propensity"],
        }
        for item in answer["items"]
    ]
    assert client.post("/v1/events", json={"events": events}).json()["accepted"] == 2
    logged = {row["product_id"]: row["propensity"] for row in runtime.events.since(0, limit=9)}
    assert logged == {item["product_id"]: pytest.approx(item["propensity"]) for item in answer["items"]}
    wrong = client.post("/v1/events", json={**events[0], "event_id": "x", "propensity": 0})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "propensity")
