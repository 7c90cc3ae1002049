"""What scorings said, kept until it is known what came: a probability is judged a horizon later, by what it was then.

A scoring lasts for days, a horizon for weeks. So the first scoring of each week leaves what can be judged of it in
`said/<day>`: of each customer the probabilities, the expected spend, and the products ranked first; and of each model
the figures its back-test promised. `training.lookback` takes it away once it was judged.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.home import Home, new_directory, remove_directory, sweep
from features.lake import Lake
from features.schema import C
from features.snapshot import naive_utc
from training.bundle import MANIFEST, is_whole, manifest_of, read_manifest, seal
from training.customer_scores import SCHEMA
from training.ranked_lists import NO_PRODUCT, RankedLists, load_ranked_lists

KIND = "said"
LOCK = "said"
CUSTOMERS = "customers.parquet"
RANKING = "ranking"
#: Products kept of each list: as many as back-tests count.
DEPTH = 20
PRODUCTS = "products"
#: Customers at a time.
BATCH = 100_000
_COLUMNS = (
    *(C.CUSTOMER_ID, "active", "churn_probability", "purchase_probability"),
    *("expected_spend", "expected_spend_low", "expected_spend_high"),
)
_OF_SCORING = ("as_of", "created_at", "horizon_days", "models", "backtests", "lake_version")
_WAIT_SECONDS = 30.0


def kept_sayings(home: Home) -> list[Path]:
    """Those that wait to be judged, the oldest first."""
    return sorted(path for path in home.said.glob("*") if is_whole(path, kind=KIND))


def known_on(said: Path) -> datetime:
    """The moment (naive UTC) up to which orders have to be loaded for it to be judged."""
    about = read_manifest(said, kind=KIND, verify=False)
    return naive_utc(datetime.fromisoformat(about["as_of"])) + timedelta(days=about["horizon_days"])


def due(home: Home, lake: Lake) -> list[Path]:
    """What can be judged by the lake as it is, the oldest first."""
    last = datetime.fromisoformat(lake.manifest["last_order_at"])
    return [said for said in kept_sayings(home) if known_on(said) <= last]


def keep_said(home: Home, scoring: Path) -> Path | None:
    """Keep what the scoring in this sealed directory said; None where one of its week is kept, or was judged, already.

    Scored anew as of the same day, by other models, it takes the place of what was said first: nobody worked with that.
    """
    about = read_manifest(scoring, kind="scores", verify=False)
    day = datetime.fromisoformat(about["as_of"])
    target = home.said / f"{day:%Y-%m-%d}"
    with home.lock(LOCK, wait_seconds=_WAIT_SECONDS):
        sweep(home.said)
        if any(_week(path) == day.isocalendar()[:2] and path != target for path in kept_sayings(home)):
            return None
        if (home.lookback / f"{target.name}.json").is_file():
            return None
        if target.exists():
            if manifest_of(target)["about"]["models"] == about["models"]:
                return None
            remove_directory(target)
        with new_directory(target) as aside:
            customers = _write(scoring, aside / CUSTOMERS)
            of_scoring = {name: about.get(name) for name in _OF_SCORING}
            seal(aside, kind=KIND, about={**of_scoring, "customers": customers})
    return target


def remove_said(home: Home, said: Path) -> None:
    """Take away what was judged."""
    with home.lock(LOCK, wait_seconds=_WAIT_SECONDS):
        if said.exists():
            remove_directory(said)


def _week(said: Path) -> tuple[int, int]:
    return datetime.fromisoformat(said.name).isocalendar()[:2]


def _write(scoring: Path, target: Path) -> int:
    """How many customers were written, some at a time: the scoring of a large shop is more than memory holds."""
    ranking = scoring / RANKING
    ranked = load_ranked_lists(ranking, verify=False) if (ranking / MANIFEST).is_file() else None
    given = pq.ParquetFile(scoring / CUSTOMERS)
    schema = pa.schema([SCHEMA.field(name) for name in _COLUMNS] + [pa.field(PRODUCTS, pa.list_(pa.string()))])
    with given, pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for batch in given.iter_batches(BATCH, columns=list(_COLUMNS)):
            table = pa.Table.from_batches([batch]).select(_COLUMNS)
            writer.write_table(table.append_column(PRODUCTS, _products(table[C.CUSTOMER_ID], ranked)).cast(schema))
        return int(given.metadata.num_rows)


def _products(customers: pa.ChunkedArray, ranked: RankedLists | None) -> pa.Array:
    """Each customer's first DEPTH products by id, best first; null where nothing was ranked."""
    if ranked is None:
        return pa.nulls(len(customers), pa.list_(pa.string()))
    rows = pc.index_in(customers, value_set=ranked.customers[C.CUSTOMER_ID].combine_chunks())
    known = rows.is_valid().to_numpy()
    codes = np.full((len(customers), min(DEPTH, ranked.lists.shape[1])), NO_PRODUCT, dtype=np.int32)
    codes[known] = ranked.lists[rows.drop_null().to_numpy(), : codes.shape[1]]
    listed = codes != NO_PRODUCT
    offsets = np.concatenate(([0], np.cumsum(listed.sum(axis=1)))).astype(np.int32)
    ids = pa.DictionaryArray.from_arrays(codes[listed], ranked.products[C.PRODUCT_ID].combine_chunks()).cast(
        pa.string()
    )
    return pa.ListArray.from_arrays(pa.array(offsets), ids, mask=pa.array(~known))
