"""How sales are spread over customers: tenths of the customers, and tenths of the sales."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TENTHS = 10


@dataclass(frozen=True)
class Tenth:
    """One tenth, the best first: its customers, what they brought, its share, all up to it, and the least of them."""

    tenth: int
    customers: int
    amount: float
    share: float
    amount_so_far: float
    share_so_far: float
    mean: float
    least: float

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def decile_of(amounts: NDArray[np.float64]) -> NDArray[np.int64]:
    """(customers,) the tenth of the customers each is in, 1 for the tenth that brought most.

    Formula: customers sorted by amount, the largest first; decile = 1 + floor(10 x place / customers), places from 0.
    Equal amounts are parted by the order of customer_id, so that tenths are of equal size.
    Source: decile analysis as in Hughes, Strategic Database Marketing (1994).
    """
    order = np.argsort(-amounts, kind="stable")
    deciles = np.empty(len(amounts), dtype=np.int64)
    deciles[order] = 1 + TENTHS * np.arange(len(amounts)) // max(len(amounts), 1)
    return deciles


def customer_deciles(amounts: NDArray[np.float64]) -> list[Tenth]:
    """Ten rows, each of a tenth of the customers, those who brought most first.

    Formula: share = amount of the tenth / amount of all. Source: as `decile_of`.
    """
    return _tenths(amounts, decile_of(amounts))


def sales_decile_of(amounts: NDArray[np.float64]) -> NDArray[np.int64]:
    """(customers,) the tenth of the sales each belongs to, 1 for the first; 0 for those who brought nothing.

    Formula: customers with an amount above 0 sorted by it, the largest first; sales decile = the tenth in which the sum
    of all before a customer and half of their own lies. So each customer belongs to one tenth alone, where most of
    their amount lies or near it.
    Source: the reverse of the customer decile (the "sales decile" of customer-relationship handbooks): how many
    customers make each tenth of sales.
    """
    order = np.argsort(-amounts, kind="stable")
    positive = order[amounts[order] > 0]
    found = np.zeros(len(amounts), dtype=np.int64)
    own = amounts[positive]
    if len(own):
        middle = (np.cumsum(own) - own / 2) / own.sum()
        found[positive] = 1 + np.minimum((TENTHS * middle).astype(np.int64), TENTHS - 1)
    return found


def sales_deciles(amounts: NDArray[np.float64]) -> list[Tenth]:
    """Ten rows, each of about a tenth of the sales: how many customers make it, the largest customers first.

    Formula: as `sales_decile_of`; share is of the sales of customers who brought anything. A tenth has no customers
    where one customer alone is larger than a tenth.
    Source: as `sales_decile_of`.
    """
    return _tenths(np.maximum(amounts, 0.0), sales_decile_of(amounts))


def gini(amounts: NDArray[np.float64]) -> float:
    """How unequal customers are: 0 where all bring the same, near 1 where one brings all.

    Formula: sum of (2 i - n - 1) x_i / (n sum of x), amounts in rising order, i from 1; below 0 counts as 0.
    Source: Gini (1912), as computed by Sen, On Economic Inequality (1973).
    """
    sorted_up = np.sort(np.maximum(amounts, 0.0))
    n, total = len(sorted_up), sorted_up.sum()
    return float(((2 * np.arange(1, n + 1) - n - 1) * sorted_up).sum() / (n * total)) if total > 0 else 0.0


def _tenths(amounts: NDArray[np.float64], tenth: NDArray[np.int64]) -> list[Tenth]:
    total, so_far = float(amounts.sum()), 0.0
    rows = []
    for number in range(1, TENTHS + 1):
        own = amounts[tenth == number]
        amount = float(own.sum())
        so_far += amount
        rows.append(
            Tenth(
                tenth=number,
                customers=len(own),
                amount=amount,
                share=amount / total if total else 0.0,
                amount_so_far=so_far,
                share_so_far=so_far / total if total else 0.0,
                mean=amount / len(own) if len(own) else 0.0,
                least=float(own.min()) if len(own) else 0.0,
            )
        )
    return rows
