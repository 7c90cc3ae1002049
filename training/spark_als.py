"""The factors of the ALS source by Spark's MLlib: executors factorise, and the same two arrays come back.

MLlib's confidence is 1 + |rating| (alpha 1), implicit's is ALPHA times the weight: a rating is the one less the other,
and what would be below 1 counts as hardly bought. MLlib multiplies its regularisation by how many pairs a customer or
product has (ALS-WR, Zhou et al. 2008), implicit does not: MLlib's is implicit's over the mean number of pairs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy import sparse

from features.spark import said_plainly
from features.spark_backend import as_it_is
from training.candidates.als import ALPHA, REGULARIZATION, AlsCandidates, rank_of

#: What MLlib takes for bought must be above 0.
_LEAST = 1e-3
_PAIRS_AT_ONCE = 1_000_000


class SparkAls(AlsCandidates):
    """AlsCandidates fitted by MLlib on `backend`; pairs and factors pass through files in `scratch`, which must be seen
    by all executors.
    """

    def __init__(self, backend: Any, scratch: Path, *, factors: int, iterations: int = 6, seed: int = 0) -> None:
        super().__init__(factors=factors, iterations=iterations, threads=1, seed=seed)
        self.backend = backend
        self.scratch = scratch

    def fit(self, weights: sparse.csr_matrix) -> AlsCandidates:
        """Factors of customers and products; those without any purchase are zero."""
        from pyspark.ml.recommendation import ALS

        pairs = self.scratch / "pairs.parquet"
        _write_pairs(weights, pairs)
        learner = ALS(
            **dict.fromkeys(("numUserBlocks", "numItemBlocks"), self.backend.session.sparkContext.defaultParallelism),
            rank=rank_of(self.factors, weights),
            maxIter=self.iterations,
            regParam=REGULARIZATION * sum(weights.shape) / max(2 * weights.nnz, 1),
            implicitPrefs=True,
            alpha=1.0,
            userCol="user",
            itemCol="item",
            ratingCol="rating",
            seed=self.seed,
        )
        with said_plainly():
            model = learner.fit(self.backend.session.read.parquet(as_it_is(pairs)))
            factors = [
                self._factors(frame, name, n)
                for name, frame, n in zip(
                    ("users", "items"), (model.userFactors, model.itemFactors), weights.shape, strict=True
                )
            ]
        fitted = AlsCandidates(factors=self.factors, iterations=self.iterations, threads=1, seed=self.seed)
        fitted.user_factors_, fitted.item_factors_ = factors
        return fitted

    def _factors(self, frame: Any, name: str, n: int) -> NDArray[np.float32]:
        """(n, rank) what executors wrote of a DataFrame of id and features, a file at a time."""
        folder = self.scratch / name
        frame.write.parquet(str(folder.resolve()))
        found: NDArray[np.float32] | None = None
        for file in sorted(folder.glob("part-*.parquet")):
            rows = pq.read_table(file)
            if rows.num_rows:
                values = rows["features"].combine_chunks().flatten().to_numpy().reshape(rows.num_rows, -1)
                if found is None:
                    found = np.zeros((n, values.shape[1]), dtype=np.float32)
                found[rows["id"].to_numpy()] = values
        return np.zeros((n, 1), dtype=np.float32) if found is None else found


def _write_pairs(weights: sparse.csr_matrix, target: Path) -> None:
    """Customer, product and rating of every pair, in row groups that executors share."""
    schema = pa.schema([("user", pa.int32()), ("item", pa.int32()), ("rating", pa.float32())])
    users = np.repeat(np.arange(weights.shape[0], dtype=np.int32), np.diff(weights.indptr))
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for start in range(0, weights.nnz, _PAIRS_AT_ONCE):
            part = slice(start, start + _PAIRS_AT_ONCE)
            rating = np.maximum(ALPHA * weights.data[part] - 1, _LEAST).astype(np.float32)
            columns = {"user": users[part], "item": weights.indices[part].astype(np.int32), "rating": rating}
            writer.write_table(pa.table(columns, schema=schema))
