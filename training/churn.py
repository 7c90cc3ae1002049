"""Churn: whether a customer who ordered within the horizon before orders again within the horizon after."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from features.labels import STOPPED
from training.outcome_model import OutcomeModel
from training.protocols import Context, Trained


class ChurnModel(OutcomeModel):
    """Probability that an active customer places no order within the horizon."""

    label: ClassVar = STOPPED
    is_order: ClassVar = False
    #: Certain whatever the rest: longer silence is no good news, nor are fewer of the last 12 weeks with a visit.
    signs: ClassVar = {
        "days_since_last_order": 1,
        "silence_to_gap_mean": 1,
        "silence_to_gap_recent": 1,
        "silence_to_gap_longest": 1,
        "weeks_active_12w": -1,
        "visits_decayed_14d": -1,
        "visits_decayed_45d": -1,
    }


def train_churn(context: Context, into: Path) -> Trained:
    """A back-tested and calibrated churn model, sealed below `into`. Raises DataError where the data are too few."""
    from training.outcome_training import train_outcome

    return train_outcome(context, into, "churn")
