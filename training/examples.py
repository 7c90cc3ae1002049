"""Examples of what a model is asked, which MLflow keeps and shows to whoever opens it: of no real customer."""

from __future__ import annotations

import pandas as pd

#: Customers that no shop has; a recommender answers them what it answers anybody new.
NOBODY = ("a-customer", "another-customer")
_QUANTILES = (0.25, 0.5, 0.75)


def made_up(encoded: pd.DataFrame) -> pd.DataFrame:
    """Three rows of usual values, each column's quartiles by themselves, so that no row is a customer's."""
    return encoded.quantile(list(_QUANTILES), interpolation="nearest").reset_index(drop=True)
