"""How well an uplift puts customers in order: Qini and AUUC with intervals, from randomised contacts alone.

Nobody is both contacted and left alone, so no customer's own uplift is ever seen. What is seen is the difference
between the arms among those whom the uplift puts first, and curves of it. Rows are weighted by the inverse of the
probability of their arm, so campaigns that held out other shares can stand in one curve; where all shares are equal the
weights cancel, and the curves are those of Radcliffe (2007, "Using control groups to target on predicted lift") and of
Gutierrez and Gérardy (2017, "Causal inference and uplift modelling"), as scikit-uplift draws them, over the customers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.errors import DataError
from training.protocols import Metric

#: Shares of the customers, those of greatest uplift first, among whom the difference of the arms is told.
TOP = (0.1, 0.3)
#: The metric of how far one order is ahead of another.
AHEAD = "qini_ahead_of_risk"
#: Points of a curve that is kept.
POINTS = 101

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Contacts:
    """Customers drawn to be contacted or left alone, one entry each; a customer of several campaigns has several.

    `treated` (rows,), `kept` (rows,) whether they ordered within the horizon after, `probability` (rows,) that of being
    contacted in the campaign's lottery, `customer` (rows,) a number for each customer.
    """

    treated: Bools
    kept: Bools
    probability: Floats
    customer: NDArray[np.int64]

    def __post_init__(self) -> None:
        if not ((self.probability > 0) & (self.probability < 1)).all():
            raise DataError("Somebody was sure to be contacted, or sure not to be: nothing was drawn. Leave them out.")

    def __len__(self) -> int:
        return len(self.treated)

    @property
    def weights(self) -> Floats:
        """(rows,) the inverse of the probability of the arm that each is in."""
        return np.where(self.treated, 1 / self.probability, 1 / (1 - self.probability))


@dataclass(frozen=True)
class Curves:
    """What a list of the first customers by uplift would have changed, from nobody to everybody.

    `share` of the customers; `gain`: the difference between the arms among them times that share, which is customers
    kept for every customer there is; `qini`: the difference times the share of the contacted who are among them.
    """

    share: Floats
    gain: Floats
    qini: Floats

    def measures(self) -> dict[str, float]:
        """`effect` of contacting everybody, `auuc` and `qini`: areas under the two curves, the latter less chance's.

        Chance is the straight line to the last point; both are in customers kept per customer.
        """
        effect = float(self.gain[-1])
        return {
            "effect": effect,
            "auuc": float(np.trapezoid(self.gain, self.share)),
            "qini": float(np.trapezoid(self.qini, self.share)) - effect / 2,
            **{f"effect@{top:.0%}": float(np.interp(top, self.share, self.gain)) / top for top in TOP},
        }

    def drawn(self) -> list[dict[str, float]]:
        """POINTS of the curves, evenly along the share."""
        at = np.linspace(0, 1, POINTS)
        gain, qini = np.interp(at, self.share, self.gain), np.interp(at, self.share, self.qini)
        return [{"share": float(s), "gain": float(g), "qini": float(q)} for s, g, q in zip(at, gain, qini, strict=True)]


class Order:
    """Customers put in order by an uplift, so that many draws of them can be measured without sorting again."""

    def __init__(self, uplift: Floats, contacts: Contacts) -> None:
        order = np.argsort(-uplift, kind="stable")
        # Customers of one uplift come in together: their order says nothing.
        self._ends = np.append(np.flatnonzero(np.diff(uplift[order])), len(order) - 1)
        treated, kept, weights = contacts.treated[order], contacts.kept[order], contacts.weights[order]
        self._parts = np.stack(
            [treated * weights, treated * kept * weights, ~treated * weights, ~treated * kept * weights]
        )
        self._customer = contacts.customer[order]
        self._customers = int(contacts.customer.max()) + 1 if len(contacts) else 0

    def curves(self, times: NDArray[np.int64] | None = None) -> Curves:
        """The curves; with `times` (customers,), each customer taken so many times."""
        count = np.ones(len(self._customer)) if times is None else times[self._customer].astype(float)
        contacted, its_kept, alone, kept_alone = np.cumsum(self._parts * count, axis=1)[:, self._ends]
        rows = np.cumsum(count)[self._ends]
        effect = _rate(its_kept, contacted) - _rate(kept_alone, alone)
        share = rows / rows[-1]
        reached = contacted / contacted[-1] if contacted[-1] else contacted
        return Curves(np.append(0.0, share), np.append(0.0, effect * share), np.append(0.0, effect * reached))

    def draw(self, rng: np.random.Generator) -> Curves:
        """The curves of as many customers drawn with replacement."""
        drawn = rng.integers(0, self._customers, self._customers)
        return self.curves(np.bincount(drawn, minlength=self._customers))


def uplift_metrics(
    uplift: Floats, contacts: Contacts, *, rng: np.random.Generator, resamples: int = 200
) -> list[Metric]:
    """Each of `Curves.measures` with its 95% percentile interval; customers are drawn whole, with all their rows."""
    order = Order(uplift, contacts)
    draws = [order.draw(rng).measures() for _ in range(resamples)]
    return [
        _with_ends(name, value, [draw[name] for draw in draws]) for name, value in order.curves().measures().items()
    ]


def ahead(
    uplift: Floats, other: Floats, contacts: Contacts, *, rng: np.random.Generator, resamples: int = 200
) -> Metric:
    """By how much the Qini of one order exceeds another's, with its 95% interval: both on the same draws."""
    orders = (Order(uplift, contacts), Order(other, contacts))
    draws = []
    for seed in rng.integers(0, 2**32, resamples):
        one, two = (order.draw(np.random.default_rng(seed)).measures()["qini"] for order in orders)
        draws.append(one - two)
    one, two = (order.curves().measures()["qini"] for order in orders)
    return _with_ends(AHEAD, one - two, draws)


def _with_ends(name: str, value: float, draws: Sequence[float]) -> Metric:
    low, high = np.quantile(draws, (0.025, 0.975))
    return Metric(name, value, float(low), float(high))


def _rate(some: Floats, all_of: Floats) -> Floats:
    return np.divide(some, all_of, out=np.zeros_like(some), where=all_of > 0)
