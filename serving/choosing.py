"""Which of the best candidates are shown, and in which order: the shop's weights and caps, diversity, novelty, chance.

Sources do not score alike, so relevance is the place on the list: 1 for the first candidate, falling evenly to 0.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving.candidates import Candidate
from serving.catalogue import NO_VALUE, Catalogue
from serving.rule_book import NOTHING, InForce

#: Candidates looked at for each place to fill, and at least.
_FOR_EACH, _AT_LEAST = 5, 50
#: How alike two products are that share one of these.
_LIKENESS = {"category": 0.5, "department": 0.2, "brand": 0.3}


class Dials(NamedTuple):
    """Each from 0 to 1; 0 changes nothing."""

    diversity: float = 0.0
    novelty: float = 0.0
    explore: float = 0.0


STILL = Dials()


class Chosen(NamedTuple):
    """What is shown, and the chance of each to be (None: there was no chance in it)."""

    candidates: list[Candidate]
    propensities: list[float] | None = None


def choose(
    found: Iterator[Candidate],
    *,
    k: int,
    rules: InForce = NOTHING,
    dials: Dials = STILL,
    known: NDArray[np.float32],
    catalogue: Catalogue,
    taken: Iterable[int] = (),
    chance: random.Random | None = None,
) -> Chosen:
    """`k` of the candidates, or as many as there are and the caps allow. `taken` count for the caps too.

    `known`: how known each product is, from 0 to 1.
    """
    if rules.weights is None and dials == STILL:
        return Chosen(_first(found, k, rules.caps, taken))
    pool: list[Candidate] = []
    most = max(_FOR_EACH * k, _AT_LEAST)
    for candidate in found:
        pool.append(candidate)
        if len(pool) == most:
            break
    if not pool:
        return Chosen([])
    codes = np.array([candidate.code for candidate in pool], dtype=np.int64)
    relevance = 1 - np.arange(len(pool)) / len(pool)
    if rules.weights is not None:
        relevance = relevance * rules.weights[codes]
    if dials.novelty:
        relevance = (1 - dials.novelty) * relevance + dials.novelty * (1 - known[codes])
    exploring = dials.explore > 0 and chance is not None
    # With chance the whole pool keeps the caps, so that any choice of it does.
    n = len(pool) if exploring else k
    order = _ordered(codes, relevance, n, dials.diversity, rules.caps, catalogue, taken)
    if exploring and chance is not None:
        places, propensities = explored(len(order), k, dials.explore, chance)
        chosen = [pool[order[place]] for place in places]
    else:
        chosen, propensities = [pool[place] for place in order], None
    if len(chosen) < k:  # the caps left out what was best; plainer products may keep them
        more = _first(found, k - len(chosen), rules.caps, [*taken, *(candidate.code for candidate in chosen)])
        chosen += more
        propensities = None if propensities is None else propensities + [1.0] * len(more)
    return Chosen(chosen, propensities)


def _first(
    found: Iterator[Candidate], k: int, caps: Sequence[tuple[NDArray[np.int32], int]], taken: Iterable[int]
) -> list[Candidate]:
    chosen: list[Candidate] = []
    if k <= 0:
        return chosen
    if not caps:
        return list(islice(found, k))
    counts: list[dict[int, int]] = [{} for _ in caps]
    for code in taken:
        _counted(code, caps, counts)
    for candidate in found:
        if _counted(candidate.code, caps, counts):
            chosen.append(candidate)
            if len(chosen) == k:
                break
    return chosen


def _counted(code: int, caps: Sequence[tuple[NDArray[np.int32], int]], counts: list[dict[int, int]]) -> bool:
    """Whether every cap has room for the product; then it is counted."""
    groups = [int(group[code]) for group, _ in caps]
    for group, count, (_, most) in zip(groups, counts, caps, strict=True):
        if group != NO_VALUE and count.get(group, 0) >= most:
            return False
    for group, count in zip(groups, counts, strict=True):
        count[group] = count.get(group, 0) + 1
    return True


def _ordered(
    codes: NDArray[np.int64],
    relevance: NDArray[np.float64],
    n: int,
    diversity: float,
    caps: Sequence[tuple[NDArray[np.int32], int]],
    catalogue: Catalogue,
    taken: Iterable[int],
) -> list[int]:
    """Up to `n` positions by maximal marginal relevance (Carbonell and Goldstein 1998), keeping the caps.

    What is already chosen is redundant with a candidate by 1 less the product of their unlikenesses, and not by the
    greatest likeness alone, so that two categories take turns instead of one that was shown once being spent.
    """
    counts: list[dict[int, int]] = [{} for _ in caps]
    for code in taken if caps else ():
        _counted(code, caps, counts)
    if not diversity:
        order = []
        for position in np.argsort(-relevance, kind="stable").tolist():
            if not caps or _counted(int(codes[position]), caps, counts):
                order.append(position)
                if len(order) == n:
                    break
        return order
    groups = [(catalogue.attributes[name].of_product[codes], weight) for name, weight in _LIKENESS.items()]
    worth = (1 - diversity) * relevance / max(float(relevance.max()), 1e-9)
    unlike = np.ones(len(codes))
    order = []
    left = np.ones(len(codes), dtype=bool)
    while len(order) < n and left.any():
        position = int(np.argmax(np.where(left, worth - diversity * (1 - unlike), -np.inf)))
        left[position] = False
        if caps and not _counted(int(codes[position]), caps, counts):
            continue
        order.append(position)
        alike = np.zeros(len(codes))
        for group, weight in groups:
            if group[position] != NO_VALUE:
                alike += weight * (group == group[position])
        unlike *= 1 - alike
    return order


def explored(n: int, k: int, share: float, chance: random.Random) -> tuple[list[int], list[float]]:
    """Which of `n` places in order of merit are shown in `k`, and the chance of each of those to be shown.

    A share of the k, the last ones, is drawn evenly from what did not come first; the share's fraction of a place is
    rounded by chance, in proportion. The chances are those of both together, so they add up to k over the n.
    """
    k = min(k, n)
    whole = int(share * k)
    fraction = share * k - whole
    drawn = whole + (chance.random() < fraction)
    sure = k - drawn
    places = [*range(sure), *chance.sample(range(sure, n), drawn)]

    def chance_of(place: int, drawn: int) -> float:
        sure = k - drawn
        return 1.0 if place < sure else drawn / (n - sure) if drawn else 0.0

    return places, [
        (1 - fraction) * chance_of(place, whole) + (fraction * chance_of(place, whole + 1) if fraction else 0.0)
        for place in places
    ]
