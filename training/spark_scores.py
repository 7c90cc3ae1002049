"""Everybody's scores computed on Spark: the same models and the same table, customers spread over executors.

The bundles travel as the text and JSON they are; executors write the rows, and nothing of them comes to this process.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.engine import connect
from features.errors import DataError
from features.labels import ACTIVE, customer_labels
from features.schema import C
from features.spark_backend import spark_schema
from features.store.snapshots import CREATED_AT, LOCK, WAIT_SECONDS, build_snapshots
from training.champions import Predict
from training.customer_scores import SCHEMA, Predictions, Scored, score_table
from training.profiles import facts, profiles_of
from training.protocols import Context

#: What columns of profiles, and of who is active, are called beside features.
_FACT = "fact__"


@dataclass(frozen=True)
class Champion:
    """A model that scores: its bundle, how it is asked, and how many days ahead it looks."""

    bundle: Path
    predict: Predict
    days: int


def score_on_spark(
    context: Context,
    champions: Mapping[str, Champion],
    target: Path,
    *,
    as_of: datetime,
    horizon_days: int,
) -> Scored:
    """Write everybody's scores (customer_scores.SCHEMA, sorted by customer_id) into one Parquet file.

    A champion that this code cannot use is left out and its error given, as in a scoring on one machine.
    """
    backend = connect(context.settings)
    table = _everybody(context, backend, sorted({one.days for one in champions.values()}), as_of, horizon_days)
    # Asked for three times: by the first customer, by the order of all, and by the scores.
    rows = backend.frame(table).persist()
    usable, failed, sample = _tried(rows.limit(1).toPandas(), champions)
    how = _How(as_of, horizon_days, {name: (one.predict, one.days) for name, one in usable.items()})
    texts = {name: _texts(one.bundle) for name, one in usable.items()}
    shared = backend.session.sparkContext.broadcast(texts)
    try:
        made = rows.orderBy(C.CUSTOMER_ID).mapInArrow(_Work(how, shared), spark_schema(SCHEMA))
        backend.write(made, target, SCHEMA)
    finally:
        shared.destroy()
        rows.unpersist()
    customers = pq.read_metadata(target).num_rows
    known = facts(context.lake.tables(backend), as_of, horizon_days=horizon_days).count().execute()
    if customers != known:
        raise DataError(
            f"{known - customers} customers have orders but no features. Build them anew:  regulars features build"
        )
    return Scored(sample, failed, customers)


def _everybody(context: Context, backend: Any, horizons: Sequence[int], as_of: datetime, horizon_days: int) -> Any:
    """One row per customer: the facts of profiles, the features, and whether they are active within each horizon."""
    with context.home.lock(LOCK, wait_seconds=WAIT_SECONDS):
        snapshots, _ = build_snapshots(context.settings, context.lake, [as_of])
    features = backend.read_parquet(str(snapshots.file(as_of))).drop(C.AS_OF, CREATED_AT)
    tables = context.lake.tables(backend)
    table = _named(facts(tables, as_of, horizon_days=horizon_days), _FACT).join(features, C.CUSTOMER_ID)
    for days in horizons:
        labels = customer_labels(tables, as_of, horizon_days=days)
        active = labels.select(C.CUSTOMER_ID, **{_active(days): labels[ACTIVE]})
        table = table.join(active, C.CUSTOMER_ID)
    return table


def _active(days: int) -> str:
    return f"{ACTIVE}__{days}"


def _named(table: Any, prefix: str) -> Any:
    return table.select(C.CUSTOMER_ID, **{f"{prefix}{n}": table[n] for n in table.columns if n != C.CUSTOMER_ID})


def _tried(
    row: pd.DataFrame, champions: Mapping[str, Champion]
) -> tuple[dict[str, Champion], dict[str, str], Predictions]:
    """The champions that can score one customer, the errors of the others, and what was said."""
    usable: dict[str, Champion] = {}
    failed: dict[str, str] = {}
    sample = Predictions()
    for name, one in champions.items():
        try:
            sample = replace(sample, **one.predict(one.bundle, _frame(row, one.days)))
            usable[name] = one
        except DataError as error:
            failed[name] = str(error)
    return usable, failed, sample


def _frame(rows: pd.DataFrame, days: int) -> pd.DataFrame:
    """The features as the models take them."""
    features = [name for name in rows.columns if not name.startswith((_FACT, f"{ACTIVE}__"))]
    return rows[features].assign(**{ACTIVE: rows[_active(days)]})


def _texts(bundle: Path) -> dict[str, bytes]:
    """The files of a bundle by their place in it; all are text or arrays, none is a pickle."""
    return {str(file.relative_to(bundle)): file.read_bytes() for file in bundle.rglob("*") if file.is_file()}


def _unpacked(files: Mapping[str, bytes], folder: Path) -> Path:
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return folder


@dataclass(frozen=True)
class _How:
    as_of: datetime
    horizon_days: int
    models: Mapping[str, tuple[Predict, int]]


@dataclass(frozen=True)
class _Work:
    """Runs on executors: some customers in, their rows of the table out."""

    how: _How
    texts: Any  # broadcast

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Batches of SCHEMA."""
        # An executor has as many tasks as cores: one thread for each.
        os.environ["REGULARS_THREADS"] = "1"
        with tempfile.TemporaryDirectory(prefix="regulars-") as folder:
            bundles = {name: _unpacked(files, Path(folder) / name) for name, files in self.texts.value.items()}
            for batch in batches:
                if batch.num_rows:
                    yield from self._scored(bundles, batch.to_pandas()).to_batches()

    def _scored(self, bundles: Mapping[str, Path], rows: pd.DataFrame) -> pa.Table:
        columns: dict[str, Any] = {}
        for name, (predict, days) in self.how.models.items():
            columns |= predict(bundles[name], _frame(rows, days))
        known = rows[[name for name in rows.columns if name.startswith(_FACT)]].rename(
            columns=lambda name: name.removeprefix(_FACT)
        )
        known.insert(0, C.CUSTOMER_ID, rows[C.CUSTOMER_ID])
        who = profiles_of(known, self.how.as_of, horizon_days=self.how.horizon_days)
        return score_table(who, Predictions(**columns), horizon_days=self.how.horizon_days)
