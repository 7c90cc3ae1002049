"""The recommender as MLflow loads it: models-from-code over the ranked lists of its bundle.

MLflow runs this file by itself, so it imports nothing of ours: a logged model works where only numpy, pandas and
pyarrow are installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

#: Products recommended to each customer unless params say otherwise.
K = 10
_NO_PRODUCT = -1


class RankedListsModel(mlflow.pyfunc.PythonModel):
    """Customers in, a long table of ranked products out. Unknown customers get the popular products."""

    def load_context(self, context: Any) -> None:
        """Memory-map the lists of the bundle."""
        directory = Path(context.artifacts["bundle"]) / "ranking"
        customers = pq.read_table(directory / "customers.parquet")["customer_id"].to_pylist()
        self.rows = {customer: row for row, customer in enumerate(customers)}
        self.products = pq.read_table(directory / "products.parquet")["product_id"].to_pylist()
        self.lists = np.load(directory / "lists.npy", mmap_mode="r", allow_pickle=False)
        self.scores = np.load(directory / "scores.npy", mmap_mode="r", allow_pickle=False)
        self.popular = np.load(directory / "popular.npy", allow_pickle=False)

    def predict(
        self,
        context: Any,  # noqa: ARG002  (MLflow passes it)
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """One row per customer and product: customer_id, rank from 1, product_id, score (0 for popular products)."""
        k = int((params or {}).get("k", K))
        found: list[tuple[str, int, str, float]] = []
        for customer in model_input["customer_id"].astype(str):
            row = self.rows.get(customer)
            codes = self.popular if row is None else self.lists[row]
            scores = np.zeros(len(codes)) if row is None else self.scores[row]
            pairs = [(code, score) for code, score in zip(codes, scores, strict=True) if code != _NO_PRODUCT]
            found += [
                (customer, rank, self.products[code], float(score))
                for rank, (code, score) in enumerate(pairs[:k], start=1)
            ]
        return pd.DataFrame(found, columns=["customer_id", "rank", "product_id", "score"])


mlflow.models.set_model(RankedListsModel())
