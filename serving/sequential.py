"""A test of two rates that may be read as often as one likes: the mixture sequential probability ratio test.

Source: Johari, Koomen, Pekelis, Walsh, "Peeking at A/B Tests", KDD 2017, and "Always Valid Inference", Operations
Research 2022: with a normal mixture N(0, tau^2) over the difference, the likelihood ratio is
    L = sqrt(V / (V + tau^2)) * exp(tau^2 * d^2 / (2 V (V + tau^2))),
where d is the difference seen and V its variance; under no difference, the chance that L ever passes 1/alpha is at most
alpha (Ville), so min(1, 1/L) is a p-value whenever it is looked at. For rates this holds as samples grow, with V from
the pooled rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Differences of about this size are found soonest; of any other, later.
TAU = 0.02
#: Below this many units in a group the normal approximation is not good enough to say anything.
LEAST_UNITS = 100


@dataclass(frozen=True)
class Difference:
    """How the rate of one group differs from another's. `p_value` and the interval hold at every look."""

    difference: float
    p_value: float
    low: float
    high: float


def compare(
    successes: int, units: int, control_successes: int, control_units: int, *, alpha: float = 0.05, tau: float = TAU
) -> Difference | None:
    """Rate less the control's rate. None with fewer than LEAST_UNITS in a group, or when all or none succeeded."""
    if min(units, control_units) < LEAST_UNITS:
        return None
    pooled = (successes + control_successes) / (units + control_units)
    variance = pooled * (1 - pooled) * (1 / units + 1 / control_units)
    if variance == 0:
        return None
    difference = successes / units - control_successes / control_units
    square = tau * tau
    exponent = square * difference * difference / (2 * variance * (variance + square))
    log_ratio = 0.5 * math.log(variance / (variance + square)) + exponent
    # The interval is every difference that the same test would not reject.
    wide = 2 * variance * (variance + square) / square
    half = math.sqrt(wide * (0.5 * math.log((variance + square) / variance) - math.log(alpha)))
    return Difference(
        difference=difference,
        p_value=min(1.0, math.exp(-log_ratio)),
        low=difference - half,
        high=difference + half,
    )
