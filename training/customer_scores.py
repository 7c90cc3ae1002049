"""The table a scoring leaves: one row per customer who ever bought, what each column means, and the life stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from training.life_stages import LAPSED, LOST, NEW, REGULAR, SLIPPING
from training.life_stages import STAGES as STAGES
from training.lifetime_scores import LIFETIME_FIELDS, LifetimeScores, value_columns
from training.next_orders import NEXT_ORDER_FIELDS, next_order_columns
from training.reasons import REASONS
from training.return_curves import ReturnCurves

#: Silent for longer than this many of their usual gaps, a customer who is still active is slipping.
SLIPPING_GAPS = 2.0
#: Silent for longer than this many horizons, a customer is lost; usual spend is measured over as many.
LONG_HORIZONS = 3

SCHEMA = pa.schema(
    [
        pa.field("customer_id", pa.string(), nullable=False),
        pa.field("last_order_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("orders", pa.int64(), nullable=False),
        pa.field("spend", pa.float64()),  # over life, net of returns; null where the shop has no amounts
        pa.field("days_since_last_order", pa.int32(), nullable=False),
        pa.field("active", pa.bool_(), nullable=False),  # ordered within the horizon before as_of
        pa.field("churn_probability", pa.float64()),  # of no order within the horizon; null where not active
        pa.field("purchase_probability", pa.float64()),  # of an order within the horizon
        pa.field("expected_spend", pa.float64()),  # within the horizon
        pa.field("value_at_risk", pa.float64()),  # what a horizon would lose, times the probability of losing it
        pa.field("stage", pa.string(), nullable=False),  # one of STAGES
        *NEXT_ORDER_FIELDS,
        *LIFETIME_FIELDS,
        # By how much a contact raises the probability of an order within the horizon; null where it was not learned.
        pa.field("uplift", pa.float64()),
        # Of a response within the horizon to a contact now, by the usual channel; null where it was not learned.
        pa.field("response_probability", pa.float64()),
        pa.field("reasons", REASONS, nullable=False),  # why the churn probability is what it is
    ]
)


@dataclass(frozen=True)
class Predictions:
    """What the champions say, aligned with the profiles; None where there is no such champion."""

    churn: NDArray[np.float64] | None = None
    reasons: pa.Array | None = None  # of training.reasons.REASONS
    purchase: NDArray[np.float64] | None = None
    spend: NDArray[np.float64] | None = None
    spend_ends: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    lifetime: LifetimeScores | None = None
    categories: Mapping[str, Any] | None = None  # of training.category_propensity, for the manifest
    returns: ReturnCurves | None = None
    uplift: NDArray[np.float64] | None = None
    response: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Scored:
    """What was written of so many customers: the predictions (on Spark, a sample of them), and what could say none."""

    sample: Predictions
    failed: Mapping[str, str]  # model -> error
    customers: int


def stages(profiles: pd.DataFrame, *, horizon_days: int) -> NDArray[np.object_]:
    """(customers,) life stage, from `days_since_last_order`, `days_since_first_order` and `orders` of profiles.

    Within a horizon of the last order: new (first order within it too), slipping (silent for more than SLIPPING_GAPS
    usual gaps), else regular. Beyond: lapsed, and after LONG_HORIZONS lost.
    """
    silent = profiles["days_since_last_order"].to_numpy(float)
    tenure = profiles["days_since_first_order"].to_numpy(float)
    gaps = np.maximum(profiles["orders"].to_numpy(float) - 1, 1)
    usual = np.maximum((tenure - silent) / gaps, 1.0)
    within = silent <= horizon_days
    repeated = profiles["orders"].to_numpy() > 1
    choices = [
        (within & (tenure <= horizon_days), NEW),
        (within & repeated & (silent > SLIPPING_GAPS * usual), SLIPPING),
        (within, REGULAR),
        (silent <= LONG_HORIZONS * horizon_days, LAPSED),
    ]
    chosen = np.select([condition for condition, _ in choices], [name for _, name in choices], default=LOST)
    return np.asarray(chosen, dtype=object)


def value_at_risk(
    churn: NDArray[np.float64], usual_spend: NDArray[np.float64], expected_spend: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """(customers,) what a horizon would lose if the customer stopped, times the probability that they do.

    What would be lost is their usual spend, or what is expected of them where that is more: expected spend alone
    already discounts for the chance of stopping, so it would call those about to stop worthless.
    """
    at_stake = usual_spend if expected_spend is None else np.fmax(usual_spend, expected_spend)
    return np.asarray(churn * np.maximum(at_stake, 0.0))


def score_table(profiles: pd.DataFrame, predictions: Predictions, *, horizon_days: int) -> pa.Table:
    """The table of SCHEMA, sorted by customer_id as profiles are.

    `profiles`: customer_id, last_order_at, orders, spend, usual_spend, days_since_last_order,
    days_since_first_order, active.
    """
    active = profiles["active"].to_numpy(bool)
    nothing = np.full(len(profiles), np.nan)
    churn = nothing if predictions.churn is None else np.where(active, predictions.churn, np.nan)
    spend = None if predictions.spend is None else np.maximum(predictions.spend, 0.0)
    told = pa.array([[]] * len(profiles), type=REASONS) if predictions.reasons is None else predictions.reasons
    columns = {
        "customer_id": profiles["customer_id"],
        "last_order_at": profiles["last_order_at"],
        "orders": profiles["orders"],
        "spend": profiles["spend"],
        "days_since_last_order": profiles["days_since_last_order"].astype("int32"),
        "active": active,
        "churn_probability": churn,
        "purchase_probability": nothing if predictions.purchase is None else predictions.purchase,
        "expected_spend": nothing if spend is None else spend,
        "value_at_risk": value_at_risk(churn, profiles["usual_spend"].to_numpy(float), spend),
        "stage": stages(profiles, horizon_days=horizon_days),
        "uplift": nothing if predictions.uplift is None else np.where(active, predictions.uplift, np.nan),
        "response_probability": nothing if predictions.response is None else predictions.response,
        **value_columns(predictions.spend_ends, predictions.lifetime, len(profiles)),
        **next_order_columns(profiles, predictions.returns, horizon_days=horizon_days),
        "reasons": pc.if_else(pa.array(active), told, pa.scalar([], type=REASONS)),
    }
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, type=field.type, from_pandas=True)
        for field, column in ((field, columns[field.name]) for field in SCHEMA)
    ]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)
