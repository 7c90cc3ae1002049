"""Propensity: whether a customer, active or not, places an order within the horizon."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from features.labels import BOUGHT
from training.churn import ChurnModel
from training.outcome_model import OutcomeModel
from training.protocols import Context, Trained


class PropensityModel(OutcomeModel):
    """Probability that a customer places an order within the horizon."""

    label: ClassVar = BOUGHT
    is_order: ClassVar = True
    signs: ClassVar = {name: -sign for name, sign in ChurnModel.signs.items()}


def train_propensity(context: Context, into: Path) -> Trained:
    """A back-tested and calibrated propensity model, sealed below `into`. Raises DataError where the data are few."""
    from training.outcome_training import train_outcome

    return train_outcome(context, into, "propensity")
