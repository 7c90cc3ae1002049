"""What a contact plan looks like at every length: profit, churners caught against false alarms, what it can measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.contact_plan import ContactPlan
from training.off_policy import Z95

#: Lengths of the list, as shares of all who may be contacted, at which the table stands.
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
#: Points of a curve that is shown; between them it is straight to the eye.
MOST_POINTS = 160
#: Standard deviations for a power of 80 %.
_POWER80 = 0.841621


@dataclass(frozen=True)
class Cut:
    """A list of one length. Churners are expected numbers: sums of calibrated probabilities.

    `false_alarms` are those contacted who would have stayed anyway; `caught_share` is the part of all churners among
    those who may be contacted that is on the list, `precision` the part of the list that would stop.
    """

    contacts: int
    cost: float  # with the offers that are expected to be taken and the fixed cost
    profit: float
    churners: float
    false_alarms: float
    saved: float
    caught_share: float
    precision: float


def cuts(plan: ContactPlan, lengths: Sequence[int]) -> list[Cut]:
    """The list at each of these numbers of contacts."""
    who = plan.order[~plan.held_out]
    churn = plan.prospects.churn[who]
    kept = plan.prospects.kept(plan.save_rate.value)[who]
    takes = (1.0 - churn + kept) * plan.economics.offer_cost
    churners, saved, offers = (np.concatenate(([0.0], np.cumsum(values))) for values in (churn, kept, takes))
    every = float(churners[-1])
    found = []
    for length in lengths:
        fixed = plan.economics.fixed_cost if length else 0.0
        found.append(
            Cut(
                contacts=int(length),
                cost=float(length * plan.economics.cost_per_contact + offers[length] + fixed),
                profit=float(plan.curve[length]),
                churners=float(churners[length]),
                false_alarms=float(length - churners[length]),
                saved=float(saved[length]),
                caught_share=float(churners[length]) / every if every else 0.0,
                precision=float(churners[length]) / length if length else 0.0,
            )
        )
    return found


def table(plan: ContactPlan) -> list[Cut]:
    """The list at SHARES of those who may be contacted, at the length chosen, and at the best without limits."""
    n = len(plan.curve) - 1
    lengths = {max(round(share * n), 1) for share in SHARES} if n else set()
    return cuts(plan, sorted({*lengths, len(plan.contacted), plan.best} - {0}))


def shown(plan: ContactPlan, *, points: int = MOST_POINTS) -> list[Cut]:
    """At most about so many points of the curve, those that matter among them: none, chosen, best, break-even, all."""
    n = len(plan.curve) - 1
    even = np.unique(np.linspace(0, n, min(points, n + 1)).round().astype(int)).tolist()
    matter = {0, len(plan.contacted), plan.best, n} | ({plan.break_even} if plan.break_even is not None else set())
    return cuts(plan, sorted({*even, *matter}))


def smallest_effect(plan: ContactPlan) -> float | None:
    """The least difference in the share that stops which the hold-out would tell from none, in four of five campaigns.

    Two-sided at 5 %, power 80 %, of the expected share that stops on the list; None without anybody held out.
    """
    contacted, kept_back = len(plan.contacted), len(plan.kept_back)
    if not contacted or not kept_back:
        return None
    rate = float(plan.prospects.churn[plan.order[: plan.cut]].mean())
    return (Z95 + _POWER80) * float(np.sqrt(rate * (1 - rate) * (1 / contacted + 1 / kept_back)))


def holdout_cost(plan: ContactPlan) -> float:
    """The expected profit given up by leaving the hold-out alone: what it costs to know the effect."""
    return float(plan.prospects.profit(plan.economics, plan.save_rate.value)[plan.kept_back].sum())
