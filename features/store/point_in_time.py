"""Point-in-time joins in DuckDB, straight over Parquet files: for each row asked, the newest row of its key by then.

The join is an ASOF JOIN of keys, times and places in the files alone, so what is sorted is narrow; the features are
then read once, of the files and columns that are needed, and fetched by their place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.sql import quote, text

_ROW = "_regulars_row"
_TIME = "_regulars_time"
_BATCH = 50_000


@dataclass(frozen=True)
class Source:
    """Parquet files that hold features by key and time. `keys` maps the files' key columns to those asked by."""

    files: str  # a path or a glob
    keys: Mapping[str, str]
    time: str
    created: str | None = None
    ttl: timedelta = timedelta(0)  # zero: never too old


def engine(*, threads: int | None, memory_limit: str | None, spill: str | None) -> duckdb.DuckDBPyConnection:
    """A DuckDB in memory that compares times in UTC."""
    given = {"threads": threads, "memory_limit": memory_limit, "temp_directory": spill}
    con = duckdb.connect(config={name: value for name, value in given.items() if value is not None})
    con.execute("SET TimeZone = 'UTC'")
    # Of a registered Arrow table DuckDB guesses few rows, and would then compare each of them with every other.
    con.execute("SET asof_loop_join_threshold = 0")
    return con


@dataclass(frozen=True)
class Found:
    """The features of the rows asked, in the same order. Unknown is NaN in the block and null in the others."""

    names: Sequence[str]
    numbers: Sequence[str]  # those of float64, by row of `block`
    block: NDArray[np.float64]
    others: Mapping[str, pa.Array]

    def arrow(self, name: str) -> pa.Array:
        """A feature, null where unknown."""
        if name in self.others:
            return self.others[name]
        return pa.array(self.block[self.numbers.index(name)], from_pandas=True)

    def frame(self) -> pd.DataFrame:
        """All features; the numbers are not copied."""
        frame = pd.DataFrame(self.block.T, columns=list(self.numbers))
        if not self.others:
            return frame
        others = pd.DataFrame({name: column.to_pandas() for name, column in self.others.items()})
        return pd.concat([frame, others], axis=1)[list(self.names)]


def joined(
    con: duckdb.DuckDBPyConnection,
    asked: pa.Table,
    times: pa.ChunkedArray,
    source: Source,
    features: Sequence[str],
    *,
    known_then: bool,
) -> Found:
    """The `features` known at each asked row's time, one row per asked row and in the same order.

    With `known_then`, a row of the source counts from its created time on, if that is later than its time.
    """
    rows = asked.num_rows
    columns = {name: asked[name] for name in source.keys.values()}
    con.register("asked", pa.table({**columns, _TIME: naive(times), _ROW: pa.array(np.arange(rows, dtype=np.int64))}))
    keys = " AND ".join(f"asked.{quote(theirs)} = f.{quote(ours)}" for ours, theirs in source.keys.items())
    alive = ""
    if source.ttl:
        micros = source.ttl // timedelta(microseconds=1)
        alive = f"WHERE f.event + to_microseconds({micros}) >= asked.{_TIME}"
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE matched AS SELECT asked.{_ROW} AS {_ROW}, f.filename, f.place FROM asked "
        f"ASOF JOIN ({_places(con, source, times, known_then=known_then)}) f "
        f"ON {keys} AND asked.{_TIME} >= f.visible {alive}"
    )
    con.unregister("asked")
    files = [file for (file,) in con.execute("SELECT DISTINCT filename FROM matched").fetchall()]
    wanted = "".join(f", f.{quote(name)}" for name in features)
    # Where nothing was found, one file still tells the features' types.
    named = ", ".join(text(file) for file in files or _files(con, source)[:1])
    read = f"read_parquet([{named}], filename = true, file_row_number = true)"
    found = con.execute(
        f"SELECT {_ROW}{wanted} FROM matched JOIN {read} f "
        "ON f.filename = matched.filename AND f.file_row_number = matched.place"
    )
    return _in_order(found.to_arrow_reader(_BATCH), rows, features)


def _in_order(batches: pa.RecordBatchReader, rows: int, features: Sequence[str]) -> Found:
    """Each row put where it belongs. Done batch by batch: to touch fresh memory is what takes the time here."""
    floats = [name for name in features if pa.types.is_float64(batches.schema.field(name).type)]
    block = np.full((len(floats), rows), np.nan)
    rest = {name: [pa.array([], batches.schema.field(name).type)] for name in features if name not in floats}
    order = np.full(rows, -1, dtype=np.int64)
    seen = 0
    for batch in batches:
        places = batch[_ROW].to_numpy()
        order[places] = np.arange(seen, seen + len(places))
        seen += len(places)
        for name, column in zip(floats, block, strict=True):
            column[places] = batch[name].to_numpy(zero_copy_only=False)
        for name, parts in rest.items():
            parts.append(batch[name])
    at = pa.array(order, mask=order < 0)
    return Found(features, floats, block, {name: pa.concat_arrays(parts).take(at) for name, parts in rest.items()})


def naive(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times as DuckDB's TIMESTAMP: microseconds, UTC without saying so. Nanoseconds are cut off."""
    return times.cast(pa.timestamp("us", times.type.tz), safe=False).cast(pa.timestamp("us"))


def _files(con: duckdb.DuckDBPyConnection, source: Source) -> list[str]:
    return [file for (file,) in con.execute(f"SELECT file FROM glob({text(source.files)})").fetchall()]


def _places(con: duckdb.DuckDBPyConnection, source: Source, times: pa.ChunkedArray, *, known_then: bool) -> str:
    """SQL for the files' keys, event time, the time from which a row is seen (`visible`), and its place."""
    keys = ", ".join(quote(key) for key in source.keys)
    read = f"read_parquet({text(source.files)}, filename = true, file_row_number = true)"
    created = f", CAST({quote(source.created)} AS TIMESTAMP) AS created" if source.created else ""
    every = (
        f"SELECT {keys}, CAST({quote(source.time)} AS TIMESTAMP) AS event{created}, filename, file_row_number AS place "
        f"FROM {read}"
    )
    last = _latest(times)
    every = f"SELECT * FROM ({every}) WHERE event <= {last}"
    if source.created is None or not _told_later(con, every):
        return f"SELECT *, event AS visible FROM ({every})"
    version = "{'event': event, 'created': created}"
    if not known_then:
        return (
            f"SELECT *, event AS visible FROM ({every}) "
            f"QUALIFY row_number() OVER (PARTITION BY {keys}, event ORDER BY created DESC) = 1"
        )
    # A row told of late is of no use once a later event is known: what is left grows with `visible`, as ASOF needs.
    return (
        f"SELECT * FROM (SELECT *, greatest(event, created) AS visible FROM ({every})) "
        f"QUALIFY {version} = max({version}) OVER (PARTITION BY {keys} ORDER BY visible)"
    )


def _latest(times: pa.ChunkedArray) -> str:
    last: Any = pc.max(naive(times)).as_py()
    return "'-infinity'::TIMESTAMP" if last is None else f"TIMESTAMP {text(last.isoformat(sep=' '))}"


def _told_later(con: duckdb.DuckDBPyConnection, every: str) -> bool:
    """Whether any row was created at another time than its own."""
    found = con.execute(f"SELECT 1 FROM ({every}) WHERE created IS DISTINCT FROM event LIMIT 1").fetchone()
    return found is not None
