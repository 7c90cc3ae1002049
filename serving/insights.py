"""What the evidence says of products and of one customer's taste, as lists the questions are answered from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.catalogue import NO_VALUE, Catalogue
from training.evidence import Evidence

SECONDS_PER_DAY = 86_400.0
#: A product trends when its growth is this many standard deviations above none.
LEAST_GROWTH = 2.0
MOST_TRENDING = 200
#: A product is new for so many days.
NEW_DAYS = 30.0


@dataclass(frozen=True)
class Insights:
    """Of a scoring's products: which trend, how known each is (0 to 1), since when each is offered (seconds; NaN)."""

    trending: tuple[int, ...]
    growth: tuple[float, ...]
    known: NDArray[np.float32]
    since: NDArray[np.float64]
    #: Reasons told before, by what they are about; they change with the scores only.
    told: dict[tuple[int, int, str], Any] = field(default_factory=dict)


NO_INSIGHTS = Insights((), (), np.empty(0, dtype=np.float32), np.empty(0))


def make_insights(catalogue: Catalogue, evidence: Evidence | None) -> Insights:
    """From the evidence; without it, nothing trends, and what is popular is what is known."""
    n = len(catalogue.ids)
    if evidence is None:
        known = np.clip(1 - catalogue.place / max(catalogue.popular_count, 1), 0, 1).astype(np.float32)
        return Insights((), (), known, catalogue.listed)
    lately, before = evidence.sold_lately.astype(np.float64), evidence.sold_before.astype(np.float64)
    # Orders of two equal windows are equal but for chance: their difference varies by the root of their sum.
    growth = (lately - before) / np.sqrt(np.maximum(lately + before, 1))
    best = np.argsort(-growth, kind="stable")[:MOST_TRENDING]
    best = best[growth[best] >= LEAST_GROWTH]
    sold = np.log1p(evidence.sold_orders.astype(np.float64))
    since = np.where(np.isnan(catalogue.listed), evidence.first_sold * SECONDS_PER_DAY, catalogue.listed)
    # A shop's whole catalogue is no arrival because its orders begin then.
    if evidence.days <= NEW_DAYS:
        since = catalogue.listed
    return Insights(
        trending=tuple(best.tolist()),
        growth=tuple(growth[best].tolist()),
        known=(sold / max(float(sold.max(initial=0.0)), 1e-9)).astype(np.float32) if n else np.empty(0, np.float32),
        since=since,
    )


def arrivals(
    insights: Insights, catalogue: Catalogue, taste: Mapping[str, NDArray[np.float64]] | None, *, moment: float
) -> tuple[list[int], list[float]]:
    """Products offered for the first time in the NEW_DAYS before `moment` (seconds), and their scores, best first.

    By what the customer bought of their category and brand (see `own_taste`), then the newest first.
    """
    since = insights.since
    new = np.flatnonzero((since > moment - NEW_DAYS * SECONDS_PER_DAY) & (since <= moment))
    score = np.zeros(len(new))
    for name, counts in (taste or {}).items():
        of_new = catalogue.attributes[name].of_product[new]
        score += np.where(of_new == NO_VALUE, 0.0, counts[of_new])
    order = np.lexsort((catalogue.place[new], -since[new], -score))
    return new[order].tolist(), score[order].tolist()


def own_taste(evidence: Evidence, row: int, catalogue: Catalogue) -> dict[str, NDArray[np.float64]]:
    """By category and brand, how much a customer bought of each value: products, counted once in each order."""
    own = evidence.own(row)
    codes, orders = evidence.own_products[own], evidence.own_orders[own]
    taste = {}
    for name in ("category", "brand"):
        column = catalogue.attributes[name]
        of_own = column.of_product[codes]
        kept = of_own != NO_VALUE
        counts = np.bincount(of_own[kept], weights=orders[kept], minlength=len(column.values))
        taste[name] = counts.astype(np.float64)
    return taste


@lru_cache(maxsize=4096)
def every(days: float) -> str:
    """A span in words: every 12 days."""
    rounded = round(days)
    return "every day" if rounded <= 1 else f"every {rounded} days"


@lru_cache(maxsize=4096)
def ago(days: int) -> str:
    """A time in words: 14 days ago."""
    return "today" if days <= 0 else "yesterday" if days == 1 else f"{days} days ago"
