"""Response: whether a customer whom a campaign contacts responds to it within the horizon."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from features.labels import RESPONDED
from training.outcome_model import OutcomeModel
from training.protocols import Context, Trained

#: The channel of the contact asked about, a column beside the features of the customer.
CHANNEL = "contact_channel"


class ResponseModel(OutcomeModel):
    """Probability that a customer responds to a contact, from what was known at the midnight before it."""

    label: ClassVar = RESPONDED
    is_order: ClassVar = False
    #: Who responded more in the last year is not the less likely to.
    signs: ClassVar = {"responses_365d": 1}


def train_response(context: Context, into: Path) -> Trained:
    """A back-tested and calibrated response model, sealed below `into`.

    Raises DataError where contacts or responses are not told, or too few.
    """
    from training.outcome_training import keep_outcome
    from training.response_backtest import run_response_backtest

    found = run_response_backtest(context)
    return keep_outcome(context, into, found.backtest, about=found.about())
