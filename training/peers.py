"""What a shop would rank and guess by without a model: the peers that churn, propensity and value are measured against.

They read the orders themselves, not our features, so that nothing of ours helps them or holds them back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from features.schema import ORDER_LINES, C
from features.snapshot import DAY_SECONDS, naive_utc
from training.label_tables import label_tables
from training.protocols import Context

#: Horizons over which frequency is counted.
FREQUENCY_HORIZONS = 3
#: What a customer with one order is taken to wait between two: this many horizons.
ONE_ORDER_GAP = 1.0

Floats = NDArray[np.float64]


def order_history(context: Context, as_of: datetime, horizon_days: int) -> pd.DataFrame:
    """One row per customer with a purchase before `as_of`, sorted by customer_id.

    recency_days, tenure_days (since the last and the first order), orders, recent_orders (of FREQUENCY_HORIZONS
    horizons), spend, last_spend (of one horizon), net of returns and 0 where the shop has no amounts.
    """
    moment = naive_utc(as_of)
    horizon = timedelta(days=horizon_days)
    lines = label_tables(context)[ORDER_LINES.name]
    lines = lines.filter(lines[C.ORDERED_AT] < moment)
    bought = lines.filter(lines[C.QUANTITY] > 0)
    orders = bought.group_by([C.CUSTOMER_ID, C.ORDER_ID]).aggregate(at=bought[C.ORDERED_AT].min())
    counted = orders.group_by(C.CUSTOMER_ID).aggregate(
        last_at=orders["at"].max(),
        first_at=orders["at"].min(),
        orders=orders.count(),
        recent_orders=(orders["at"] >= moment - FREQUENCY_HORIZONS * horizon).sum(),
    )
    amount = lines[C.AMOUNT].cast("float64")
    spent = lines.group_by(C.CUSTOMER_ID).aggregate(
        spend=amount.sum(), last_spend=amount.sum(where=lines[C.ORDERED_AT] >= moment - horizon)
    )
    found: pd.DataFrame = counted.left_join(spent, C.CUSTOMER_ID).order_by(C.CUSTOMER_ID).to_pandas()
    now = pd.Timestamp(moment)
    return pd.DataFrame(
        {
            C.CUSTOMER_ID: found[C.CUSTOMER_ID],
            "recency_days": (now - found["last_at"]).dt.total_seconds() / DAY_SECONDS,
            "tenure_days": (now - found["first_at"]).dt.total_seconds() / DAY_SECONDS,
            "orders": found["orders"].astype(float),
            "recent_orders": found["recent_orders"].astype(float),
            "spend": found["spend"].fillna(0.0),
            "last_spend": found["last_spend"].fillna(0.0),
        }
    )


def cadence_ratio(history: pd.DataFrame, *, horizon_days: int) -> Floats:
    """(customers,) the present silence over the customer's mean gap between orders."""
    gap = (history["tenure_days"] - history["recency_days"]) / (history["orders"] - 1).clip(lower=1)
    gap = gap.where(history["orders"] > 1, ONE_ORDER_GAP * horizon_days).clip(lower=1.0)
    ratio: Floats = (history["recency_days"] / gap).to_numpy(float)
    return ratio


def _rfm(history: pd.DataFrame) -> Floats:
    """(customers, 5) logarithms of recency, frequency (two), money and tenure."""
    columns = ("recency_days", "recent_orders", "orders", "spend", "tenure_days")
    return np.column_stack([np.log1p(history[name].clip(lower=0).to_numpy(float)) for name in columns])


def fit_rfm_logistic(histories: Sequence[pd.DataFrame], stopped: Sequence[NDArray[np.bool_]]) -> Pipeline:
    """Logistic regression of stopping on recency, frequency, money and tenure, over the same moments as ours."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=1000))
    return model.fit(np.vstack([_rfm(history) for history in histories]), np.concatenate(stopped))


def stopping_scores(history: pd.DataFrame, rfm: Pipeline, *, horizon_days: int) -> Mapping[str, Floats]:
    """Each peer's score (customers,) that a customer stops: higher is likelier. Of rfm_logistic, a probability."""
    probability: Floats = rfm.predict_proba(_rfm(history))[:, 1]
    return {
        "recency_rank": history["recency_days"].to_numpy(float),
        f"frequency_{FREQUENCY_HORIZONS * horizon_days}_days": -history["recent_orders"].to_numpy(float),
        "cadence_ratio": cadence_ratio(history, horizon_days=horizon_days),
        "rfm_logistic": probability,
    }


def spend_guesses(history: pd.DataFrame, *, horizon_days: int) -> Mapping[str, Floats]:
    """Each peer's guess (customers,) of spend in the coming horizon, 0 or more.

    last_period_spend is that of the horizon just past; mean_spend what a horizon brought over life, at least one long.
    """
    horizons = (history["tenure_days"] / horizon_days).clip(lower=1.0)
    return {
        "last_period_spend": history["last_spend"].clip(lower=0).to_numpy(float),
        "mean_spend": (history["spend"] / horizons).clip(lower=0).to_numpy(float),
    }
