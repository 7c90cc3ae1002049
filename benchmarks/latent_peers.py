"""BG/NBD, MBG/NBD, Pareto/NBD and Gamma-Gamma, by the package lifetimes: what they expect of each customer."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from datetime import datetime

import lifetimes
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.engine import connect
from features.schema import C
from training.protocols import Context

FITTERS = {
    "bg_nbd": lifetimes.BetaGeoFitter,
    "mbg_nbd": lifetimes.ModifiedBetaGeoFitter,
    "pareto_nbd": lifetimes.ParetoNBDFitter,
}

Floats = NDArray[np.float64]


def repeat_summary(context: Context, as_of: datetime) -> pd.DataFrame:
    """One row per customer: repeat purchase days, age at the last one, age now (days), mean spend of repeat days.

    The form in which the models of Fader and Hardie take a customer (2005, "RFM and CLV").
    """
    lines = f"read_parquet('{context.lake.file('order_lines')}')"
    table = (
        connect(context.settings)
        .raw_sql(
            f"""
            WITH days AS (
                SELECT customer_id, ordered_at::DATE AS day, sum(amount)::DOUBLE AS spend FROM {lines}
                WHERE quantity > 0 AND ordered_at < TIMESTAMP '{as_of}' GROUP BY ALL),
            firsts AS (SELECT *, min(day) OVER (PARTITION BY customer_id) AS first FROM days)
            SELECT customer_id, count(*) - 1 AS frequency, (max(day) - min(first))::DOUBLE AS recency,
                   (DATE '{as_of:%Y-%m-%d}' - min(first))::DOUBLE AS age,
                   coalesce(avg(spend) FILTER (day > first), 0) AS spend
            FROM firsts GROUP BY customer_id ORDER BY customer_id
            """
        )
        .to_arrow_table()
    )
    found: pd.DataFrame = table.to_pandas().set_index(C.CUSTOMER_ID)
    return found


def expected_orders(summary: pd.DataFrame, days: int) -> tuple[dict[str, Floats], dict[str, str]]:
    """Purchase days each model expects of each customer in the coming days, by model; and what did not fit, and why."""
    found, failed = {}, {}
    parts = summary["frequency"], summary["recency"], summary["age"]
    for name, fitter in FITTERS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                model = fitter(penalizer_coef=0.0).fit(*parts)
                expected = np.asarray(model.conditional_expected_number_of_purchases_up_to_time(days, *parts), float)
            except lifetimes.utils.ConvergenceError as error:
                failed[name] = f"did not converge: {error}"
                continue
        if np.isfinite(expected).all():
            found[name] = expected
        else:
            failed[name] = f"no finite expectation for {int((~np.isfinite(expected)).sum())} customers"
    return found, failed


def expected_spend(summary: pd.DataFrame, orders: Mapping[str, Floats]) -> dict[str, Floats]:
    """Each model's expected orders times the spend of one that Gamma-Gamma expects (Fader and Hardie 2013)."""
    repeated = (summary["frequency"] > 0) & (summary["spend"] > 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = lifetimes.GammaGammaFitter(penalizer_coef=0.0)
        model.fit(summary.loc[repeated, "frequency"], summary.loc[repeated, "spend"])
        each = model.conditional_expected_average_profit(summary["frequency"], summary["spend"].clip(lower=0.0))
    return {f"{name}_gamma_gamma": expected * np.asarray(each, float) for name, expected in orders.items()}
