"""Four grades of customers, A to D, from what they bring and how loyal they are. Nothing to do with a model's grade."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

A, B, C, D = "A", "B", "C", "D"
GRADES = (A, B, C, D)


@dataclass(frozen=True)
class GradeRule:
    """`value`: spend (margin where known) of the last 364 days from which on a customer is worth much.

    `loyalty`: share of the customer's periods of 28 days with an order from which on they are loyal; `periods`: of
    fewer periods nothing is concluded, and the customer is not loyal yet.
    """

    value: float
    loyalty: float
    periods: int = 3

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def value_measure(facts: pd.DataFrame) -> str:
    """The column that says what a customer is worth: margin where known, else spend, else orders."""
    known = (name for name in ("margin_lately", "spend_lately") if not facts[name].isna().any())
    return next(known, "orders_lately")


def customer_value(facts: pd.DataFrame, *, measure: str | None = None) -> NDArray[np.float64]:
    """(customers,) what each brought in the last 364 days: margin where known, else spend, else orders.

    `measure` names the column where it was decided already: two moments are compared by the same one.
    Formula: the sum over the order lines of the window, net of returns. Source: descriptive.
    """
    return facts[measure or value_measure(facts)].to_numpy(float)


def loyalty_share(facts: pd.DataFrame) -> NDArray[np.float64]:
    """(customers,) of the periods of 28 days since a customer came (13 at most), the share in which they ordered.

    Formula: periods with an order / periods known, over the last 364 days. Source: descriptive.
    """
    share: NDArray[np.float64] = facts["periods_active"].to_numpy(float) / facts["periods_known"].to_numpy(float)
    return share


def usual_grade_rule(facts: pd.DataFrame) -> GradeRule:
    """The rule where nobody set another: worth much, and loyal, is more than the mean customer.

    Formula: value = mean of `customer_value`, loyalty = mean of `loyalty_share`, over customers with an order in the
    last 364 days.
    Source: as `customer_grades`.
    """
    lately = facts["orders_lately"].to_numpy() > 0
    if not lately.any():
        return GradeRule(value=0.0, loyalty=0.5)
    means = customer_value(facts)[lately].mean(), loyalty_share(facts)[lately].mean()
    return GradeRule(value=float(means[0]), loyalty=float(means[1]))


def customer_grades(facts: pd.DataFrame, rule: GradeRule, *, measure: str | None = None) -> NDArray[np.object_]:
    """(customers,) A worth much and loyal, B worth much but not loyal, C loyal but worth less, D neither.

    `measure` is that of `customer_value`.
    Formula: worth much = value lately >= rule.value; loyal = periods with an order / periods known >= rule.loyalty, of
    at least rule.periods periods, and an order within the last three horizons.
    Source: the four groups of Reinartz and Kumar, The Mismanagement of Customer Loyalty, Harvard Business Review 80
    (7), 2002: true friends, butterflies, barnacles, strangers.
    """
    worth = customer_value(facts, measure=measure) >= rule.value
    known = facts["periods_known"].to_numpy(float)
    loyal = (loyalty_share(facts) >= rule.loyalty) & (known >= rule.periods) & (facts["stage"].to_numpy() != "lost")
    return np.select([worth & loyal, worth, loyal], [A, B, C], default=D).astype(object)
