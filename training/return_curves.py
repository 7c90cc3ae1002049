"""When customers order next: a curve for each, read at any day, turned round into days, bent through a probability."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: No curve is held to be nearer to certainty than this when it is bent through a probability.
EDGE = 1e-4


@dataclass(frozen=True)
class ReturnCurves:
    """One curve per customer: expected next orders by age, the days since their last order.

    `ages` (ages,) days, from 0 upwards; `rates` (customers, ages) orders a day from each age to the next, the last one
    going on; `silence` (customers,) the age now; `scale` (customers,) a factor on the rates from now on. The chance of
    no order between two ages is exp(-the rates summed between them).
    """

    ages: Floats
    rates: Floats
    silence: Floats
    scale: Floats

    def back_within(self, days: Floats | float) -> Floats:
        """(customers,) probability of an order within so many days from now; never falls as days grow."""
        until = self._summed(self.silence + days) - self._summed(self.silence)
        found: Floats = -np.expm1(-self.scale * until)
        return found

    def days_until(self, share: float) -> Floats:
        """(customers,) days from now by which that share of customers like this one has ordered."""
        wanted = self._summed(self.silence) - np.log1p(-share) / self.scale
        found: Floats = self._age_of(wanted) - self.silence
        return found

    def usual_gap(self, share: float) -> Floats:
        """(customers,) days from their last order by which, as of that order, that share would be back."""
        return self._age_of(np.full(len(self.silence), -np.log1p(-share)))

    def through(self, probability: Floats, days: float) -> ReturnCurves:
        """The curves bent (their rates from now on times one factor each) so that `back_within(days)` is `probability`.

        Customers without a probability (NaN) keep their curve.
        """
        said = self._summed(self.silence + days) - self._summed(self.silence)
        meant = -np.log1p(-np.clip(probability, EDGE, 1 - EDGE))
        return replace(self, scale=np.where(np.isfinite(meant), meant / said, self.scale))

    def _starts(self) -> Floats:
        """(customers, ages) rates summed up to each age."""
        steps = self.rates[:, :-1] * np.diff(self.ages)
        return np.concatenate([np.zeros((len(steps), 1)), np.cumsum(steps, axis=1)], axis=1)

    def _summed(self, age: Floats) -> Floats:
        place = np.clip(np.searchsorted(self.ages, age, side="right") - 1, 0, len(self.ages) - 1)
        rows = np.arange(len(age))
        found: Floats = self._starts()[rows, place] + self.rates[rows, place] * (age - self.ages[place])
        return found

    def _age_of(self, summed: Floats) -> Floats:
        starts = self._starts()
        place = np.maximum((starts <= summed[:, None]).sum(axis=1) - 1, 0)
        rows = np.arange(len(summed))
        found: Floats = self.ages[place] + (summed - starts[rows, place]) / self.rates[rows, place]
        return found
