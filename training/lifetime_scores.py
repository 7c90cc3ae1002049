"""What the scores tell of each customer's lifetime value: the value, the ends of its interval, and what it counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from training.lifetime import LifetimeModel

LIFETIME_FIELDS = (
    # Of expected_spend and of lifetime_value: four of five customers like this one lie between.
    pa.field("expected_spend_low", pa.float64()),
    pa.field("expected_spend_high", pa.float64()),
    # Spend in the lifetime_days to come, later spend worth less by yearly_discount, as the manifest says them.
    pa.field("lifetime_value", pa.float64()),
    pa.field("lifetime_value_low", pa.float64()),
    pa.field("lifetime_value_high", pa.float64()),
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LifetimeScores:
    """Each customer's value, (customers,), with the ends of its interval where they are known."""

    days: int
    discount: float
    value: Floats
    ends: tuple[Floats, Floats] | None

    def about(self) -> dict[str, float]:
        """What the value counts, for the manifest of the scores."""
        return {"lifetime_days": self.days, "yearly_discount": self.discount}


def lifetime_columns(model: LifetimeModel, frame: pd.DataFrame) -> LifetimeScores:
    """The scores of each row of features."""
    value = model.predict(frame)
    ends = model.interval(value)
    return LifetimeScores(model.days, model.discount, value, ends)


def value_columns(
    spend_ends: tuple[Floats, Floats] | None, lifetime: LifetimeScores | None, customers: int
) -> dict[str, Any]:
    """Values of LIFETIME_FIELDS by name; empty where nothing tells them."""
    nothing = np.full(customers, np.nan)
    spend = (nothing, nothing) if spend_ends is None else spend_ends
    ends = (nothing, nothing) if lifetime is None or lifetime.ends is None else lifetime.ends
    return {
        "expected_spend_low": spend[0],
        "expected_spend_high": spend[1],
        "lifetime_value": nothing if lifetime is None else lifetime.value,
        "lifetime_value_low": ends[0],
        "lifetime_value_high": ends[1],
    }
