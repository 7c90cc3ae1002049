"""What a customer has brought since they came, and what they are expected to bring yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

EDGES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
BINS = 20
#: Columns of a scoring that hold a predicted value, the best first, and the words that say over what time it is.
PREDICTED = ("lifetime_value", "expected_spend")


def historic_value(facts: pd.DataFrame) -> NDArray[np.float64]:
    """(customers,) what each has brought since they came: margin where known, else spend; NaN where neither is.

    Formula: the sum over all their order lines before the moment, net of returns, not discounted.
    Source: Gupta et al., Modeling Customer Lifetime Value, Journal of Service Research 9 (2), 2006, for the term.
    """
    margin = facts["margin"].to_numpy(float)
    return facts["spend"].to_numpy(float) if np.isnan(margin).any() else margin


def predicted_value(scores: Mapping[str, NDArray[np.float64]]) -> tuple[str, NDArray[np.float64]] | None:
    """The name of the predicted value that a scoring holds, and (customers,) its values; None where it holds none.

    Formula: `lifetime_value` is that of the lifetime model, `expected_spend` that of the value model, over one horizon.
    Source: the models' own pages.
    """
    for name in PREDICTED:
        values = scores.get(name)
        if values is not None and not np.isnan(values).all():
            return name, values
    return None


def spread(values: NDArray[np.float64]) -> dict[str, Any]:
    """How a value is spread over customers: quantiles, mean, and counts in bins of equal width up to the 99 % quantile.

    Formula: BINS bins from 0 to the 99 % quantile, values outside counted in the first and the last.
    Source: descriptive.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return {"customers": 0, "mean": None, "quantiles": {}, "edges": [], "counts": []}
    top = max(float(np.quantile(known, 0.99)), 1e-9)
    edges = np.linspace(0.0, top, BINS + 1)
    counts, _ = np.histogram(np.clip(known, 0.0, top), bins=edges)
    return {
        "customers": len(known),
        "mean": float(known.mean()),
        "quantiles": {f"{share:.0%}": float(np.quantile(known, share)) for share in EDGES},
        "edges": edges.tolist(),
        "counts": counts.tolist(),
    }
