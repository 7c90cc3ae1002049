"""Answers with propensities from the interactions of the lake, beside the lists of a scoring."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.engine import connect, require_duckdb
from features.errors import DataError, NotReadyError
from features.home import Home
from features.schema import INTERACTIONS
from training.off_policy import Logged
from training.protocols import Context
from training.ranked_lists import NO_PRODUCT, RankedLists, load_ranked_lists

#: A product's rate of reward is drawn towards that of all by so many impressions.
PRIOR_IMPRESSIONS = 20.0
FOLDS = 2


@dataclass(frozen=True)
class Shown:
    """One row per product of each answer: codes of the answer, customer and product (by `ids`), propensity, reward."""

    answer: NDArray[np.int64]
    customer_ids: pa.Array  # of each answer
    product_ids: pa.Array  # of each row
    propensity: NDArray[np.float64]
    reward: NDArray[np.float64]


def lists_of(home: Home, version: str | None) -> tuple[str, RankedLists]:
    """The version and ranked lists of a scoring, the current one unless named. Raises DataError when there is none."""
    current = home.scores / "CURRENT"
    if version is None:
        if not current.is_file():
            raise NotReadyError("Nothing is scored yet. Score first:  regulars train && regulars score")
        version = current.read_text(encoding="utf-8").strip()
    directory = home.scores / "versions" / version / "ranking"
    if not directory.is_dir():
        raise DataError(f"There is no scoring '{version}' with ranked lists in {home.scores / 'versions'}.")
    return version, load_ranked_lists(directory)


def read_shown(context: Context, *, metric: str) -> Shown:
    """Impressions of known customers with a propensity; the reward is 1 where the product earned a `metric` event.

    Raises DataError when there is none.
    """
    require_duckdb(context.settings.engine, "reading of logged answers")
    lake = context.lake
    none = DataError(
        "The lake holds no impression with a propensity. Ask for recommendations with explore above 0, send propensity "
        "and request_id with the events, then load them:  regulars ingest --source events"
    )
    if INTERACTIONS.name not in lake.rows:
        raise none
    file = f"read_parquet('{lake.file(INTERACTIONS.name)}')"
    backend = connect(context.settings)
    columns = {row[0] for row in backend.raw_sql(f"DESCRIBE SELECT * FROM {file}").fetchall()}
    if "propensity" not in columns:  # loaded by an earlier release
        raise none
    found = backend.raw_sql(
        f"""
        WITH shown AS (
            SELECT request_id, product_id, min(customer_id) AS customer_id, min(propensity) AS propensity
            FROM {file} WHERE kind = 'impression' AND propensity IS NOT NULL AND request_id IS NOT NULL
            AND customer_id IS NOT NULL GROUP BY ALL
        ), earned AS (SELECT DISTINCT request_id, product_id FROM {file} WHERE kind = '{metric}')
        SELECT dense_rank() OVER (ORDER BY request_id) - 1 AS answer, customer_id, product_id, propensity,
               (earned.product_id IS NOT NULL)::DOUBLE AS reward
        FROM shown LEFT JOIN earned USING (request_id, product_id) ORDER BY answer, product_id
        """
    ).to_arrow_table()
    if found.num_rows == 0:
        raise none
    answer = found["answer"].to_numpy().astype(np.int64)
    first = np.flatnonzero(np.diff(answer, prepend=-1))
    return Shown(
        answer=answer,
        customer_ids=found["customer_id"].take(pa.array(first)).combine_chunks(),
        product_ids=found["product_id"].combine_chunks(),
        propensity=found["propensity"].to_numpy().astype(np.float64),
        reward=found["reward"].to_numpy().astype(np.float64),
    )


def beside_lists(shown: Shown, ranked: RankedLists) -> Logged:
    """The answers to customers with a list, and what showing as many of its first products would have done.

    Raises DataError when no customer of the log has a list.
    """
    row = pc.index_in(shown.customer_ids, value_set=ranked.customers["customer_id"].combine_chunks())
    row_of_answer = row.fill_null(-1).to_numpy().astype(np.int64)
    product = pc.index_in(shown.product_ids, value_set=ranked.products["product_id"].combine_chunks())
    kept = row_of_answer[shown.answer] >= 0
    if not kept.any():
        raise DataError("No customer of the logged answers has a list in these scores. Score anew:  regulars score")
    answers, answer = np.unique(shown.answer[kept], return_inverse=True)
    code = product.fill_null(NO_PRODUCT).to_numpy().astype(np.int64)[kept]
    sizes = np.bincount(answer, minlength=len(answers))
    lists = np.asarray(ranked.lists[row_of_answer[answers]])
    # Places filled with no product count for nothing, wherever they stand.
    place = np.cumsum(lists != NO_PRODUCT, axis=1)
    in_list = (lists != NO_PRODUCT) & (place <= sizes[:, None])
    n_products = ranked.products.num_rows
    rows, columns = np.nonzero(in_list)
    wanted_keys = rows * n_products + lists[rows, columns]
    reward = shown.reward[kept]
    foretold, wanted_foretold = _foretold(answer, code, reward, rows, lists[rows, columns], n_products)
    return Logged(
        answer=answer.astype(np.int64),
        reward=reward,
        propensity=shown.propensity[kept],
        wanted=(np.isin(answer * n_products + code, wanted_keys) & (code >= 0)).astype(np.float64),
        foretold=foretold,
        wanted_size=in_list.sum(axis=1).astype(np.float64),
        wanted_foretold=np.bincount(rows, weights=wanted_foretold, minlength=len(answers)).astype(np.float64),
    )


def _foretold(
    answer: NDArray[np.int64],
    code: NDArray[np.int64],
    reward: NDArray[np.float64],
    wanted_answer: NDArray[np.int64],
    wanted_code: NDArray[np.int32],
    n_products: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each product's rate of reward in the answers of the other fold, for what was shown and what is wanted."""
    shown, wanted = np.zeros(len(answer)), np.zeros(len(wanted_answer))
    for fold in range(FOLDS):
        others = (answer % FOLDS != fold) & (code >= 0)
        overall = float(reward[others].mean()) if others.any() else 0.0
        earned = np.bincount(code[others], weights=reward[others], minlength=n_products)
        seen = np.bincount(code[others], minlength=n_products)
        rate = (earned + PRIOR_IMPRESSIONS * overall) / (seen + PRIOR_IMPRESSIONS)
        here, there = answer % FOLDS == fold, wanted_answer % FOLDS == fold
        shown[here] = np.where(code[here] >= 0, rate[np.maximum(code[here], 0)], overall)
        wanted[there] = rate[wanted_code[there]]
    return shown, wanted
