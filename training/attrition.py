"""How often customers buy until they leave for good: orders expected of each over any number of days to come.

The Pareto/NBD model of Schmittlein, Morrison and Colombo (1987): while with the shop a customer buys at a steady rate
of their own and leaves at any moment with equal chance; rates of buying and of leaving differ between customers by a
gamma distribution each. The likelihood is that of Fader and Hardie (2005, "A note on deriving the Pareto/NBD model"),
with its hypergeometric functions replaced by a short sum that stays finite for customers with hundreds of orders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import gammaln

from features.errors import DataError

Floats = NDArray[np.float64]

#: Points and weights of Gauss and Legendre on [0, 1]; so many give the likelihood to six digits.
_NODES, _SHARES = np.polynomial.legendre.leggauss(16)
_POINTS, _WEIGHTS = (_NODES + 1) / 2, _SHARES / 2
#: The logarithms of the parameters are held between these: beyond them customers are all alike, or data too few.
_BOUNDS = ((-5.0, 5.0), (-3.0, 12.0), (-5.0, 5.0), (-3.0, 12.0))
DAYS_A_YEAR = 365.0


@dataclass(frozen=True)
class Histories:
    """What of each customer's past the model needs, each (customers,): days bought on after the first (`repeats`),
    days from the first order to the last (`last`) and to now (`age`).
    """

    repeats: Floats
    last: Floats
    age: Floats

    @classmethod
    def of(cls, visits: Floats, since_first: Floats, since_last: Floats) -> Histories:
        """From days with an order, and days since the first and the last of them."""
        repeats = np.maximum(visits - 1, 0.0)
        age = np.maximum(since_first, 1e-3)
        # Who bought on one day only bought last when they bought first, whatever the hours between.
        last = np.where(repeats > 0, np.clip(since_first - since_last, 1e-3, age), 0.0)
        return cls(repeats, last, age)

    def some(self, rows: NDArray[np.int64]) -> Histories:
        """Those of the rows."""
        return Histories(self.repeats[rows], self.last[rows], self.age[rows])


@dataclass(frozen=True)
class Attrition:
    """The fitted model: how rates of buying, and of leaving, are distributed over customers, each by a gamma.

    The mean rate of buying is bought_shape / bought_days a day, and likewise of leaving. In the papers' letters the
    four are r, alpha, s and beta.
    """

    bought_shape: float
    bought_days: float
    left_shape: float
    left_days: float

    def alive(self, histories: Histories) -> Floats:
        """(customers,) probability of still being with the shop. After one order alone it is no sign of loyalty."""
        _, left, stayed = _terms(self, histories)
        found: Floats = 1.0 / (1.0 + left * np.exp(-stayed))
        return found

    def expected_orders(
        self, histories: Histories, days: float | Floats, *, discount: float = 0.0, alive: Floats | None = None
    ) -> Floats:
        """(customers,) days with an order expected in the next `days`, later ones worth less by `discount` a year.

        `alive`: what `alive` gives, where at hand.

        The sum over time of the rate then, which is P(alive) (r + x) / (alpha + T) ((beta + T) / (beta + T + u))^s at
        u days from now, times (1 + discount)^(-u / 365): Fader, Hardie and Lee (2005, "RFM and CLV"), to a horizon.
        """
        ahead = np.broadcast_to(np.asarray(days, dtype=float), histories.age.shape)
        until = self.left_days + histories.age
        at = _POINTS * ahead[:, None]
        staying = (until[:, None] / (until[:, None] + at)) ** self.left_shape
        worth = np.exp(-np.log1p(discount) / DAYS_A_YEAR * at)
        rate = (self.bought_shape + histories.repeats) / (self.bought_days + histories.age)
        here = self.alive(histories) if alive is None else alive
        found: Floats = here * rate * ahead * ((staying * worth) @ _WEIGHTS)
        return found

    def as_json(self) -> dict[str, float]:
        """Its four numbers."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Attrition:
        """The inverse of `as_json`."""
        return cls(**{name: float(value) for name, value in found.items()})


def fit_attrition(histories: Histories, *, start: Attrition | None = None) -> Attrition:
    """The likeliest model of these histories. `start`: that of a moment nearby, which is found from sooner.

    Raises DataError where nobody ordered on a second day.
    """
    if not (histories.repeats > 0).any():
        raise DataError("Nobody ordered on a second day, so how often customers come back cannot be learned.")
    usual = float(np.median(histories.age))
    first = start or Attrition(0.5, usual / 3, 0.6, usual / 3)

    def loss(logarithms: Floats) -> float:
        return -float(log_likelihood(Attrition(*np.exp(logarithms)), histories).mean())

    found = minimize(loss, np.log(list(asdict(first).values())), method="L-BFGS-B", bounds=_BOUNDS)
    return Attrition(*(float(value) for value in np.exp(found.x)))


def log_likelihood(model: Attrition, histories: Histories) -> Floats:
    """(customers,) of buying at these times and not at others."""
    r, alpha, s, beta = model.bought_shape, model.bought_days, model.left_shape, model.left_days
    total, left, stayed = _terms(model, histories)
    scale = gammaln(r + histories.repeats) - gammaln(r) + r * np.log(alpha) + s * np.log(beta)
    found: Floats = (
        scale - total * np.log(alpha + histories.last) + np.logaddexp(np.log(np.maximum(left, 1e-300)), stayed)
    )
    return found


def _terms(model: Attrition, histories: Histories) -> tuple[Floats, Floats, Floats]:
    """The sum k = r + s + x; the chance of having left since the last order; the logarithm of that of having stayed.

    Both chances are in units of beta^s (alpha + last)^-k. The first is the integral over the moment u of leaving of
    s (alpha + u)^-(r + x) (beta + u)^-(s + 1); with y = (alpha + u)^-k it is that of ((alpha + u) / (beta + u))^(s + 1)
    over y, which hardly bends.
    """
    r, alpha, s, beta = model.bought_shape, model.bought_days, model.left_shape, model.left_days
    total = r + s + histories.repeats
    from_last, to_now = alpha + histories.last, alpha + histories.age
    nearest = np.exp(total * np.log(from_last / to_now))
    y = nearest[:, None] + (1.0 - nearest)[:, None] * _POINTS
    moment = from_last[:, None] * y ** (-1.0 / total[:, None])
    left = s / total * (1.0 - nearest) * (((moment / (beta - alpha + moment)) ** (s + 1.0)) @ _WEIGHTS)
    stayed = -(r + histories.repeats) * np.log(to_now) - s * np.log(beta + histories.age) + total * np.log(from_last)
    return total, left, stayed
