"""Whom to contact so that the expected profit is greatest: a ranking of customers, a cut through it, and a hold-out.

A contact with customer i, who stops with probability p and whose spend is worth V if they stay, is expected to bring

    profit = t (m h V - d) - (1 - p) d - c        with  t = p s,  or the uplift where one was learned

where t is the chance that the contact keeps a customer who would have stopped, s the save rate, m the margin, h the
horizons of spend a saved customer brings, d what the offer costs the shop for each who takes it (those who would have
stayed take it too) and c the cost of the contact. It is the profit of Neslin et al. (2006, Journal of Marketing
Research 43, eq. 1) for each customer by themselves, as in Lemmens and Gupta (2020, Marketing Science 39), and not for
a whole tier at its mean. All amounts are in the shop's currency. docs/contacting.md works an example by hand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from features.errors import DataError

#: Of would-be stoppers who are contacted, the share that stays, where no campaign of the shop's has measured it.
ASSUMED_SAVE_RATE = 0.1
ASSUMED, MEASURED, GIVEN = "assumed", "measured", "given"
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class SaveRate:
    """Share of contacted customers who would have stopped and stay for it. `source`: assumed, measured or given."""

    value: float = ASSUMED_SAVE_RATE
    low: float | None = None  # ends of the 95 % interval, where it was measured
    high: float | None = None
    source: str = ASSUMED


@dataclass(frozen=True)
class Economics:
    """What a contact costs and what a saved customer is worth, as the shop says."""

    cost_per_contact: float
    margin: float  # profit per unit of spend
    offer_cost: float = 0.0  # to the shop, of each customer who takes the offer
    horizons: float = 1.0  # of spend that a saved customer brings
    fixed_cost: float = 0.0  # of the campaign, whoever is contacted

    def __post_init__(self) -> None:
        for name in ("cost_per_contact", "offer_cost", "horizons", "fixed_cost"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise DataError(f"{name} is {value}. Give a number of 0 or more.")
        if not 0 < self.margin <= 1:
            raise DataError(f"margin is {self.margin}. Give profit per unit of spend, above 0 and at most 1.")

    @property
    def most_per_contact(self) -> float:
        """What one contact costs if the offer is taken."""
        return self.cost_per_contact + self.offer_cost


@dataclass(frozen=True)
class Limits:
    """What there is to spend and how many can be contacted; None: no limit.

    A budget holds even if everyone contacted takes the offer. It does not pay the fixed cost.
    """

    budget: float | None = None
    head_count: int | None = None
    holdout_share: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.holdout_share < 1:
            raise DataError(f"holdout_share is {self.holdout_share}. Give a share from 0 up to, not including, 1.")
        for name in ("budget", "head_count"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise DataError(f"{name} is {value}. Give 0 or more, or nothing for no limit.")

    def most_contacts(self, economics: Economics, customers: int) -> int:
        """How many of so many customers may be contacted."""
        most = customers if self.head_count is None else min(customers, self.head_count)
        each = economics.most_per_contact
        if self.budget is None or each == 0:
            return most
        most = min(most, math.floor(self.budget / each * (1 + 1e-12)))
        # Division rounds: the last one must still be paid for.
        return most if most * each <= self.budget else most - 1


@dataclass(frozen=True)
class Prospects:
    """Customers who may be contacted, one entry each: all arrays are (customers,).

    `churn` is the calibrated probability that they stop, `worth` what their spend of one horizon is if they stay,
    `lot` their lot in the campaign (training.holdout), `uplift` by how much a contact raises the probability that they
    stay, where that was learned.
    """

    churn: Floats
    worth: Floats
    lot: Floats
    uplift: Floats | None = None

    def __post_init__(self) -> None:
        for name in ("churn", "worth", "lot", *(("uplift",) if self.uplift is not None else ())):
            values = getattr(self, name)
            if values.shape != self.churn.shape or not np.isfinite(values).all():
                raise DataError(f"'{name}' is not known for every customer. Leave out those it is not known for.")

    def kept(self, save_rate: float) -> Floats:
        """(customers,) the chance that a contact keeps one who would have stopped; below 0 where it does harm."""
        return self.churn * save_rate if self.uplift is None else self.uplift

    def profit(self, economics: Economics, save_rate: float) -> Floats:
        """(customers,) what a contact with each is expected to bring, without the fixed cost."""
        worth = economics.margin * economics.horizons * self.worth - economics.offer_cost
        stay = (1.0 - self.churn) * economics.offer_cost
        return self.kept(save_rate) * worth - stay - economics.cost_per_contact


@dataclass(frozen=True)
class ContactPlan:
    """The customers by expected profit, who of them is held out, and where the list ends.

    `order` are positions among the prospects, most profitable first; `held_out` says of each of those in turn whether
    their lot is below the share. `cut` is how many places of `order` the list takes in, contacted and held out.
    `curve` is the expected profit when the first 0, 1, 2 … who may be contacted are.
    """

    prospects: Prospects
    economics: Economics
    save_rate: SaveRate
    limits: Limits
    order: Ints
    held_out: Bools
    cut: int
    curve: Floats = field(repr=False)

    @property
    def contacted(self) -> Ints:
        """Positions of the customers to contact, most profitable first."""
        return self.order[: self.cut][~self.held_out[: self.cut]]

    @property
    def kept_back(self) -> Ints:
        """Positions of those who would be on the list, and are left alone so that its effect can be measured."""
        return self.order[: self.cut][self.held_out[: self.cut]]

    @property
    def expected_profit(self) -> float:
        """Of the list, with the fixed cost."""
        return float(self.curve[len(self.contacted)])

    @property
    def best(self) -> int:
        """How many contacts bring the greatest expected profit, were there no limits."""
        return int(np.argmax(self.curve))

    @property
    def break_even(self) -> int | None:
        """The most contacts whose expected profit is not below 0; None where that of contacting everybody is not."""
        below = np.flatnonzero(self.curve < 0)
        if not len(below) or below[-1] != len(self.curve) - 1:
            return None
        return int(np.flatnonzero(self.curve >= 0)[-1])

    def profit_at(self, save_rate: float) -> float:
        """The list's expected profit at another save rate; the same where it stands by uplift."""
        chosen = self.contacted
        if not len(chosen):
            return 0.0
        return float(self.prospects.profit(self.economics, save_rate)[chosen].sum()) - self.economics.fixed_cost

    @property
    def break_even_save_rate(self) -> float | None:
        """The save rate at which the list earns nothing; None where it stands by uplift, or nobody is on it."""
        if self.prospects.uplift is not None or not len(self.contacted):
            return None
        nothing, everything = self.profit_at(0.0), self.profit_at(1.0)
        return None if everything <= nothing else -nothing / (everything - nothing)


def plan_contacts(prospects: Prospects, economics: Economics, save_rate: SaveRate, limits: Limits) -> ContactPlan:
    """The list of greatest expected profit within the limits; empty where no contact pays.

    All contacts cost the same, so the best list of any length takes the most profitable first. Whoever's lot is below
    the share is held out wherever they stand, and costs nothing; ties stand by position.
    """
    profit = prospects.profit(economics, save_rate.value)
    order = np.argsort(-profit, kind="stable").astype(np.int64)
    held_out = prospects.lot[order] < limits.holdout_share
    places = np.flatnonzero(~held_out)  # in `order`, of those who may be contacted
    curve = np.concatenate(([0.0], np.cumsum(profit[order][places]) - economics.fixed_cost))
    most = limits.most_contacts(economics, len(places))
    contacts = int(np.argmax(curve[: most + 1]))  # the fewest, of equal profits
    cut = int(places[contacts - 1]) + 1 if contacts else 0
    return ContactPlan(prospects, economics, save_rate, limits, order, held_out, cut, curve)
